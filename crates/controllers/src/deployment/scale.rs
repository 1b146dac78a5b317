//! Sizes: what the strategy allows, and a change of the Deployment's own size in the middle of a rollout.

use std::cmp::Reverse;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};

use super::revision;
use super::rollout::{Rollout, is_recreate, replicas};
use crate::objects::{Meta, intstr};

/// How many replicas are wanted.
pub(super) fn desired(deployment: &Deployment) -> i32 {
    deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

/// How many more, and how many fewer than wanted there may be during a rollout; never none of both.
fn fenceposts(deployment: &Deployment) -> (i32, i32) {
    if is_recreate(deployment) {
        return (0, 0);
    }
    let strategy = deployment.spec.as_ref().and_then(|spec| spec.strategy.as_ref()?.rolling_update.clone());
    let rolling = strategy.unwrap_or_default();
    let desired = desired(deployment);
    let surge = intstr::scaled(rolling.max_surge.as_ref(), desired, true);
    let unavailable = intstr::scaled(rolling.max_unavailable.as_ref(), desired, false);
    if surge == 0 && unavailable == 0 { (0, 1) } else { (surge, unavailable) }
}

/// How many more than wanted there may be.
pub(super) fn max_surge(deployment: &Deployment) -> i32 {
    fenceposts(deployment).0
}

/// How many of those wanted may be unavailable.
pub(super) fn max_unavailable(deployment: &Deployment) -> i32 {
    fenceposts(deployment).1.min(desired(deployment))
}

/// Whether the Deployment's size has changed since its ReplicaSets were last scaled.
pub(super) fn is_scaling(rollout: &Rollout) -> bool {
    let desired = desired(&rollout.deployment);
    let active = rollout.sets.iter().filter(|set| replicas(&set.current) > 0);
    active.filter_map(|set| revision::noted(&set.current, revision::DESIRED)).any(|noted| noted != desired)
}

/// Follows a change of size: the one active ReplicaSet takes it all; in the middle of a rollout, each in proportion.
pub(super) fn scale(rollout: &mut Rollout) {
    let desired = desired(&rollout.deployment);
    if let Some(at) = active_or_latest(rollout) {
        rollout.resize(at, desired);
        return;
    }
    let is_saturated =
        rollout.new_at.is_some_and(|at| is_saturated(&rollout.deployment, &rollout.sets[at].current));
    if is_saturated {
        for at in rollout.old_at() {
            rollout.resize(at, 0);
        }
        return;
    }
    if !is_recreate(&rollout.deployment) {
        proportionally(rollout, desired);
    }
}

/// The only ReplicaSet with replicas; if none has any, the new one, or the latest.
fn active_or_latest(rollout: &Rollout) -> Option<usize> {
    let active: Vec<usize> =
        (0..rollout.sets.len()).filter(|at| replicas(&rollout.sets[*at].current) > 0).collect();
    match active.as_slice() {
        [] => rollout.new_at.or_else(|| rollout.old_at().into_iter().next_back()),
        [one] => Some(*one),
        _ => None,
    }
}

/// Whether the new ReplicaSet is all that there should be.
fn is_saturated(deployment: &Deployment, set: &ReplicaSet) -> bool {
    let desired = desired(deployment);
    let available = set.status.as_ref().and_then(|status| status.available_replicas).unwrap_or_default();
    replicas(set) == desired
        && revision::noted(set, revision::DESIRED) == Some(desired)
        && available == desired
}

fn proportionally(rollout: &mut Rollout, desired: i32) {
    let mut active: Vec<usize> =
        (0..rollout.sets.len()).filter(|at| replicas(&rollout.sets[*at].current) > 0).collect();
    let total: i32 = active.iter().map(|at| replicas(&rollout.sets[*at].current)).sum();
    let allowed = if desired > 0 { desired + max_surge(&rollout.deployment) } else { 0 };
    let to_add = allowed - total;
    // The largest take what rounding leaves over; among equals, when growing the newer, when shrinking the older.
    let key = |at: &usize| {
        let meta = Meta::from(&rollout.sets[*at].current.metadata);
        (Reverse(replicas(&rollout.sets[*at].current)), meta.created(), meta.name)
    };
    active.sort_by_key(key);
    if to_add > 0 {
        active.sort_by(|a, b| {
            let (a, b) = (key(a), key(b));
            a.0.cmp(&b.0).then_with(|| (b.1, b.2).cmp(&(a.1, a.2)))
        });
    }
    let mut added = 0;
    let mut sizes: Vec<i32> = Vec::new();
    for at in &active {
        let set = &rollout.sets[*at].current;
        let share = share(&rollout.deployment, set, to_add - added, to_add);
        added += share;
        sizes.push(replicas(set) + share);
    }
    if let Some(first) = sizes.first_mut().filter(|_| to_add != 0) {
        *first = (*first + to_add - added).max(0);
    }
    for (at, size) in active.into_iter().zip(sizes) {
        rollout.resize_noting(at, size);
    }
}

/// How many of the replicas to add, or to take, `set` gets in proportion to its size.
fn share(deployment: &Deployment, set: &ReplicaSet, left: i32, to_add: i32) -> i32 {
    if replicas(set) == 0 || to_add == 0 || left == 0 {
        return 0;
    }
    let share = fraction(deployment, set);
    if to_add > 0 { share.min(left) } else { share.max(left) }
}

fn fraction(deployment: &Deployment, set: &ReplicaSet) -> i32 {
    let desired = desired(deployment);
    if desired == 0 {
        return -replicas(set);
    }
    let now = desired + max_surge(deployment);
    let status = deployment.status.as_ref().and_then(|status| status.replicas).unwrap_or_default();
    let before = revision::noted(set, revision::MAX).filter(|max| *max != 0).unwrap_or(status);
    if before == 0 {
        return 0;
    }
    let size = f64::from(replicas(set)) * f64::from(now) / f64::from(before);
    size.round() as i32 - replicas(set)
}
