//! Revisions: which ReplicaSet is of which template, and what its annotations say
//! (k8s.io/kubernetes/pkg/controller/deployment/util).

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, ReplicaSetSpec};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::scale::max_surge;
use crate::objects::{Meta, hash, owner};

/// Which revision a ReplicaSet is of, and a Deployment is at.
pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";
/// Which revisions a ReplicaSet was of before a rollback made it the newest.
const HISTORY: &str = "deployment.kubernetes.io/revision-history";
/// How many replicas the Deployment wanted when the ReplicaSet was last scaled.
pub(super) const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
/// How many it allowed, surge included.
pub(super) const MAX: &str = "deployment.kubernetes.io/max-replicas";
/// The label by which the pods of different templates are told apart.
const HASH: &str = "pod-template-hash";
/// The longest history, in bytes.
const HISTORY_MAX: usize = 2000;
/// The longest name.
const NAME_MAX: usize = 253;
/// Annotations that ReplicaSets do not take over.
const SKIPPED: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    "deprecated.deployment.rollback.to",
    REVISION,
    HISTORY,
    DESIRED,
    MAX,
];

/// The revision of `set`; 0 if it has none.
pub(super) fn of(set: &ReplicaSet) -> i64 {
    let annotations = set.metadata.annotations.as_ref();
    annotations.and_then(|annotations| annotations.get(REVISION)?.parse().ok()).unwrap_or_default()
}

/// The newest revision of `sets`.
pub(super) fn newest<'a>(sets: impl Iterator<Item = &'a ReplicaSet>) -> i64 {
    sets.map(of).max().unwrap_or_default()
}

/// Whether `set` is of the Deployment's present template.
pub(super) fn is_of_template(deployment: &Deployment, set: &ReplicaSet) -> bool {
    let ours = deployment.spec.as_ref().map(|spec| plain(&spec.template));
    let theirs = set.spec.as_ref().and_then(|spec| spec.template.as_ref()).map(plain);
    ours.is_some() && ours == theirs
}

/// The template without the hash, and without what says nothing.
fn plain(template: &PodTemplateSpec) -> PodTemplateSpec {
    let mut template = template.clone();
    let meta = template.metadata.get_or_insert_default();
    meta.labels.get_or_insert_default().remove(HASH);
    meta.labels = meta.labels.take().filter(|labels| !labels.is_empty());
    meta.annotations = meta.annotations.take().filter(|annotations| !annotations.is_empty());
    meta.creation_timestamp = None;
    template
}

fn hash_of(deployment: &Deployment) -> String {
    let collisions = deployment.status.as_ref().and_then(|status| status.collision_count);
    deployment.spec.as_ref().map(|spec| hash::of_template(&spec.template, collisions)).unwrap_or_default()
}

/// The name that a ReplicaSet of the present template would get.
pub(super) fn name_of_next(deployment: &Deployment) -> String {
    let hash = hash_of(deployment);
    let mut name = deployment.metadata.name.clone().unwrap_or_default();
    name.truncate(NAME_MAX - 1 - hash.len());
    format!("{name}-{hash}")
}

/// A ReplicaSet of the present template, with `replicas`.
pub(super) fn make(deployment: &Deployment, revision: i64, replicas: i32) -> ReplicaSet {
    let spec = deployment.spec.clone().unwrap_or_default();
    let hash = hash_of(deployment);
    let mut template = spec.template;
    let labels = template.metadata.get_or_insert_default().labels.get_or_insert_default();
    labels.insert(HASH.to_owned(), hash.clone());
    let labels = labels.clone();
    let mut selector = spec.selector;
    selector.match_labels.get_or_insert_default().insert(HASH.to_owned(), hash);
    let mut set = ReplicaSet {
        metadata: ObjectMeta {
            name: Some(name_of_next(deployment)),
            namespace: deployment.metadata.namespace.clone(),
            labels: Some(labels),
            owner_references: Some(vec![owner::reference::<Deployment>(&Meta::from(&deployment.metadata))]),
            ..ObjectMeta::default()
        },
        spec: Some(ReplicaSetSpec {
            replicas: Some(replicas),
            min_ready_seconds: spec.min_ready_seconds,
            selector,
            template: Some(template),
        }),
        status: None,
    };
    annotate(deployment, &mut set, &revision.to_string());
    annotate_size(deployment, &mut set);
    set
}

/// Brings the annotations of `set`, which is of the present template, up to date, and what else it takes over.
pub(super) fn annotate_existing(deployment: &Deployment, set: &mut ReplicaSet, revision: &str) {
    annotate(deployment, set, revision);
    let min_ready_seconds =
        deployment.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or_default();
    if let Some(spec) = &mut set.spec
        && spec.min_ready_seconds.unwrap_or_default() != min_ready_seconds
    {
        spec.min_ready_seconds = Some(min_ready_seconds);
    }
}

fn annotate(deployment: &Deployment, set: &mut ReplicaSet, revision: &str) {
    let ours = deployment.metadata.annotations.clone().unwrap_or_default();
    let copied: Vec<(String, String)> =
        ours.into_iter().filter(|(key, _)| !SKIPPED.contains(&key.as_str())).collect();
    let old = of(set);
    let is_newer = revision.parse().is_ok_and(|new: i64| old < new);
    if copied.is_empty() && !is_newer {
        return;
    }
    let annotations = set.metadata.annotations.get_or_insert_default();
    annotations.extend(copied);
    if is_newer && let Some(before) = annotations.insert(REVISION.to_owned(), revision.to_owned()) {
        remember(annotations, &before);
    }
}

/// Adds `revision` to the history, which forgets the oldest when it gets too long.
fn remember(annotations: &mut BTreeMap<String, String>, revision: &str) {
    let history = annotations.get(HISTORY).cloned().unwrap_or_default();
    let mut revisions: Vec<&str> = history.split(',').filter(|revision| !revision.is_empty()).collect();
    revisions.push(revision);
    let mut length: usize = revisions.iter().map(|revision| revision.len() + 1).sum::<usize>() - 1;
    while length > HISTORY_MAX && revisions.len() > 1 {
        length -= revisions.remove(0).len() + 1;
    }
    annotations.insert(HISTORY.to_owned(), revisions.join(","));
}

/// Notes on `set` how large the Deployment was when it was scaled.
pub(super) fn annotate_size(deployment: &Deployment, set: &mut ReplicaSet) {
    let desired = super::scale::desired(deployment);
    let annotations = set.metadata.annotations.get_or_insert_default();
    annotations.insert(DESIRED.to_owned(), desired.to_string());
    annotations.insert(MAX.to_owned(), (desired + max_surge(deployment)).to_string());
}

/// A size that was noted on `set`.
pub(super) fn noted(set: &ReplicaSet, key: &str) -> Option<i32> {
    set.metadata.annotations.as_ref()?.get(key)?.parse().ok().filter(|size| *size >= 0)
}
