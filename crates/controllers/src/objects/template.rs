//! Pods made from templates (k8s.io/kubernetes/pkg/controller/controller_utils.go).

use k8s_openapi::api::core::v1::{ObjectReference, Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use super::Meta;
use crate::runtime::{Note, Write};

/// What remains of the longest name that a pod may begin with, so that the random part fits.
const PREFIX_MAX: usize = 253 - 5;

/// The pod that `template` describes, controlled by `owner`, in the owner's namespace `namespace`.
pub fn pod(template: &PodTemplateSpec, namespace: &str, owner: OwnerReference) -> Pod {
    let meta = template.metadata.clone().unwrap_or_default();
    let metadata = ObjectMeta {
        generate_name: Some(prefix(&owner.name)),
        namespace: Some(namespace.to_owned()),
        labels: meta.labels,
        annotations: meta.annotations,
        finalizers: meta.finalizers,
        owner_references: Some(vec![owner]),
        ..ObjectMeta::default()
    };
    Pod { metadata, spec: template.spec.clone(), status: None }
}

/// What the names of pods begin with that belong to `owner`.
fn prefix(owner: &str) -> String {
    let prefix = format!("{owner}-");
    if prefix.len() > PREFIX_MAX { owner.to_owned() } else { prefix }
}

/// To create `pod`, and to say so of its owner.
pub fn create(pod: &Pod, owner: &ObjectReference) -> Write {
    Write::create(pod)
        .saying(Note::normal(owner.clone(), "SuccessfulCreate", "Created pod: {name}"))
        .or_saying(Note::warning(owner.clone(), "FailedCreate", "Error creating: {error}"))
}

/// To delete the pod that `meta` is of, and to say so of its owner.
pub fn delete(meta: &Meta, owner: &ObjectReference) -> Write {
    Write::delete::<Pod>(&meta.namespace, &meta.name, &meta.uid)
        .saying(Note::normal(owner.clone(), "SuccessfulDelete", "Deleted pod: {name}"))
        .or_saying(Note::warning(owner.clone(), "FailedDelete", "Error deleting: {error}"))
        // Conflict: it is another one by now.
        .tolerating(&["NotFound", "Conflict"])
}
