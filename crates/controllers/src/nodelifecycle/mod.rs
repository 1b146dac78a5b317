//! Watches over nodes: says when one is not heard of any more, and taints those that should have no pods
//! (k8s.io/kubernetes/pkg/controller/nodelifecycle).
//!
//! A node is heard of when its lease or its status moves; that is noted as it happens, and each node is looked at
//! again when its time would be up, not in between. Evictions follow from the taints (see
//! [`crate::tainteviction`]).

mod reconcile;
mod taints;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use decapod_client::{Change, Informer, ObjectKey};
use decapod_sys::Env;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1 as core;

use crate::Wiring;
use crate::objects::meta::{view, views};
use crate::objects::{Node, Pod};
use crate::runtime::{Informers, Live, Plan, Reconcile};

pub use reconcile::State;

/// Where kubelets renew their leases.
const LEASES: &str = "kube-node-lease";
/// Nodes with this label do not count when it is asked whether all nodes are down.
const EXCLUDED: &str = "node.kubernetes.io/exclude-disruption";

#[derive(Clone)]
struct Controller {
    env: Env,
    nodes: Informer<core::Node>,
    pods: Informer<core::Pod>,
    heard: Arc<Mutex<BTreeMap<String, Heard>>>,
}

/// When a node was heard of last, and what it said: only a change counts.
#[derive(Default)]
struct Heard {
    at: Option<Timestamp>,
    renewal: String,
    heartbeat: String,
    is_announced: bool,
}

/// Starts the controller.
pub fn start(wiring: &Wiring) {
    let informers = &wiring.informers;
    let (nodes, leases) = (informers.of::<core::Node>(), informers.of::<Lease>());
    let env = wiring.env.clone();
    let controller = Controller { env, nodes: nodes.clone(), pods: informers.of(), heard: Arc::default() };
    let (by_node, by_lease, by_pod) = (controller.clone(), controller.clone(), controller.clone());
    wiring
        .controller(controller.clone())
        .watch(nodes.untyped(), move |change| by_node.of_node(change))
        .watch(leases.untyped(), move |change| by_lease.of_lease(change))
        .watch(controller.pods.untyped(), move |change| by_pod.of_pod(change))
        .workers(8)
        .start();
}

impl Controller {
    fn heard(&self) -> MutexGuard<'_, BTreeMap<String, Heard>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a node's status; and since one node's taints depend on whether all are down, a turn of one concerns all
    /// that are down.
    fn of_node(&self, change: &Change) -> Vec<ObjectKey> {
        let name = &change.key.name;
        let Some(node) = change.new.as_ref().and_then(view::<Node>) else {
            self.heard().remove(name);
            return Vec::new();
        };
        let heartbeat = node.condition("Ready").and_then(|ready| ready.last_heartbeat_time.as_ref());
        let heartbeat = heartbeat.map(|time| time.0.to_string()).unwrap_or_default();
        let mut heard = self.heard();
        let entry = heard.entry(name.clone()).or_default();
        if entry.at.is_none() || entry.heartbeat != heartbeat {
            // A node that has not said anything yet counts from its creation.
            entry.at = Some(if heartbeat.is_empty() { node.created() } else { self.env.now() });
            entry.heartbeat = heartbeat;
        }
        drop(heard);
        let before = change.old.as_ref().and_then(view::<Node>);
        let has_turned = before.is_none_or(|before| before.is_ready() != node.is_ready());
        let down = self.nodes.objects().into_iter().filter(|_| has_turned);
        let down = down.filter_map(|other| view::<Node>(&other)).filter(|other| !other.is_ready());
        let mut keys: Vec<ObjectKey> = down.map(|other| other.metadata.key()).collect();
        if !keys.contains(&change.key) {
            keys.push(change.key.clone());
        }
        keys
    }

    fn of_lease(&self, change: &Change) -> Vec<ObjectKey> {
        let lease = change.new.as_ref().filter(|_| change.key.namespace == LEASES);
        let renewal = lease.and_then(|lease| lease.text(&["spec", "renewTime"]));
        if let Some(renewal) = renewal {
            let mut heard = self.heard();
            let entry = heard.entry(change.key.name.clone()).or_default();
            if entry.renewal != renewal {
                entry.at = Some(self.env.now());
                entry.renewal = renewal.into_owned();
            }
        }
        Vec::new()
    }

    /// A pod that is bound to a node that is down is not ready.
    fn of_pod(&self, change: &Change) -> Vec<ObjectKey> {
        let node = |pod: &decapod_api::Object| pod.text(&["spec", "nodeName"]).map(|node| node.into_owned());
        let (before, after) = (change.old.as_ref().and_then(node), change.new.as_ref().and_then(node));
        let bound = after.filter(|after| !after.is_empty() && before.as_ref() != Some(after));
        let node = bound.and_then(|name| view::<Node>(&self.nodes.object("", &name)?));
        node.filter(|node| !node.is_ready()).map(|node| node.metadata.key()).into_iter().collect()
    }

    /// Whether no node at all is ready: then it is more likely us that cannot be heard.
    fn are_all_down(&self) -> bool {
        let nodes = self.nodes.objects();
        let mut counted = nodes.iter().filter(|node| node.label(EXCLUDED).is_none()).filter_map(view::<Node>);
        counted.all(|node| !node.is_ready())
    }
}

impl Reconcile for Controller {
    type Key = ObjectKey;
    type State = State;

    fn name(&self) -> &'static str {
        "node-controller"
    }

    fn gather(&self, key: &ObjectKey) -> Option<State> {
        let node: Node = view(&self.nodes.object("", &key.name)?)?;
        let (heard_at, is_new) = {
            let mut heard = self.heard();
            let entry = heard.entry(key.name.clone()).or_default();
            let is_new = !std::mem::replace(&mut entry.is_announced, true);
            (*entry.at.get_or_insert_with(|| self.env.now()), is_new)
        };
        let is_down = !node.is_ready();
        let pods = if is_down && node.readiness().is_some() {
            views::<Pod>(&self.pods.indexed_objects(Informers::BY_NODE, &key.name))
        } else {
            Vec::new()
        };
        let are_all_down = is_down && self.are_all_down();
        Some(State { node, heard_at, is_new, pods, are_all_down })
    }

    fn reconcile(&self, _: &ObjectKey, state: &State, _: &Live, now: Timestamp) -> Plan {
        reconcile::reconcile(state, now)
    }
}
