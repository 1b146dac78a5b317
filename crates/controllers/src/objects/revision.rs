//! Revisions of pod templates, by which rollouts are told apart and undone
//! (k8s.io/kubernetes/pkg/controller/history).

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use serde_json::{Value, json};

use super::Meta;

/// What is new about a revision.
pub struct Made {
    /// Its name.
    pub name: String,
    /// The label that tells its hash.
    pub label: &'static str,
    /// That hash.
    pub hash: String,
    /// Its number: each is greater than all before.
    pub revision: i64,
    /// What it holds, as [`data`] makes it.
    pub data: Value,
}

/// The patch that brings `template` back: what a revision holds.
pub fn data(template: Option<&PodTemplateSpec>) -> Value {
    let mut template = template.and_then(|template| serde_json::to_value(template).ok()).unwrap_or_default();
    template["$patch"] = json!("replace");
    json!({"spec": {"template": template}})
}

/// The template that `revision` holds.
pub fn template(revision: &ControllerRevision) -> Option<PodTemplateSpec> {
    let mut template = revision.data.as_ref()?.0.get("spec")?.get("template")?.clone();
    template.as_object_mut()?.remove("$patch");
    serde_json::from_value(template).ok()
}

/// The revision of `owner`, which has its template's labels and its own annotations.
pub fn make(
    owner: &Meta,
    controller: OwnerReference,
    template: Option<&PodTemplateSpec>,
    made: Made,
) -> ControllerRevision {
    let template = template.and_then(|template| template.metadata.clone()).unwrap_or_default();
    let mut labels = template.labels.unwrap_or_default();
    labels.insert(made.label.to_owned(), made.hash);
    ControllerRevision {
        metadata: ObjectMeta {
            name: Some(made.name),
            namespace: Some(owner.namespace.clone()),
            labels: Some(labels),
            annotations: (!owner.annotations.is_empty()).then(|| owner.annotations.clone()),
            owner_references: Some(vec![controller]),
            ..ObjectMeta::default()
        },
        data: Some(RawExtension(made.data)),
        revision: made.revision,
    }
}

/// Sorts from the oldest to the newest.
pub fn sort(revisions: &mut [ControllerRevision]) {
    let key = |revision: &ControllerRevision| {
        let meta = &revision.metadata;
        let created = meta.creation_timestamp.as_ref().map(|time| time.0);
        (revision.revision, created, meta.name.clone())
    };
    revisions.sort_by_key(key);
}
