//! What is said of a node, and done to it.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;
use serde_json::{Value, json};

use super::taints;
use crate::objects::{Node, Pod, time};
use crate::runtime::{Action, Note, Plan, Write};

/// How long a node may be silent; and how long before its first word.
const GRACE_SECONDS: i64 = 50;
const STARTUP_GRACE_SECONDS: i64 = 60;
/// What is not known of a node that is silent.
const CONDITIONS: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];

/// What is known of a node.
#[derive(Clone, Debug)]
pub struct State {
    /// Itself.
    pub node: Node,
    /// When it was heard of last.
    pub heard_at: Timestamp,
    /// Whether this is the first look at it.
    pub is_new: bool,
    /// Its pods; only needed if it is not ready.
    pub pods: Vec<Pod>,
    /// Whether no node at all is ready.
    pub are_all_down: bool,
}

pub(super) fn reconcile(state: &State, now: Timestamp) -> Plan {
    let node = &state.node;
    let name = &node.metadata.name;
    let mut plan = Plan::nothing();
    if state.is_new {
        let message = format!("Node {name} event: Registered Node {name} in Controller");
        plan.note(Note::normal(node.reference(), "RegisteredNode", message));
    }
    let grace = if node.readiness().is_some() { GRACE_SECONDS } else { STARTUP_GRACE_SECONDS };
    let left = time::until(state.heard_at, grace, now);
    if left.is_zero() {
        plan.actions.extend(silent(node, now));
    } else {
        plan.again_after(left + Duration::from_millis(1));
    }
    let wanted = taints::wanted(node, state.are_all_down, now);
    if wanted != node.spec.taints {
        // The list is replaced whole, so it has to be the one that was looked at.
        let metadata = json!({"resourceVersion": node.metadata.resource_version});
        let patch = json!({"metadata": metadata, "spec": {"taints": wanted}});
        plan.write(Write::patch::<core::Node>("", name, "", &patch).tolerating(&["NotFound"]));
    }
    if node.readiness().is_some() && !node.is_ready() {
        plan.actions
            .extend(state.pods.iter().filter(|pod| pod.is_ready()).flat_map(|pod| not_ready(pod, now)));
    }
    plan
}

/// Says that nothing is known of `node`, unless that is said already.
fn silent(node: &Node, now: Timestamp) -> Vec<Action> {
    let news: Vec<Value> = CONDITIONS.iter().filter_map(|kind| unknown(node, kind, now)).collect();
    if news.is_empty() {
        return Vec::new();
    }
    let name = &node.metadata.name;
    let patch = json!({"status": {"conditions": news}});
    let write = Write::patch::<core::Node>("", name, "status", &patch).tolerating(&["NotFound"]);
    let message = format!("Node {name} status is now: NodeNotReady");
    let note =
        node.is_ready().then(|| Action::Event(Note::normal(node.reference(), "NodeNotReady", message)));
    std::iter::once(Action::from(write)).chain(note).collect()
}

fn unknown(node: &Node, kind: &str, now: Timestamp) -> Option<Value> {
    let since = time::seconds(now);
    match node.condition(kind) {
        Some(condition) if condition.status == "Unknown" => None,
        Some(_) => Some(json!({
            "type": kind, "status": "Unknown", "lastTransitionTime": since,
            "reason": "NodeStatusUnknown", "message": "Kubelet stopped posting node status.",
        })),
        None => Some(json!({
            "type": kind, "status": "Unknown", "lastTransitionTime": since,
            "lastHeartbeatTime": node.metadata.creation_timestamp,
            "reason": "NodeStatusNeverUpdated", "message": "Kubelet never posted node status.",
        })),
    }
}

/// Says that a pod is not ready, for nobody can tell.
fn not_ready(pod: &Pod, now: Timestamp) -> [Action; 2] {
    let meta = &pod.metadata;
    let condition = json!({"type": "Ready", "status": "False", "lastTransitionTime": time::seconds(now)});
    let patch = json!({"metadata": {"uid": meta.uid}, "status": {"conditions": [condition]}});
    let write = Write::patch::<core::Pod>(&meta.namespace, &meta.name, "status", &patch);
    let note = Note::warning(pod.reference(), "NodeNotReady", "Node is not ready");
    [Action::from(write.tolerating(&["NotFound", "Conflict"])), Action::Event(note)]
}
