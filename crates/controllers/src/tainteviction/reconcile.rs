//! Whether a pod has to go, and when.

use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;

use crate::objects::labels::tolerates;
use crate::objects::{Pod, pod, time};
use crate::runtime::{Note, Plan, Write};

/// What is known of a pod on a tainted node.
#[derive(Clone, Debug)]
pub struct State {
    /// Itself.
    pub pod: Pod,
    /// The NoExecute taints of its node; empty if they have been taken off.
    pub taints: Vec<core::Taint>,
    /// Since when it has borne them.
    pub since: Timestamp,
}

pub(super) fn reconcile(state: &State, now: Timestamp) -> Plan {
    let (pod, meta) = (&state.pod, &state.pod.metadata);
    let mut plan = Plan::nothing();
    if meta.is_deleting() {
        return plan;
    }
    if state.taints.is_empty() {
        let message = format!("Cancelling deletion of Pod {}", meta.key());
        plan.note(Note::normal(pod.reference(), "TaintManagerEviction", message));
        return plan;
    }
    let Some(seconds) = tolerated_seconds(state) else { return plan };
    let left = time::until(state.since, seconds, now);
    if seconds > 0 && !left.is_zero() {
        plan.again_after(left);
        return plan;
    }
    let message = format!("Marking for deletion Pod {}", meta.key());
    plan.note(Note::normal(pod.reference(), "TaintManagerEviction", message));
    let why = "Taint manager: deleting due to NoExecute taint";
    let patch = pod::disruption("DeletionByTaintManager", why, None, now);
    let mark = Write::patch::<core::Pod>(&meta.namespace, &meta.name, "status", &patch);
    plan.write(mark.tolerating(&["NotFound"]));
    plan.write(
        Write::delete::<core::Pod>(&meta.namespace, &meta.name, &meta.uid)
            .tolerating(&["NotFound", "Conflict"]),
    );
    plan
}

/// For how long all taints are tolerated: 0 if one is not at all, `None` if for ever.
fn tolerated_seconds(state: &State) -> Option<i64> {
    let tolerations = &state.pod.spec.tolerations;
    let mut least = None;
    for taint in &state.taints {
        let Some(used) = tolerations.iter().find(|toleration| tolerates(toleration, taint)) else {
            return Some(0);
        };
        if let Some(seconds) = used.toleration_seconds {
            least = Some(least.map_or(seconds, |least: i64| least.min(seconds)).max(0));
        }
    }
    least
}
