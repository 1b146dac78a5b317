//! Ends pods that do not tolerate a NoExecute taint of their node, or not for as long
//! (k8s.io/kubernetes/pkg/controller/tainteviction).

mod reconcile;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use decapod_client::{Change, Informer, ObjectKey};
use decapod_sys::Env;
use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;

use crate::Wiring;
use crate::objects::meta::view;
use crate::objects::{Node, Pod};
use crate::runtime::{Informers, Live, Plan, Reconcile};

pub use reconcile::State;

#[derive(Clone)]
struct Controller {
    env: Env,
    nodes: Informer<core::Node>,
    pods: Informer<core::Pod>,
    /// Since when pods have borne a taint of their node.
    since: Arc<Mutex<BTreeMap<ObjectKey, Timestamp>>>,
}

/// Starts the controller.
pub fn start(wiring: &Wiring) {
    let informers = &wiring.informers;
    let (nodes, pods) = (informers.of::<core::Node>(), informers.of::<core::Pod>());
    let controller = Controller {
        env: wiring.env.clone(),
        nodes: nodes.clone(),
        pods: pods.clone(),
        since: Arc::default(),
    };
    let (by_node, by_pod) = (controller.clone(), controller.clone());
    wiring
        .controller(controller)
        .watch(nodes.untyped(), move |change| by_node.of_node(change))
        .watch(pods.untyped(), move |change| by_pod.of_pod(change))
        .workers(8)
        .start();
}

fn no_execute(node: &decapod_api::Object) -> Vec<core::Taint> {
    let node = view::<Node>(node).unwrap_or_default();
    node.spec.taints.into_iter().filter(|taint| taint.effect == "NoExecute").collect()
}

impl Controller {
    fn since(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, Timestamp>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All pods of a node whose taints have changed.
    fn of_node(&self, change: &Change) -> Vec<ObjectKey> {
        let (old, new) = (change.old.as_ref().map(no_execute), change.new.as_ref().map(no_execute));
        if old.unwrap_or_default() == new.unwrap_or_default() {
            return Vec::new();
        }
        self.pods
            .untyped()
            .indexed_objects(Informers::BY_NODE, &change.key.name)
            .iter()
            .map(ObjectKey::of)
            .collect()
    }

    /// A pod that is new on a tainted node, or has other tolerations, or is gone.
    fn of_pod(&self, change: &Change) -> Vec<ObjectKey> {
        let Some(pod) = &change.new else {
            self.since().remove(&change.key);
            return Vec::new();
        };
        let part = |path: &[&str]| change.old.as_ref().and_then(|old| old.raw(path)) != pod.raw(path);
        if !part(&["spec", "nodeName"]) && !part(&["spec", "tolerations"]) {
            return Vec::new();
        }
        let node = pod.text(&["spec", "nodeName"]).and_then(|name| self.nodes.object("", &name));
        let is_tainted = node.is_some_and(|node| !no_execute(&node).is_empty());
        is_tainted.then(|| change.key.clone()).into_iter().collect()
    }
}

impl Reconcile for Controller {
    type Key = ObjectKey;
    type State = State;

    fn name(&self) -> &'static str {
        "node-controller"
    }

    fn component(&self) -> &'static str {
        "taint-eviction-controller"
    }

    fn gather(&self, key: &ObjectKey) -> Option<State> {
        let pod: Pod = view(&self.pods.untyped().object(&key.namespace, &key.name)?)?;
        let taints =
            self.nodes.object("", &pod.spec.node_name).map(|node| no_execute(&node)).unwrap_or_default();
        let mut since = self.since();
        if taints.is_empty() {
            let is_spared = since.remove(key).is_some();
            return is_spared.then(|| State { pod, taints, since: self.env.now() });
        }
        let since = *since.entry(key.clone()).or_insert_with(|| self.env.now());
        Some(State { pod, taints, since })
    }

    fn reconcile(&self, _: &ObjectKey, state: &State, _: &Live, now: Timestamp) -> Plan {
        reconcile::reconcile(state, now)
    }
}
