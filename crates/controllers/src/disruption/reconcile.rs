//! How many pods may go, and what a pod is told no longer.

use std::collections::BTreeMap;
use std::time::Duration;

use decapod_client::reference;
use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::json;

use super::budget;
use super::scale::{self, Count, Scale};
use crate::objects::status::same;
use crate::objects::{Pod, intstr, time};
use crate::runtime::{Live, Note, Plan, Write};

/// How long, in seconds, an eviction may take to delete its pod, before the pod counts as staying.
const DELETED_WITHIN: i64 = 120;
/// How long, in seconds, a pod may be said to be disrupted without being deleted.
const DISRUPTED_WITHIN: i64 = 120;

/// What is known.
#[derive(Clone, Debug)]
pub enum State {
    /// Of a budget.
    Budget {
        /// Itself.
        budget: Box<PodDisruptionBudget>,
        /// The pods that it selects.
        pods: Vec<Pod>,
        /// What their controllers, by UID, want.
        scales: BTreeMap<String, Scale>,
    },
    /// Of a pod.
    Pod {
        /// Itself.
        pod: Box<Pod>,
        /// The names of the budgets that select it.
        budgets: Vec<String>,
    },
}

/// How many pods there should be.
struct Wanted {
    expected: i32,
    healthy: i32,
    has_unmanaged: bool,
}

pub(super) fn reconcile(state: &State, live: &Live, now: Timestamp) -> Plan {
    match state {
        State::Budget { budget, pods, scales } => of_budget(budget, pods, scales, live, now),
        State::Pod { pod, budgets } => of_pod(pod, budgets, now),
    }
}

fn of_budget(
    budget: &PodDisruptionBudget,
    pods: &[Pod],
    scales: &BTreeMap<String, Scale>,
    live: &Live,
    now: Timestamp,
) -> Plan {
    let mut plan = Plan::nothing();
    let about = reference(budget);
    if pods.is_empty() {
        plan.note(Note::normal(about.clone(), "NoPods", "No matching pods found"));
    }
    let mut status = budget.status.clone().unwrap_or_default();
    match wanted(budget, pods, scales, live) {
        Err(Count::Ask(reads)) => return Plan::ask(reads),
        Err(Count::Fails(why)) => {
            let message = format!("Failed to calculate the number of expected pods: {why}");
            plan.note(Note::warning(about, "CalculateExpectedPodCountFailed", message));
            budget::set_failed(&mut status, &why, now);
        }
        Err(Count::Is { .. }) => {}
        Ok(wanted) => {
            if wanted.has_unmanaged {
                let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
                let message = format!(
                    "Pods selected by this PodDisruptionBudget (selector: {}) were found to be unmanaged. As a result, the status of the PDB cannot be calculated correctly, which may result in undefined behavior. To account for these pods please set \".spec.minAvailable\" field of the PDB to an integer value.",
                    budget::print(selector)
                );
                plan.note(Note::warning(about, "UnmanagedPods", message));
            }
            settle(&mut status, budget, pods, &wanted, now, &mut plan);
        }
    }
    if !same(&budget.status, &status) {
        let new = PodDisruptionBudget { status: Some(status), ..budget.clone() };
        plan.write(Write::update_status(&new));
    }
    plan
}

fn wanted(
    budget: &PodDisruptionBudget,
    pods: &[Pod],
    scales: &BTreeMap<String, Scale>,
    live: &Live,
) -> Result<Wanted, Count> {
    let spec = budget.spec.clone().unwrap_or_default();
    let expected = || match scale::count(pods, scales, live) {
        Count::Is { expected, has_unmanaged } => Ok((expected, has_unmanaged)),
        other => Err(other),
    };
    match (&spec.max_unavailable, &spec.min_available) {
        (Some(max), _) => {
            let (expected, has_unmanaged) = expected()?;
            let healthy = (expected - intstr::scaled(Some(max), expected, true)).max(0);
            Ok(Wanted { expected, healthy, has_unmanaged })
        }
        (None, Some(IntOrString::Int(min))) => {
            Ok(Wanted { expected: pods.len() as i32, healthy: *min, has_unmanaged: false })
        }
        (None, Some(min)) => {
            let (expected, has_unmanaged) = expected()?;
            Ok(Wanted { expected, healthy: intstr::scaled(Some(min), expected, true), has_unmanaged })
        }
        (None, None) => Ok(Wanted { expected: 0, healthy: 0, has_unmanaged: false }),
    }
}

/// Writes into `status` what the pods are like.
fn settle(
    status: &mut PodDisruptionBudgetStatus,
    budget: &PodDisruptionBudget,
    pods: &[Pod],
    wanted: &Wanted,
    now: Timestamp,
    plan: &mut Plan,
) {
    let evicted = status.disrupted_pods.take().unwrap_or_default();
    let left = |at: &Time| time::until(at.0, DELETED_WITHIN, now);
    let mut disrupted = BTreeMap::new();
    let mut healthy = 0;
    for pod in pods.iter().filter(|pod| !pod.metadata.is_deleting()) {
        let at = evicted.get(&pod.metadata.name);
        match at {
            Some(at) if left(at).is_zero() => {
                let meta = &budget.metadata;
                let (namespace, name) = (meta.namespace.as_deref(), meta.name.as_deref());
                let of = format!("{}/{}", namespace.unwrap_or_default(), name.unwrap_or_default());
                let message = format!("Pod was expected by PDB {of} to be deleted but it wasn't");
                plan.note(Note::warning(pod.reference(), "NotDeleted", message));
            }
            Some(at) => {
                plan.again_after(left(at));
                disrupted.insert(pod.metadata.name.clone(), at.clone());
                continue;
            }
            None => {}
        }
        healthy += i32::from(pod.is_ready());
    }
    let allowed = if wanted.expected > 0 { (healthy - wanted.healthy).max(0) } else { 0 };
    status.current_healthy = Some(healthy);
    status.desired_healthy = Some(wanted.healthy);
    status.expected_pods = Some(wanted.expected);
    status.disruptions_allowed = Some(allowed);
    status.disrupted_pods = (!disrupted.is_empty()).then_some(disrupted);
    status.observed_generation = budget.metadata.generation;
    budget::set_condition(status, now);
}

fn of_pod(pod: &Pod, budgets: &[String], now: Timestamp) -> Plan {
    let mut plan = Plan::nothing();
    let meta = &pod.metadata;
    if let [first, _, ..] = budgets {
        let message = format!(
            "Pod {:?}/{:?} matches multiple PodDisruptionBudgets.  Chose {first:?} arbitrarily.",
            meta.namespace, meta.name
        );
        plan.note(Note::warning(pod.reference(), "MultiplePodDisruptionBudgets", message));
    }
    let Some(condition) = pod.condition("DisruptionTarget") else { return plan };
    let by_kubelet = condition.reason.as_deref() == Some("TerminationByKubelet");
    if meta.is_deleting() || pod.is_terminal() || condition.status != "True" || by_kubelet {
        return plan;
    }
    let since = condition.last_transition_time.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    let left = time::until(since, DISRUPTED_WITHIN, now);
    if left > Duration::ZERO {
        plan.again_after(left);
        return plan;
    }
    let condition = json!({"type": "DisruptionTarget", "status": "False", "reason": null, "message": null,
        "lastTransitionTime": time::seconds(now)});
    let patch = json!({"metadata": {"uid": meta.uid}, "status": {"conditions": [condition]}});
    plan.write(
        Write::patch::<core::Pod>(&meta.namespace, &meta.name, "status", &patch).tolerating(&["NotFound"]),
    );
    plan
}
