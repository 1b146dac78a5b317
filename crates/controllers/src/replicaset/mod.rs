//! Keeps as many pods as each ReplicaSet or ReplicationController asks for (k8s.io/kubernetes/pkg/controller/replicaset
//! and replication).
//!
//! It watches them, and pods by their controlling owner; a pod without one concerns every one that selects it. Both
//! kinds run on the same code, which sees a ReplicationController as a ReplicaSet.

mod ranking;
mod reconcile;
mod replicated;
#[cfg(test)]
mod tests;

use decapod_client::{Informer, ObjectKey};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{self as core, ReplicationController};

use crate::Wiring;
use crate::objects::meta::views;
use crate::objects::{Pod, owner};
use crate::runtime::{Informers, Live, Plan, Reconcile};

pub use reconcile::State;
pub use replicated::Replicated;

struct Controller<K: Replicated> {
    sets: Informer<K>,
    pods: Informer<core::Pod>,
}

/// Starts the controllers of both kinds.
pub fn start(wiring: &Wiring) {
    start_kind::<ReplicaSet>(wiring);
    start_kind::<ReplicationController>(wiring);
}

fn start_kind<K: Replicated>(wiring: &Wiring) {
    let informers = &wiring.informers;
    let (sets, pods) = (informers.of::<K>(), informers.of::<core::Pod>());
    let selecting = sets.clone();
    wiring
        .controller(Controller { sets: sets.clone(), pods: pods.clone() })
        .watch(sets.untyped(), |change| vec![change.key.clone()])
        .watch(pods.untyped(), move |change| {
            owner::concerned(change, &selecting, |set| Some(set.as_replica_set().spec?.selector))
        })
        .start();
}

impl<K: Replicated> Reconcile for Controller<K> {
    type Key = ObjectKey;
    type State = State<K>;

    fn name(&self) -> &'static str {
        K::CONTROLLER
    }

    fn gather(&self, key: &ObjectKey) -> Option<State<K>> {
        let original = self.sets.get(&key.namespace, &key.name)?;
        let set = original.as_replica_set();
        let uid = set.metadata.uid.clone().unwrap_or_default();
        let pods = Informers::claimable(self.pods.untyped(), &uid, &key.namespace);
        let related = self.related(&set);
        Some(State { original, set, pods: views::<Pod>(&pods), related })
    }

    fn reconcile(&self, _: &ObjectKey, state: &State<K>, live: &Live, now: Timestamp) -> Plan {
        reconcile::reconcile(state, live, now)
    }
}

impl<K: Replicated> Controller<K> {
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
