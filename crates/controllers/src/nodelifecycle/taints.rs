//! Which taints follow from a node's conditions.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Taint;

use crate::objects::{Node, time};

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// Taints by a condition and its value.
const BY_CONDITION: [(&str, &str, &str); 6] = [
    ("Ready", "False", NOT_READY),
    ("Ready", "Unknown", UNREACHABLE),
    ("MemoryPressure", "True", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    ("NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable"),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
];

/// The taints that `node` should have: those of others, and ours as its conditions call for. No pods are driven off
/// when all nodes are down.
pub(super) fn wanted(node: &Node, are_all_down: bool, now: Timestamp) -> Vec<Taint> {
    let mut ours: Vec<(&str, &str)> = BY_CONDITION
        .iter()
        .filter(|(kind, value, _)| node.condition(kind).is_some_and(|condition| condition.status == *value))
        .map(|(_, _, key)| (*key, "NoSchedule"))
        .collect();
    if node.spec.unschedulable {
        ours.push((UNSCHEDULABLE, "NoSchedule"));
    }
    match node.readiness() {
        _ if are_all_down => {}
        Some("False") => ours.push((NOT_READY, "NoExecute")),
        Some("Unknown") => ours.push((UNREACHABLE, "NoExecute")),
        _ => {}
    }
    // Whoever made the node may have tainted it until it says that it is ready.
    let is_unheard = node.readiness().is_none();
    let keeps = |taint: &&Taint| match is_managed(taint) {
        false => true,
        true => is_unheard || ours.contains(&(taint.key.as_str(), taint.effect.as_str())),
    };
    let mut taints: Vec<Taint> = node.spec.taints.iter().filter(keeps).cloned().collect();
    for (key, effect) in ours {
        if !taints.iter().any(|taint| taint.key == key && taint.effect == effect) {
            let time_added = Some(time::seconds(now));
            taints.push(Taint { key: key.to_owned(), effect: effect.to_owned(), value: None, time_added });
        }
    }
    taints
}

/// Whether `taint` is one that we put on and take off.
fn is_managed(taint: &Taint) -> bool {
    match taint.effect.as_str() {
        "NoSchedule" => {
            taint.key == UNSCHEDULABLE || BY_CONDITION.iter().any(|(_, _, key)| taint.key == *key)
        }
        "NoExecute" => taint.key == NOT_READY || taint.key == UNREACHABLE,
        _ => false,
    }
}
