//! Keeps one pod of each DaemonSet on every node that it fits (k8s.io/kubernetes/pkg/controller/daemon).
//!
//! It watches DaemonSets, their pods and revisions, and nodes, of which only what decides about placement matters.
//! Pods are bound by the scheduler; which node each is meant for stands in its affinity.

mod backoff;
mod history;
mod placement;
mod reconcile;
mod rolling;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use decapod_client::{Change, Informer, ObjectKey, decode};
use decapod_sys::Env;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet};
use k8s_openapi::api::core::v1 as core;

use crate::Wiring;
use crate::objects::meta::{view, views};
use crate::objects::{Node, Pod, owner};
use crate::runtime::{Informers, Live, Plan, Reconcile};
use backoff::Backoffs;

pub use reconcile::State;

#[derive(Clone)]
struct Controller {
    env: Env,
    sets: Informer<DaemonSet>,
    pods: Informer<core::Pod>,
    nodes: Informer<core::Node>,
    revisions: Informer<ControllerRevision>,
    backoffs: Arc<Mutex<Backoffs>>,
}

/// Starts the controller.
pub fn start(wiring: &Wiring) {
    let informers = &wiring.informers;
    let controller = Controller {
        env: wiring.env.clone(),
        sets: informers.of(),
        pods: informers.of(),
        nodes: informers.of(),
        revisions: informers.of(),
        backoffs: Arc::default(),
    };
    let (by_pod, by_node, by_revision) = (controller.clone(), controller.clone(), controller.clone());
    wiring
        .controller(controller.clone())
        .watch(controller.sets.untyped(), |change| vec![change.key.clone()])
        .watch(controller.pods.untyped(), move |change| by_pod.of_owned(change))
        .watch(controller.revisions.untyped(), move |change| by_revision.of_owned(change))
        .watch(controller.nodes.untyped(), move |change| by_node.of_node(change))
        .workers(2)
        .start();
}

impl Controller {
    /// The DaemonSets that a change of a pod or revision concerns.
    fn of_owned(&self, change: &Change) -> Vec<ObjectKey> {
        owner::concerned(change, &self.sets, |set| Some(set.spec.as_ref()?.selector.clone()))
    }

    /// All DaemonSets, when a node comes, goes, or changes in what decides about placement.
    fn of_node(&self, change: &Change) -> Vec<ObjectKey> {
        let view = |object: &Option<decapod_api::Object>| object.as_ref().and_then(view::<Node>);
        if let (Some(old), Some(new)) = (view(&change.old), view(&change.new))
            && old.metadata.labels == new.metadata.labels
            && old.spec.taints == new.spec.taints
        {
            return Vec::new();
        }
        self.sets.objects().iter().map(ObjectKey::of).collect()
    }
}

impl Reconcile for Controller {
    type Key = ObjectKey;
    type State = State;

    fn name(&self) -> &'static str {
        "daemon-set-controller"
    }

    fn component(&self) -> &'static str {
        "daemonset-controller"
    }

    fn gather(&self, key: &ObjectKey) -> Option<State> {
        let set = self.sets.get(&key.namespace, &key.name)?;
        let uid = set.metadata.uid.clone().unwrap_or_default();
        let pods = Informers::claimable(self.pods.untyped(), &uid, &key.namespace);
        let revisions = Informers::claimable(self.revisions.untyped(), &uid, &key.namespace);
        let revisions = revisions.iter().filter_map(|revision| decode(revision).ok()).collect();
        let taken = self.revisions.object(&key.namespace, &history::name_of_next(&set));
        let taken = taken.and_then(|revision| decode(&revision).ok());
        let (pods, nodes): (Vec<Pod>, Vec<Node>) = (views(&pods), views(&self.nodes.objects()));
        let mut backoffs = self.backoffs.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = pods.iter().filter(|pod| pod.status.phase == "Failed" && !pod.metadata.is_deleting());
        let waits: BTreeMap<String, std::time::Duration> = failed
            .filter_map(|pod| {
                let node = placement::target(pod)?;
                let wait = backoffs.wait(&format!("{uid}/{node}"), &pod.metadata.uid, self.env.now())?;
                Some((pod.metadata.uid.clone(), wait))
            })
            .collect();
        Some(State { set, pods, nodes, revisions, taken, waits })
    }

    fn reconcile(&self, _: &ObjectKey, state: &State, live: &Live, now: Timestamp) -> Plan {
        reconcile::reconcile(state, live, now)
    }
}
