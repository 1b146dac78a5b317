//! Keeps the pods of each StatefulSet: with names, claims and an order of their own
//! (k8s.io/kubernetes/pkg/controller/statefulset).
//!
//! It watches StatefulSets, their pods and revisions, and claims that go away, for which pods may wait.

mod claims;
mod history;
mod identity;
mod reconcile;
mod status;
#[cfg(test)]
mod tests;

use decapod_client::{Change, Informer, ObjectKey, decode};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};
use k8s_openapi::api::core::v1::{self as core, PersistentVolumeClaim};

use crate::Wiring;
use crate::objects::meta::views;
use crate::objects::{Pod, owner};
use crate::runtime::{Informers, Live, Plan, Reconcile};

pub use reconcile::State;

#[derive(Clone)]
struct Controller {
    sets: Informer<StatefulSet>,
    pods: Informer<core::Pod>,
    claims: Informer<PersistentVolumeClaim>,
    revisions: Informer<ControllerRevision>,
}

/// Starts the controller.
pub fn start(wiring: &Wiring) {
    let informers = &wiring.informers;
    let controller = Controller {
        sets: informers.of(),
        pods: informers.of(),
        claims: informers.of(),
        revisions: informers.of(),
    };
    let (by_pod, by_revision, by_claim) = (controller.clone(), controller.clone(), controller.clone());
    wiring
        .controller(controller.clone())
        .watch(controller.sets.untyped(), |change| vec![change.key.clone()])
        .watch(controller.pods.untyped(), move |change| by_pod.of_owned(change))
        .watch(controller.revisions.untyped(), move |change| by_revision.of_owned(change))
        .watch(controller.claims.untyped(), move |change| by_claim.of_claim(change))
        .start();
}

impl Controller {
    /// The StatefulSets that a change of a pod or revision concerns.
    fn of_owned(&self, change: &Change) -> Vec<ObjectKey> {
        owner::concerned(change, &self.sets, |set| Some(set.spec.as_ref()?.selector.clone()))
    }

    /// The StatefulSets of whose claims one is gone.
    fn of_claim(&self, change: &Change) -> Vec<ObjectKey> {
        if change.new.is_some() {
            return Vec::new();
        }
        let namespace = change.key.namespace.as_str();
        let Some((prefix, _)) = identity::parse(&change.key.name) else { return Vec::new() };
        let sets = self.sets.namespaced(namespace).into_iter();
        let names = sets.filter_map(|set| {
            let name = set.metadata.name?;
            prefix.strip_suffix(&name).is_some_and(|volume| volume.ends_with('-')).then_some(name)
        });
        names.map(|name| ObjectKey::new(namespace, name)).collect()
    }
}

impl Reconcile for Controller {
    type Key = ObjectKey;
    type State = State;

    fn name(&self) -> &'static str {
        "statefulset-controller"
    }

    fn gather(&self, key: &ObjectKey) -> Option<State> {
        let set = self.sets.get(&key.namespace, &key.name)?;
        let uid = set.metadata.uid.clone().unwrap_or_default();
        let pods: Vec<Pod> = views(&Informers::claimable(self.pods.untyped(), &uid, &key.namespace));
        let revisions = Informers::claimable(self.revisions.untyped(), &uid, &key.namespace);
        let revisions = revisions.iter().filter_map(|revision| decode(revision).ok()).collect();
        let taken = self.revisions.object(&key.namespace, &history::name_of_next(&set));
        let taken = taken.and_then(|revision| decode(&revision).ok());
        let (start, count) = identity::range(&set);
        let ordinals = pods.iter().map(identity::ordinal).filter(|ordinal| *ordinal >= 0);
        let claims = (start..start + count)
            .chain(ordinals)
            .flat_map(|ordinal| identity::claims(&set, ordinal))
            .filter_map(|claim| {
                let name = claim.metadata.name?;
                Some((name.clone(), self.claims.get(&key.namespace, &name)?))
            })
            .collect();
        Some(State { set, pods, claims, revisions, taken })
    }

    fn reconcile(&self, _: &ObjectKey, state: &State, live: &Live, now: Timestamp) -> Plan {
        reconcile::reconcile(state, live, now)
    }
}
