//! The revisions of a StatefulSet's template.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};

use super::identity::revision_of;
use crate::objects::{Meta, Pod, hash, owner, revision, status};
use crate::runtime::{Action, Plan, Write};

/// The label that tells a revision's hash.
const HASH: &str = "controller.kubernetes.io/hash";
/// What remains of the longest name that a revision may begin with.
const PREFIX_MAX: usize = 223;

/// The revisions that count.
pub(super) struct History {
    /// What the rollout comes from.
    pub current: ControllerRevision,
    /// What it goes to.
    pub update: ControllerRevision,
    /// All of them, from the oldest to the newest.
    pub all: Vec<ControllerRevision>,
}

pub(super) fn name(revision: &ControllerRevision) -> &str {
    revision.metadata.name.as_deref().unwrap_or_default()
}

fn collisions(set: &StatefulSet) -> i32 {
    set.status.as_ref().and_then(|status| status.collision_count).unwrap_or_default()
}

fn next_hash(set: &StatefulSet) -> String {
    let data = revision::data(set.spec.as_ref().map(|spec| &spec.template));
    let mut bytes = serde_json::to_vec(&data).unwrap_or_default();
    bytes.extend(collisions(set).to_string().bytes());
    hash::of_bytes(&bytes, None)
}

/// The name that a revision of the present template would get.
pub(super) fn name_of_next(set: &StatefulSet) -> String {
    let mut prefix = set.metadata.name.clone().unwrap_or_default();
    prefix.truncate(PREFIX_MAX);
    format!("{prefix}-{}", next_hash(set))
}

/// The history, or what has to be written before there is one. `taken` has the name that a new revision would get.
pub(super) fn settle(
    set: &StatefulSet,
    mut revisions: Vec<ControllerRevision>,
    taken: Option<&ControllerRevision>,
) -> Result<History, Plan> {
    let meta = Meta::from(&set.metadata);
    let template = set.spec.as_ref().map(|spec| &spec.template);
    let wanted = revision::data(template);
    let is_wanted = |revision: &ControllerRevision| {
        revision.data.as_ref().is_some_and(|data| status::same(&data.0, &wanted))
    };
    revision::sort(&mut revisions);
    let next = revisions.last().map_or(0, |newest| newest.revision) + 1;
    let update = match revisions.iter().rev().find(|revision| is_wanted(revision)) {
        Some(equal) if equal.revision + 1 == next => equal.clone(),
        Some(equal) => {
            let rolled_back = ControllerRevision { revision: next, ..equal.clone() };
            return Err(Plan::of(vec![Action::from(Write::update(&rolled_back))]));
        }
        None => {
            return Err(match taken {
                Some(taken) if !is_wanted(taken) => avoid_collision(set),
                Some(_) => Plan::nothing(),
                None => {
                    let controller = owner::reference::<StatefulSet>(&meta);
                    let (name, hash) = (name_of_next(set), next_hash(set));
                    let made = revision::Made { name, label: HASH, hash, revision: next, data: wanted };
                    let made = revision::make(&meta, controller, template, made);
                    Plan::of(vec![Action::from(Write::create(&made))])
                }
            });
        }
    };
    let at = set.status.as_ref().and_then(|status| status.current_revision.clone()).unwrap_or_default();
    let current = revisions.iter().find(|revision| name(revision) == at).unwrap_or(&update).clone();
    Ok(History { current, update, all: revisions })
}

/// Another template has the same hash, so that this one has to have another.
fn avoid_collision(set: &StatefulSet) -> Plan {
    let mut set = set.clone();
    let count = collisions(&set) + 1;
    set.status.get_or_insert_default().collision_count = Some(count);
    Plan::of(vec![Action::from(Write::update_status(&set))])
}

/// Deletes the oldest revisions beyond the history that is to be kept, but none that counts or that a pod is of.
pub(super) fn clean_up(set: &StatefulSet, history: &History, pods: &[Pod]) -> Vec<Write> {
    let limit = set.spec.as_ref().and_then(|spec| spec.revision_history_limit).unwrap_or(10);
    let mut live: BTreeSet<&str> = pods.iter().map(revision_of).collect();
    live.extend([name(&history.current), name(&history.update)]);
    let spent: Vec<&ControllerRevision> =
        history.all.iter().filter(|revision| !live.contains(name(revision))).collect();
    let surplus = usize::try_from(limit).map_or(0, |limit| spent.len().saturating_sub(limit));
    let metas = spent[..surplus].iter().map(|revision| Meta::from(&revision.metadata));
    metas.map(|meta| Write::delete::<ControllerRevision>(&meta.namespace, &meta.name, &meta.uid)).collect()
}
