//! What a StatefulSet's status says.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetStatus};

use super::history::{History, name};
use super::identity::revision_of;
use crate::objects::Pod;

/// The status with these pods, `updating` of which are about to be deleted for an update.
pub(super) fn status(
    set: &StatefulSet,
    history: &History,
    pods: &[Pod],
    updating: i32,
    now: Timestamp,
) -> StatefulSetStatus {
    let spec = set.spec.clone().unwrap_or_default();
    let min_ready_seconds = spec.min_ready_seconds.unwrap_or_default();
    let count = |holds: &dyn Fn(&Pod) -> bool| pods.iter().filter(|pod| holds(pod)).count() as i32;
    let is_ready = |pod: &Pod| pod.status.phase == "Running" && pod.is_ready();
    let of = |revision: &str| count(&|pod| !pod.metadata.is_deleting() && revision_of(pod) == revision);
    let (current, update) = (name(&history.current), name(&history.update));
    let mut status = StatefulSetStatus {
        observed_generation: set.metadata.generation,
        replicas: count(&|pod| !pod.status.phase.is_empty()),
        ready_replicas: Some(count(&is_ready)),
        available_replicas: Some(count(&|pod| is_ready(pod) && pod.is_available(min_ready_seconds, now))),
        current_replicas: Some(of(current) - updating),
        updated_replicas: Some(of(update)),
        current_revision: Some(current.to_owned()),
        update_revision: Some(update.to_owned()),
        collision_count: Some(
            set.status.as_ref().and_then(|status| status.collision_count).unwrap_or_default(),
        ),
        conditions: None,
    };
    let is_rolling = spec.update_strategy.and_then(|strategy| strategy.type_).as_deref() != Some("OnDelete");
    let wanted = spec.replicas.unwrap_or(1);
    let all = [status.updated_replicas, status.ready_replicas, Some(status.replicas)];
    if is_rolling && all.iter().all(|count| *count == Some(wanted)) {
        status.current_replicas = status.updated_replicas;
        status.current_revision = status.update_revision.clone();
    }
    status
}
