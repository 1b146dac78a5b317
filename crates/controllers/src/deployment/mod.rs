//! Rolls pod templates out over ReplicaSets (k8s.io/kubernetes/pkg/controller/deployment).
//!
//! It watches Deployments, ReplicaSets by their controlling owner, and the end of pods, for which a Deployment of type
//! Recreate waits. A rollback is a template like any other: kubectl writes the old one.

mod reconcile;
mod revision;
mod rollout;
mod scale;
mod status;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use decapod_client::{Change, Informer, ObjectKey, decode};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1 as core;

use crate::Wiring;
use crate::objects::meta::{meta_of, views};
use crate::objects::{Pod, labels, owner};
use crate::runtime::{Informers, Live, Plan, Reconcile};

pub use reconcile::State;

#[derive(Clone)]
struct Controller {
    deployments: Informer<Deployment>,
    sets: Informer<ReplicaSet>,
    pods: Informer<core::Pod>,
}

/// Starts the controller.
pub fn start(wiring: &Wiring) {
    let informers = &wiring.informers;
    let controller = Controller { deployments: informers.of(), sets: informers.of(), pods: informers.of() };
    let (by_set, by_pod) = (controller.clone(), controller.clone());
    wiring
        .controller(controller.clone())
        .watch(controller.deployments.untyped(), |change| vec![change.key.clone()])
        .watch(controller.sets.untyped(), move |change| by_set.of_set(change))
        .watch(controller.pods.untyped(), move |change| by_pod.of_pod(change))
        .start();
}

impl Controller {
    /// The Deployments that a change of a ReplicaSet concerns.
    fn of_set(&self, change: &Change) -> Vec<ObjectKey> {
        let namespace = change.key.namespace.as_str();
        let mut keys: Vec<ObjectKey> = [&change.old, &change.new]
            .into_iter()
            .flatten()
            .filter_map(owner::controller_of_object)
            .filter(|owner| owner.kind == "Deployment")
            .map(|owner| ObjectKey::new(namespace, owner.name))
            .collect();
        keys.dedup();
        if let Some(orphan) = change.new.as_ref().map(meta_of).filter(|meta| meta.controller().is_none()) {
            let selecting = self.deployments.namespaced(namespace).into_iter().filter_map(|deployment| {
                let selector = deployment.spec?.selector;
                (!labels::is_empty(&selector) && labels::selects(&selector, &orphan.labels))
                    .then_some(deployment.metadata.name?)
            });
            keys.extend(selecting.map(|name| ObjectKey::new(namespace, name)));
        }
        keys
    }

    /// The Deployment that may have waited for a pod to be gone.
    fn of_pod(&self, change: &Change) -> Vec<ObjectKey> {
        let namespace = change.key.namespace.as_str();
        let gone = change.old.as_ref().filter(|_| change.new.is_none());
        let key = gone
            .and_then(owner::controller_of_object)
            .filter(|owner| owner.kind == "ReplicaSet")
            .and_then(|owner| {
                let set = self.sets.object(namespace, &owner.name)?;
                let owner = owner::controller_of_object(&set).filter(|owner| owner.kind == "Deployment")?;
                let deployment = self.deployments.object(namespace, &owner.name)?;
                (deployment.text(&["spec", "strategy", "type"]).as_deref() == Some("Recreate"))
                    .then(|| ObjectKey::new(namespace, owner.name))
            });
        key.into_iter().collect()
    }

    /// How many pods each ReplicaSet has that have not ended.
    fn running(&self, deployment: &Deployment, sets: &[ReplicaSet]) -> BTreeMap<String, usize> {
        if !rollout::is_recreate(deployment) {
            return BTreeMap::new();
        }
        let uids = sets.iter().filter_map(|set| set.metadata.uid.clone());
        uids.map(|uid| {
            let pods: Vec<Pod> = views(&Informers::controlled(self.pods.untyped(), &uid));
            let running = pods.iter().filter(|pod| !pod.is_terminal()).count();
            (uid, running)
        })
        .collect()
    }
}

impl Reconcile for Controller {
    type Key = ObjectKey;
    type State = State;

    fn name(&self) -> &'static str {
        "deployment-controller"
    }

    fn gather(&self, key: &ObjectKey) -> Option<State> {
        let deployment = self.deployments.get(&key.namespace, &key.name)?;
        let uid = deployment.metadata.uid.clone().unwrap_or_default();
        let sets = Informers::claimable(self.sets.untyped(), &uid, &key.namespace);
        let sets: Vec<ReplicaSet> = sets.iter().filter_map(|set| decode(set).ok()).collect();
        let running = self.running(&deployment, &sets);
        let next = revision::name_of_next(&deployment);
        let taken = self.sets.object(&key.namespace, &next).and_then(|set| decode(&set).ok());
        Some(State { deployment, sets, running, taken })
    }

    fn reconcile(&self, _: &ObjectKey, state: &State, live: &Live, now: Timestamp) -> Plan {
        reconcile::reconcile(state, live, now)
    }
}
