//! Whether a pod is to be removed by force.

use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, Preconditions};

use decapod_client::Kind;
use serde_json::json;

use crate::objects::{Node, Pod, pod, time};
use crate::runtime::{Action, Live, LiveRead, Plan, Write};

/// How long a node has to be missing: it may be registering anew.
const QUARANTINE_SECONDS: i64 = 40;
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

/// What is known.
#[derive(Clone, Debug)]
pub enum State {
    /// Of one pod.
    Pod {
        /// Itself.
        pod: Box<Pod>,
        /// Its node.
        node: Option<Box<Node>>,
        /// Since when its node has not been there.
        missing_since: Option<Timestamp>,
    },
    /// Of all pods that have ended.
    Ended {
        /// Them.
        pods: Vec<Pod>,
        /// How many of them are too many.
        surplus: usize,
    },
}

pub(super) fn reconcile(state: &State, live: &Live, now: Timestamp) -> Plan {
    match state {
        State::Ended { pods, surplus } => ended(pods, *surplus),
        State::Pod { pod, node, missing_since } => match (node, missing_since) {
            (Some(node), _) if pod.metadata.is_deleting() && is_lost(node) => remove(pod, None, now),
            (None, Some(since)) => orphaned(pod, *since, live, now),
            (None, None) if pod.metadata.is_deleting() => remove(pod, None, now),
            _ => Plan::nothing(),
        },
    }
}

/// Whether somebody has said that `node` will not come back by itself.
pub(super) fn is_lost(node: &Node) -> bool {
    !node.is_ready() && node.spec.taints.iter().any(|taint| taint.key == OUT_OF_SERVICE)
}

fn orphaned(pod: &Pod, since: Timestamp, live: &Live, now: Timestamp) -> Plan {
    let left = time::until(since, QUARANTINE_SECONDS, now);
    let mut plan = Plan::nothing();
    if !left.is_zero() {
        plan.again_after(left);
        return plan;
    }
    let read = LiveRead::of::<core::Node>("", &pod.spec.node_name);
    match live.object(&read) {
        None => Plan::ask(vec![read]),
        Some(Some(_)) => plan,
        Some(None) => remove(pod, Some(("DeletionByPodGC", "PodGC: node no longer exists")), now),
    }
}

/// Marks `pod` as failed, should it not have ended, and deletes it at once.
fn remove(pod: &Pod, why: Option<(&str, &str)>, now: Timestamp) -> Plan {
    let meta = &pod.metadata;
    let mut plan = Plan::nothing();
    if !pod.is_terminal() {
        let patch = match why {
            Some((reason, message)) => pod::disruption(reason, message, Some("Failed"), now),
            None => json!({"status": {"phase": "Failed"}}),
        };
        let mark = Write::patch::<core::Pod>(&meta.namespace, &meta.name, "status", &patch);
        plan.write(mark.tolerating(&["NotFound"]));
    }
    plan.write(delete(pod));
    plan
}

fn delete(pod: &Pod) -> Write {
    let meta = &pod.metadata;
    let options = DeleteOptions {
        grace_period_seconds: Some(0),
        preconditions: Some(Preconditions { uid: Some(meta.uid.clone()), resource_version: None }),
        ..DeleteOptions::default()
    };
    Write::delete_resource(core::Pod::resource(), &meta.namespace, &meta.name, &options)
        .tolerating(&["NotFound", "Conflict"])
}

/// Deletes the oldest of those that have ended, evicted ones first.
fn ended(pods: &[Pod], surplus: usize) -> Plan {
    let mut pods: Vec<&Pod> = pods.iter().collect();
    let order =
        |pod: &&Pod| (pod.status.reason != "Evicted", pod.metadata.created(), pod.metadata.name.clone());
    pods.sort_by_key(order);
    Plan::of(vec![Action::Parallel(pods.into_iter().take(surplus).map(delete).collect())])
}
