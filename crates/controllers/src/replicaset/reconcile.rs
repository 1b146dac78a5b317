//! How many pods to create or delete, and what the status says.

use decapod_client::reference;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetStatus};
use k8s_openapi::api::core::v1 as core;

use super::{Replicated, ranking};
use crate::objects::owner::Claimant;
use crate::objects::status::same;
use crate::objects::{Meta, Pod, labels, owner, template, time};
use crate::runtime::{Action, Live, Plan, Write};

/// How many pods are created or deleted in one go.
const BURST: usize = 500;

/// What is known of a set of replicas.
#[derive(Clone, Debug)]
pub struct State<K> {
    /// Itself.
    pub original: K,
    /// Itself, seen as a ReplicaSet.
    pub set: ReplicaSet,
    /// Its pods, and those of its namespace that nobody controls.
    pub pods: Vec<Pod>,
    /// The pods of those with the same owner, its own included; only needed when some are to go.
    pub related: Vec<Pod>,
}

pub(super) fn reconcile<K: Replicated>(state: &State<K>, live: &Live, now: Timestamp) -> Plan {
    let meta = Meta::from(&state.set.metadata);
    let Some(spec) = &state.set.spec else { return Plan::nothing() };
    // What has ended is let go of by nobody; what is going away still counts for the status.
    let (terminating, active): (Vec<Pod>, Vec<Pod>) =
        state.pods.iter().filter(|pod| !pod.is_terminal()).cloned().partition(Pod::is_terminating);
    let claimed = Claimant::new::<K>(&meta).claim::<core::Pod, _>(
        active,
        |pod| &pod.metadata,
        |pod| labels::selects(&spec.selector, &pod.metadata.labels),
        live,
    );
    let mut pods = match claimed.settled() {
        Ok(pods) => pods,
        Err(first) => return first,
    };
    let controlled =
        |pod: &&Pod| pod.metadata.controller().is_some_and(|controller| controller.uid == meta.uid);
    let terminating = terminating
        .iter()
        .filter(controlled)
        .filter(|pod| labels::selects(&spec.selector, &pod.metadata.labels))
        .count();

    let mut plan = Plan::nothing();
    let new = state.original.with_status(status(&state.set, &pods, terminating, live, now));
    if !same(&state.set.status, &new.as_replica_set().status) {
        plan.write(Write::update_status(&new));
    }
    let min_ready_seconds = spec.min_ready_seconds.unwrap_or_default();
    for delay in pods.iter().filter_map(|pod| pod.available_in(min_ready_seconds, now)) {
        plan.again_after(delay);
    }
    if !meta.is_deleting() {
        plan.actions.extend(scale(state, &meta, &mut pods, now));
    }
    plan
}

/// The creations or deletions that it takes.
fn scale<K: Replicated>(state: &State<K>, meta: &Meta, pods: &mut [Pod], now: Timestamp) -> Option<Action> {
    let spec = state.set.spec.as_ref()?;
    let wanted = usize::try_from(spec.replicas.unwrap_or(1)).unwrap_or_default();
    let about = reference(&state.original);
    if pods.len() < wanted {
        let controller = owner::reference::<K>(meta);
        let pod = template::pod(spec.template.as_ref()?, &meta.namespace, controller);
        let missing = (wanted - pods.len()).min(BURST);
        return Some(Action::SlowStart((0..missing).map(|_| template::create(&pod, &about)).collect()));
    }
    let surplus = (pods.len() - wanted).min(BURST);
    if surplus == 0 {
        return None;
    }
    if surplus < pods.len() {
        ranking::rank(pods, &state.related, now);
    }
    Some(Action::Parallel(
        pods[..surplus].iter().map(|pod| template::delete(&pod.metadata, &about)).collect(),
    ))
}

fn status(
    set: &ReplicaSet,
    pods: &[Pod],
    terminating: usize,
    live: &Live,
    now: Timestamp,
) -> ReplicaSetStatus {
    let (meta, old) = (&set.metadata, set.status.clone().unwrap_or_default());
    let spec = set.spec.clone().unwrap_or_default();
    let template_labels =
        spec.template.and_then(|template| template.metadata).and_then(|meta| meta.labels).unwrap_or_default();
    let min_ready_seconds = spec.min_ready_seconds.unwrap_or_default();
    let count = |holds: &dyn Fn(&Pod) -> bool| pods.iter().filter(|pod| holds(pod)).count() as i32;
    let non_zero = |count: i32| (count != 0).then_some(count);
    let replicas = pods.len() as i32;
    ReplicaSetStatus {
        replicas,
        fully_labeled_replicas: non_zero(count(&|pod| {
            labels::contains(&pod.metadata.labels, &template_labels)
        })),
        ready_replicas: non_zero(count(&Pod::is_ready)),
        available_replicas: non_zero(count(&|pod| pod.is_available(min_ready_seconds, now))),
        terminating_replicas: Some(terminating as i32),
        observed_generation: meta.generation,
        conditions: conditions(old.conditions, replicas - spec.replicas.unwrap_or(1), live, now),
    }
}

/// The conditions, with `ReplicaFailure` as long as pods cannot be created or deleted.
fn conditions(
    old: Option<Vec<ReplicaSetCondition>>,
    surplus: i32,
    live: &Live,
    now: Timestamp,
) -> Option<Vec<ReplicaSetCondition>> {
    const FAILURE: &str = "ReplicaFailure";
    let mut conditions = old.unwrap_or_default();
    let failing = conditions.iter().any(|condition| condition.type_ == FAILURE);
    // A conflict is about the status itself.
    match live.failure.as_ref().filter(|status| !status.is_conflict()) {
        Some(failure) if !failing => conditions.push(ReplicaSetCondition {
            type_: FAILURE.to_owned(),
            status: "True".to_owned(),
            reason: match surplus {
                ..0 => Some("FailedCreate".to_owned()),
                1.. => Some("FailedDelete".to_owned()),
                0 => None,
            },
            message: Some(failure.message.clone()),
            last_transition_time: Some(time::seconds(now)),
        }),
        Some(_) => {}
        None => conditions.retain(|condition| condition.type_ != FAILURE),
    }
    (!conditions.is_empty()).then_some(conditions)
}
