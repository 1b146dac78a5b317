//! What a Deployment's status says, and the creation of a ReplicaSet, of which it tells
//! (k8s.io/kubernetes/pkg/controller/deployment/{sync,progress}.go).

use std::time::Duration;

use decapod_client::reference;
use decapod_sys::planted::{Bug, is_planted};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet};

use super::reconcile::State;
use super::revision;
use super::rollout::{Rollout, replicas, size_of_first};
use super::scale::{desired, max_unavailable};
use crate::objects::time;
use crate::runtime::{Live, Note, Write};

pub(super) const PROGRESSING: &str = "Progressing";
const AVAILABLE: &str = "Available";
const FAILURE: &str = "ReplicaFailure";
const TIMED_OUT: &str = "ProgressDeadlineExceeded";
const NEW_AVAILABLE: &str = "NewReplicaSetAvailable";

/// Whether the rollout has to get on within some time.
pub(super) fn has_deadline(deployment: &Deployment) -> bool {
    deadline(deployment).is_some()
}

fn deadline(deployment: &Deployment) -> Option<i32> {
    deployment.spec.as_ref()?.progress_deadline_seconds.filter(|seconds| *seconds != i32::MAX)
}

/// Whether `status` says that all there should be is there and nothing else.
pub(super) fn is_complete(deployment: &Deployment, status: &DeploymentStatus) -> bool {
    let desired = Some(desired(deployment));
    let or_zero = |count: Option<i32>| Some(count.unwrap_or_default());
    or_zero(status.updated_replicas) == desired
        && or_zero(status.replicas) == desired
        && or_zero(status.available_replicas) == desired
        && status.observed_generation >= deployment.metadata.generation
}

/// The condition `kind`.
pub(super) fn condition<'a>(status: &'a DeploymentStatus, kind: &str) -> Option<&'a DeploymentCondition> {
    status.conditions.iter().flatten().find(|condition| condition.type_ == kind)
}

/// Sets a condition, unless its value and reason are so already.
pub(super) fn set_condition(
    status: &mut DeploymentStatus,
    kind: &str,
    value: &str,
    reason: &str,
    message: String,
    now: Timestamp,
) {
    let now = time::seconds(now);
    let mut new = DeploymentCondition {
        type_: kind.to_owned(),
        status: value.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_update_time: Some(now.clone()),
        last_transition_time: Some(now),
    };
    if let Some(current) = condition(status, kind) {
        if current.status == value && current.reason == new.reason {
            return;
        }
        if current.status == value {
            new.last_transition_time = current.last_transition_time.clone();
        }
    }
    remove_condition(status, kind);
    status.conditions.get_or_insert_default().push(new);
}

fn remove_condition(status: &mut DeploymentStatus, kind: &str) {
    if let Some(conditions) = &mut status.conditions {
        conditions.retain(|condition| condition.type_ != kind);
    }
}

/// The counts, and whether enough replicas are available.
pub(super) fn plain(rollout: &Rollout) -> DeploymentStatus {
    let deployment = &rollout.deployment;
    let old = deployment.status.clone().unwrap_or_default();
    let sum =
        |count: &dyn Fn(&ReplicaSet) -> i32| rollout.sets.iter().map(|set| count(&set.current)).sum::<i32>();
    let of_status = |set: &ReplicaSet| set.status.clone().unwrap_or_default();
    let available = sum(&|set| of_status(set).available_replicas.unwrap_or_default());
    let unavailable = (sum(&replicas) - available).max(0);
    let updated = rollout.new_set().map(|set| of_status(set).replicas).unwrap_or_default();
    let mut status = DeploymentStatus {
        observed_generation: deployment.metadata.generation,
        replicas: Some(sum(&|set| of_status(set).replicas)),
        updated_replicas: Some(updated),
        ready_replicas: Some(sum(&|set| of_status(set).ready_replicas.unwrap_or_default())),
        available_replicas: Some(available),
        unavailable_replicas: Some(unavailable),
        terminating_replicas: Some(sum(&|set| of_status(set).terminating_replicas.unwrap_or_default())),
        collision_count: old.collision_count,
        conditions: old.conditions,
    };
    let enough = available >= desired(deployment) - max_unavailable(deployment);
    let (value, reason, message) = if enough {
        ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    } else {
        ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    };
    set_condition(&mut status, AVAILABLE, value, reason, message.to_owned(), rollout.now);
    status
}

/// The same with the progress of the rollout, and when to look whether it is late.
pub(super) fn of_rollout(rollout: &Rollout) -> (DeploymentStatus, Option<Duration>) {
    let deployment = &rollout.deployment;
    let old = deployment.status.clone().unwrap_or_default();
    let mut status = plain(rollout);
    progress(rollout, &old, &mut status);
    let failures = rollout.new_set().into_iter().chain(rollout.sets.iter().map(|set| &set.current));
    let mut failures = failures.filter_map(|set| {
        let conditions = set.status.as_ref()?.conditions.as_ref()?;
        conditions.iter().find(|condition| condition.type_ == FAILURE)
    });
    match failures.next() {
        Some(failure) => {
            let (reason, message) = (failure.reason.clone().unwrap_or_default(), failure.message.clone());
            set_condition(
                &mut status,
                FAILURE,
                &failure.status,
                &reason,
                message.unwrap_or_default(),
                rollout.now,
            );
        }
        None => remove_condition(&mut status, FAILURE),
    }
    let again_after = late_in(deployment, &status, rollout.now);
    (status, again_after)
}

fn progress(rollout: &Rollout, old: &DeploymentStatus, status: &mut DeploymentStatus) {
    let (deployment, now) = (&rollout.deployment, rollout.now);
    if !has_deadline(deployment) {
        return remove_condition(status, PROGRESSING);
    }
    let current = condition(status, PROGRESSING).cloned();
    let reason = current.as_ref().and_then(|condition| condition.reason.clone()).unwrap_or_default();
    if status.replicas == status.updated_replicas && reason == NEW_AVAILABLE {
        return;
    }
    let what = match rollout.new_set().and_then(|set| set.metadata.name.as_ref()) {
        Some(name) => format!("ReplicaSet \"{name}\""),
        None => format!("Deployment \"{}\"", deployment.metadata.name.as_deref().unwrap_or_default()),
    };
    if is_complete(deployment, status) {
        let message = format!("{what} has successfully progressed.");
        set_condition(status, PROGRESSING, "True", NEW_AVAILABLE, message, now);
    } else if has_progressed(old, status) {
        // The time of the update is what counts against the deadline, so it moves even if nothing else does.
        remove_condition(status, PROGRESSING);
        set_condition(
            status,
            PROGRESSING,
            "True",
            "ReplicaSetUpdated",
            format!("{what} is progressing."),
            now,
        );
        let since = current.filter(|condition| condition.status == "True");
        let new = status.conditions.iter_mut().flatten().find(|condition| condition.type_ == PROGRESSING);
        if let (Some(since), Some(new)) = (since, new) {
            new.last_transition_time = since.last_transition_time;
        }
    } else if reason != NEW_AVAILABLE && is_late(deployment, current.as_ref(), now) {
        let message = format!("{what} has timed out progressing.");
        set_condition(status, PROGRESSING, "False", TIMED_OUT, message, now);
    } else if current.is_none() && rollout.new_at.is_some() {
        let name = rollout.new_set().and_then(|set| set.metadata.name.clone()).unwrap_or_default();
        let message = format!("Found new replica set \"{name}\"");
        set_condition(status, PROGRESSING, "True", "FoundNewReplicaSet", message, now);
    }
}

fn has_progressed(old: &DeploymentStatus, new: &DeploymentStatus) -> bool {
    let count = |count: Option<i32>| count.unwrap_or_default();
    let outdated = |status: &DeploymentStatus| count(status.replicas) - count(status.updated_replicas);
    count(new.updated_replicas) > count(old.updated_replicas)
        || outdated(new) < outdated(old)
        || count(new.ready_replicas) > count(old.ready_replicas)
        || count(new.available_replicas) > count(old.available_replicas)
}

fn is_late(deployment: &Deployment, current: Option<&DeploymentCondition>, now: Timestamp) -> bool {
    let (Some(seconds), Some(current)) = (deadline(deployment), current) else { return false };
    if current.reason.as_deref() == Some(TIMED_OUT) {
        return true;
    }
    let since = current.last_update_time.as_ref();
    since.is_some_and(|since| time::until(since.0, seconds.into(), now).is_zero())
}

/// When the rollout will be late, should nothing happen; `None` if it is done, or late already.
fn late_in(deployment: &Deployment, status: &DeploymentStatus, now: Timestamp) -> Option<Duration> {
    let seconds = deadline(deployment)?;
    let current = condition(status, PROGRESSING)?;
    if is_complete(deployment, status) || current.reason.as_deref() == Some(TIMED_OUT) {
        return None;
    }
    let since = current.last_update_time.as_ref()?;
    Some(time::until(since.0, seconds.into(), now) + Duration::from_secs(1))
}

// === a new ReplicaSet ===

/// Creates the ReplicaSet of the present template; or, if its name is taken by another, sees to another name.
pub(super) fn create(rollout: &mut Rollout, state: &State, live: &Live) {
    let status = rollout.deployment.status.get_or_insert_default();
    let is_lost =
        is_planted(Bug::LostAnswer) && live.failure.as_ref().is_some_and(|failure| failure.code == 503);
    if state.taken.is_some() || is_lost {
        status.collision_count = Some(status.collision_count.unwrap_or_default() + 1);
        return;
    }
    let size = size_of_first(rollout);
    let set = revision::make(&rollout.deployment, revision::newest(rollout.old()) + 1, size);
    let name = set.metadata.name.clone().unwrap_or_default();
    let about = reference(&rollout.deployment);
    let failed = format!("Failed to create new replica set \"{name}\": ");
    let mut write = Write::create(&set).or_saying(Note::warning(
        about.clone(),
        "ReplicaSetCreateError",
        format!("{failed}{{error}}"),
    ));
    if size > 0 {
        let message = format!("Scaled up replica set {{name}} from 0 to {size}");
        write = write.saying(Note::normal(about, "ScalingReplicaSet", message));
    }
    if !has_deadline(&rollout.deployment) {
        return rollout.plan.write(write);
    }
    let now = rollout.now;
    if let Some(failure) = live.failure.as_ref().filter(|failure| !failure.is_conflict()) {
        let mut status = rollout.deployment.status.clone().unwrap_or_default();
        let message = format!("{failed}{}", failure.message);
        set_condition(&mut status, PROGRESSING, "False", "ReplicaSetCreateError", message, now);
        // Written before the next attempt, and then not once more: the attempt may well fail again.
        rollout.write_status(status);
        rollout.plan.write(write);
        return rollout.seal_status();
    }
    rollout.plan.write(write);
    let status = rollout.deployment.status.get_or_insert_default();
    let message = format!("Created new replica set \"{name}\"");
    set_condition(status, PROGRESSING, "True", "NewReplicaSetCreated", message, now);
}
