//! Keeps as many pods as each ReplicaSet asks for (k8s.io/kubernetes/pkg/controller/replicaset).
//!
//! It watches ReplicaSets, and pods by their controlling owner; a pod without one concerns every ReplicaSet that
//! selects it.

mod ranking;
mod reconcile;
#[cfg(test)]
mod tests;

use decapod_client::{Change, Informer, ObjectKey};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1 as core;

use crate::Wiring;
use crate::objects::meta::{meta_of, views};
use crate::objects::{Pod, labels, owner};
use crate::runtime::{Informers, Live, Plan, Reconcile};

pub use reconcile::State;

struct Controller {
    sets: Informer<ReplicaSet>,
    pods: Informer<core::Pod>,
}

/// Starts the controller.
pub fn start(wiring: &Wiring) {
    let informers = &wiring.informers;
    let (sets, pods) = (informers.of::<ReplicaSet>(), informers.of::<core::Pod>());
    let selecting = sets.clone();
    wiring
        .controller(Controller { sets: sets.clone(), pods: pods.clone() })
        .watch(sets.untyped(), |change| vec![change.key.clone()])
        .watch(pods.untyped(), move |change| concerned(change, &selecting))
        .start();
}

/// The ReplicaSets that a change of a pod concerns.
fn concerned(change: &Change, sets: &Informer<ReplicaSet>) -> Vec<ObjectKey> {
    let namespace = change.key.namespace.as_str();
    let mut keys: Vec<ObjectKey> = [&change.old, &change.new]
        .into_iter()
        .flatten()
        .filter_map(owner::controller_of_object)
        .filter(|owner| owner.kind == "ReplicaSet")
        .map(|owner| ObjectKey::new(namespace, owner.name))
        .collect();
    keys.dedup();
    if let Some(orphan) = change.new.as_ref().map(meta_of).filter(|meta| meta.controller().is_none()) {
        let selecting = sets.namespaced(namespace).into_iter().filter_map(|set| {
            let selector = set.spec?.selector;
            (!labels::is_empty(&selector) && labels::selects(&selector, &orphan.labels))
                .then_some(set.metadata.name?)
        });
        keys.extend(selecting.map(|name| ObjectKey::new(namespace, name)));
    }
    keys
}

impl Reconcile for Controller {
    type Key = ObjectKey;
    type State = State;

    fn name(&self) -> &'static str {
        "replicaset-controller"
    }

    fn gather(&self, key: &ObjectKey) -> Option<State> {
        let set = self.sets.get(&key.namespace, &key.name)?;
        let uid = set.metadata.uid.clone().unwrap_or_default();
        let pods = Informers::claimable(self.pods.untyped(), &uid, &key.namespace);
        let related = self.related(&set);
        Some(State { set, pods: views::<Pod>(&pods), related })
    }

    fn reconcile(&self, _: &ObjectKey, state: &State, live: &Live, now: Timestamp) -> Plan {
        reconcile::reconcile(state, live, now)
    }
}

impl Controller {
    /// The pods of the other ReplicaSets of the same owner; looked up only when there are some, and pods to spare.
    fn related(&self, set: &ReplicaSet) -> Vec<Pod> {
        let replicas = set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
        let has = set.status.as_ref().map_or(0, |status| status.replicas);
        let owners = set.metadata.owner_references.iter().flatten();
        let Some(owner) = owners.into_iter().find(|owner| owner.controller == Some(true)) else {
            return Vec::new();
        };
        if has <= replicas {
            return Vec::new();
        }
        let siblings = Informers::controlled(self.sets.untyped(), &owner.uid);
        let pods = siblings.iter().flat_map(|set| Informers::controlled(self.pods.untyped(), &set.uid()));
        views(&pods.collect::<Vec<_>>())
    }
}
