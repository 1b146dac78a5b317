//! The revisions of a DaemonSet's template, by which a rollout can be undone.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet};
use serde_json::Value;

use crate::objects::{Meta, Pod, hash, owner, revision, status};
use crate::runtime::{Action, Plan, Write};

/// The label that says of which revision a pod is.
pub(super) const HASH: &str = "controller-revision-hash";
/// The label of the same purpose from before there were revisions, and the annotation that it is taken from.
pub(super) const GENERATION_LABEL: &str = "pod-template-generation";
const GENERATION: &str = "deprecated.daemonset.template.generation";

/// The revision of the present template, and the others from the oldest to the newest.
pub(super) struct History {
    pub hash: String,
    pub old: Vec<ControllerRevision>,
}

/// The generation of the template, as far as that is told.
pub(super) fn generation(set: &DaemonSet) -> Option<String> {
    let text = set.metadata.annotations.as_ref()?.get(GENERATION)?;
    text.parse::<i64>().ok().map(|generation| generation.to_string())
}

/// Whether `pod` is of the present template.
pub(super) fn is_updated(set: &DaemonSet, pod: &Pod, hash: &str) -> bool {
    let label = |key: &str| pod.metadata.labels.get(key);
    let of_generation =
        generation(set).is_some_and(|generation| label(GENERATION_LABEL) == Some(&generation));
    of_generation || !hash.is_empty() && label(HASH).is_some_and(|other| other == hash)
}

fn hash_of(set: &DaemonSet) -> String {
    let collisions = set.status.as_ref().and_then(|status| status.collision_count);
    set.spec.as_ref().map(|spec| hash::of_template(&spec.template, collisions)).unwrap_or_default()
}

/// The name that a revision of the present template would get.
pub(super) fn name_of_next(set: &DaemonSet) -> String {
    format!("{}-{}", set.metadata.name.as_deref().unwrap_or_default(), hash_of(set))
}

fn hash_label(revision: &ControllerRevision) -> String {
    let labels = revision.metadata.labels.as_ref();
    labels.and_then(|labels| labels.get(HASH)).cloned().unwrap_or_default()
}

/// The history, or what has to be written before there is one.
pub(super) fn settle(
    set: &DaemonSet,
    revisions: Vec<ControllerRevision>,
    taken: Option<&ControllerRevision>,
) -> Result<History, Plan> {
    let wanted = revision::data(set.spec.as_ref().map(|spec| &spec.template));
    let is_current = |revision: &ControllerRevision| {
        revision.data.as_ref().is_some_and(|data| status::same(&data.0, &wanted))
    };
    let (mut current, mut old): (Vec<_>, Vec<_>) = revisions.into_iter().partition(is_current);
    old.sort_by_key(|revision| revision.revision);
    current.sort_by_key(|revision| revision.revision);
    let next = old.last().map_or(0, |newest| newest.revision) + 1;
    let Some(mut newest) = current.pop() else {
        return Err(match taken {
            Some(taken) if !is_current(taken) => avoid_collision(set),
            Some(_) => Plan::nothing(),
            None => Plan::of(vec![Action::from(Write::create(&make(set, next, wanted)))]),
        });
    };
    // More than one of the same template: the others are as good as old ones.
    old.extend(current);
    if newest.revision < next {
        newest.revision = next;
        return Err(Plan::of(vec![Action::from(Write::update(&newest))]));
    }
    Ok(History { hash: hash_label(&newest), old })
}

fn make(set: &DaemonSet, revision: i64, data: Value) -> ControllerRevision {
    let meta = Meta::from(&set.metadata);
    let template = set.spec.as_ref().map(|spec| &spec.template);
    let made = revision::Made { name: name_of_next(set), label: HASH, hash: hash_of(set), revision, data };
    revision::make(&meta, owner::reference::<DaemonSet>(&meta), template, made)
}

/// Another template has the same hash, so that this one has to have another.
fn avoid_collision(set: &DaemonSet) -> Plan {
    let mut set = set.clone();
    let status = set.status.get_or_insert_default();
    status.collision_count = Some(status.collision_count.unwrap_or_default() + 1);
    Plan::of(vec![Action::from(Write::update_status(&set))])
}

/// Deletes revisions beyond the history that is to be kept, but none that a pod is of.
pub(super) fn clean_up(set: &DaemonSet, history: &History, pods: &[Pod]) -> Vec<Write> {
    let limit = set.spec.as_ref().and_then(|spec| spec.revision_history_limit).unwrap_or(10);
    let surplus = history.old.len().saturating_sub(usize::try_from(limit).unwrap_or_default());
    let live: BTreeSet<&String> = pods.iter().filter_map(|pod| pod.metadata.labels.get(HASH)).collect();
    let spent = history.old.iter().filter(|revision| !live.contains(&hash_label(revision))).take(surplus);
    spent
        .map(|revision| {
            let meta = Meta::from(&revision.metadata);
            Write::delete::<ControllerRevision>(&meta.namespace, &meta.name, &meta.uid)
        })
        .collect()
}
