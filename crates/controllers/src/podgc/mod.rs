//! Removes pods that nobody else will: those of nodes that are gone, those that are to go but never were bound, those
//! stuck on nodes declared out of service, and ended ones beyond a threshold
//! (k8s.io/kubernetes/pkg/controller/podgc).

mod reconcile;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use decapod_api::Object;
use decapod_client::{Change, Informer, ObjectKey};
use decapod_sys::Env;
use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;

use crate::Wiring;
use crate::objects::meta::{view, views};
use crate::objects::{Node, Pod};
use crate::runtime::{Informers, Live, Plan, Reconcile};

pub use reconcile::State;

/// How soon after a pod has ended the ended ones are counted: once for many.
const COUNT_AFTER: Duration = Duration::from_secs(20);

/// What is looked at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// One pod.
    Pod(ObjectKey),
    /// All pods that have ended.
    Ended,
}

#[derive(Clone)]
struct Controller {
    env: Env,
    nodes: Informer<core::Node>,
    pods: Informer<core::Pod>,
    ended_max: usize,
    /// Since when nodes that pods are bound to have not been there.
    missing: Arc<Mutex<BTreeMap<String, Timestamp>>>,
}

/// Starts the controller, which keeps at most `ended_max` pods that have ended; 0 for any number.
pub fn start(wiring: &Wiring, ended_max: usize) {
    let informers = &wiring.informers;
    let (nodes, pods) = (informers.of::<core::Node>(), informers.of::<core::Pod>());
    let env = wiring.env.clone();
    let controller =
        Controller { env, nodes: nodes.clone(), pods: pods.clone(), ended_max, missing: Arc::default() };
    let (by_node, by_pod) = (controller.clone(), controller.clone());
    let builder = wiring.controller(controller);
    let queue = builder.queue();
    builder
        .watch(nodes.untyped(), move |change| by_node.of_node(change))
        .watch(pods.untyped(), move |change| {
            if by_pod.ended_max > 0 && has_ended(change) {
                queue.add_after(Key::Ended, COUNT_AFTER);
            }
            by_pod.of_pod(change)
        })
        .start();
}

fn is_ended(pod: &Object) -> bool {
    matches!(pod.text(&["status", "phase"]).as_deref(), Some("Succeeded" | "Failed"))
}

fn has_ended(change: &Change) -> bool {
    change.new.as_ref().is_some_and(is_ended) && !change.old.as_ref().is_some_and(is_ended)
}

impl Controller {
    fn missing(&self) -> MutexGuard<'_, BTreeMap<String, Timestamp>> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pods of a node that is gone, or has been declared out of service.
    fn of_node(&self, change: &Change) -> Vec<Key> {
        let name = &change.key.name;
        match &change.new {
            Some(_) => drop(self.missing().remove(name)),
            None => drop(self.missing().insert(name.clone(), self.env.now())),
        }
        let is_of_interest =
            change.new.as_ref().and_then(view::<Node>).is_none_or(|node| reconcile::is_lost(&node));
        let pods = self
            .pods
            .untyped()
            .indexed_objects(Informers::BY_NODE, name)
            .into_iter()
            .filter(|_| is_of_interest);
        pods.map(|pod| Key::Pod(ObjectKey::of(&pod))).collect()
    }

    /// A pod that is to go, or is bound to a node that is not there.
    fn of_pod(&self, change: &Change) -> Vec<Key> {
        let Some(pod) = &change.new else { return Vec::new() };
        let is_deleting = pod.raw(&["metadata", "deletionTimestamp"]).is_some();
        let node = pod.text(&["spec", "nodeName"]).filter(|node| !node.is_empty());
        let is_lost = node.is_some_and(|node| self.nodes.untyped().object("", &node).is_none());
        (is_deleting || is_lost).then(|| Key::Pod(change.key.clone())).into_iter().collect()
    }
}

impl Reconcile for Controller {
    type Key = Key;
    type State = State;

    fn name(&self) -> &'static str {
        "pod-garbage-collector"
    }

    fn gather(&self, key: &Key) -> Option<State> {
        let Key::Pod(key) = key else {
            let ended: Vec<Object> = self.pods.objects().into_iter().filter(is_ended).collect();
            let surplus = ended.len().checked_sub(self.ended_max).filter(|surplus| *surplus > 0)?;
            return Some(State::Ended { pods: views(&ended), surplus });
        };
        let pod: Pod = view(&self.pods.untyped().object(&key.namespace, &key.name)?)?;
        let name = pod.spec.node_name.clone();
        let node = self.nodes.object("", &name).and_then(|node| view::<Node>(&node));
        let missing_since = match &node {
            None if !name.is_empty() => Some(*self.missing().entry(name).or_insert_with(|| self.env.now())),
            _ => None,
        };
        Some(State::Pod { pod: Box::new(pod), node: node.map(Box::new), missing_since })
    }

    fn reconcile(&self, _: &Key, state: &State, live: &Live, now: Timestamp) -> Plan {
        reconcile::reconcile(state, live, now)
    }
}
