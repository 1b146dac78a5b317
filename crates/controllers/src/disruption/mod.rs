//! Says how many pods each PodDisruptionBudget lets go (k8s.io/kubernetes/pkg/controller/disruption).
//!
//! It watches budgets and the pods that they select; how many pods there should be, the pods' controllers say. It also
//! takes back from a pod that it is about to be disrupted, if it is not.

mod budget;
mod reconcile;
mod scale;
#[cfg(test)]
mod tests;

use decapod_client::{Change, Informer, ObjectKey};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{self as core, ReplicationController};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use crate::objects::meta::{meta_of, view, views};
use crate::objects::{Meta, Pod, labels};
use crate::runtime::{Live, Plan, Reconcile};
use crate::{Resources, Wiring};

pub use reconcile::State;

/// What is looked at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A budget.
    Budget(ObjectKey),
    /// A pod that is said to be disrupted, or that several budgets select.
    Pod(ObjectKey),
}

#[derive(Clone)]
struct Controller {
    budgets: Informer<PodDisruptionBudget>,
    pods: Informer<core::Pod>,
    controllers: Informer<ReplicationController>,
    replica_sets: Informer<ReplicaSet>,
    deployments: Informer<Deployment>,
    stateful_sets: Informer<StatefulSet>,
    /// Which kinds there are, for those whose scale is asked for.
    resources: Resources,
}

/// Starts the controller.
pub fn start(wiring: &Wiring, resources: Resources) {
    let informers = &wiring.informers;
    let controller = Controller {
        budgets: informers.of(),
        pods: informers.of(),
        controllers: informers.of(),
        replica_sets: informers.of(),
        deployments: informers.of(),
        stateful_sets: informers.of(),
        resources,
    };
    let by_pod = controller.clone();
    wiring
        .controller(controller.clone())
        .watch(controller.budgets.untyped(), |change| vec![Key::Budget(change.key.clone())])
        .watch(controller.pods.untyped(), move |change| by_pod.of_pod(change))
        .reads(controller.controllers.untyped())
        .reads(controller.replica_sets.untyped())
        .reads(controller.deployments.untyped())
        .reads(controller.stateful_sets.untyped())
        .workers(1)
        .start();
}

impl Controller {
    /// The budgets that select a pod, or did; and the pod, if there is something to be said of it.
    fn of_pod(&self, change: &Change) -> Vec<Key> {
        let namespace = change.key.namespace.as_str();
        let metas: Vec<Meta> = [&change.old, &change.new].into_iter().flatten().map(meta_of).collect();
        let mut keys = Vec::new();
        for name in metas.iter().flat_map(|meta| self.selecting(namespace, meta)) {
            let key = Key::Budget(ObjectKey::new(namespace, name));
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        if let Some(pod) = change.new.as_ref() {
            let conditions = pod.raw(&["status", "conditions"]).unwrap_or_default();
            let needle = b"DisruptionTarget";
            if keys.len() > 1 || conditions.windows(needle.len()).any(|window| window == needle) {
                keys.push(Key::Pod(change.key.clone()));
            }
        }
        keys
    }

    /// The names of the budgets that select a pod.
    fn selecting(&self, namespace: &str, pod: &Meta) -> Vec<String> {
        let budgets = self.budgets.namespaced(namespace).into_iter();
        let selects = |budget: &PodDisruptionBudget| {
            let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
            selector.is_some_and(|selector| labels::selects(selector, &pod.labels))
        };
        budgets.filter(selects).filter_map(|budget| budget.metadata.name).collect()
    }

    /// How many pods the pod's controller wants, as far as informers know.
    fn scale(&self, namespace: &str, owner: &OwnerReference) -> scale::Scale {
        use scale::Scale::{Ask, Known, Unknown};
        let group = owner.api_version.rsplit_once('/').map_or("", |(group, _)| group);
        let known = |uid: Option<&String>, replicas: Option<i32>| {
            if uid == Some(&owner.uid) { Known(owner.uid.clone(), replicas.unwrap_or(1)) } else { Unknown }
        };
        let name = &owner.name;
        let found =
            match (group, owner.kind.as_str()) {
                ("", "ReplicationController") => self.controllers.get(namespace, name).map(|found| {
                    known(found.metadata.uid.as_ref(), found.spec.and_then(|spec| spec.replicas))
                }),
                ("apps", "StatefulSet") => self.stateful_sets.get(namespace, name).map(|found| {
                    known(found.metadata.uid.as_ref(), found.spec.and_then(|spec| spec.replicas))
                }),
                ("apps", "ReplicaSet") => {
                    self.replica_sets.get(namespace, name).map(|set| self.scale_of_set(owner, &set))
                }
                _ => None,
            };
        match found {
            Some(Known(uid, replicas)) => Known(uid, replicas),
            _ => {
                let resources = self.resources.borrow();
                let version = owner.api_version.rsplit('/').next().unwrap_or_default();
                let of = resources.iter().find(|of| {
                    of.kind == owner.kind && *of.resource.group == *group && *of.resource.version == *version
                });
                Ask(of.map(|of| of.resource.clone()))
            }
        }
    }

    /// Of a ReplicaSet, or of the Deployment that it is of.
    fn scale_of_set(&self, owner: &OwnerReference, set: &ReplicaSet) -> scale::Scale {
        use scale::Scale::{Known, Unknown};
        if set.metadata.uid.as_ref() != Some(&owner.uid) {
            return Unknown;
        }
        let meta = Meta::from(&set.metadata);
        match meta.controller().filter(|above| above.kind == "Deployment") {
            None => Known(owner.uid.clone(), set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)),
            Some(above) => match self.deployments.get(&meta.namespace, &above.name) {
                Some(found) if found.metadata.uid.as_ref() == Some(&above.uid) => {
                    Known(above.uid.clone(), found.spec.and_then(|spec| spec.replicas).unwrap_or(1))
                }
                _ => Unknown,
            },
        }
    }
}

impl Reconcile for Controller {
    type Key = Key;
    type State = State;

    fn name(&self) -> &'static str {
        "disruption-controller"
    }

    fn component(&self) -> &'static str {
        "controllermanager"
    }

    fn gather(&self, key: &Key) -> Option<State> {
        match key {
            Key::Pod(key) => {
                let pod: Pod = view(&self.pods.object(&key.namespace, &key.name)?)?;
                let budgets = self.selecting(&key.namespace, &pod.metadata);
                Some(State::Pod { pod: Box::new(pod), budgets })
            }
            Key::Budget(key) => {
                let budget = self.budgets.get(&key.namespace, &key.name)?;
                let selector = budget.spec.as_ref().and_then(|spec| spec.selector.clone());
                let pods = self.pods.untyped().namespaced(&key.namespace);
                let selected = pods.into_iter().filter(|pod| {
                    selector.as_ref().is_some_and(|selector| labels::selects(selector, &meta_of(pod).labels))
                });
                let pods: Vec<Pod> = views(&selected.collect::<Vec<_>>());
                let owners = pods.iter().filter_map(|pod| pod.metadata.controller());
                let scales =
                    owners.map(|owner| (owner.uid.clone(), self.scale(&key.namespace, owner))).collect();
                Some(State::Budget { budget: Box::new(budget), pods, scales })
            }
        }
    }

    fn reconcile(&self, _: &Key, state: &State, live: &Live, now: Timestamp) -> Plan {
        reconcile::reconcile(state, live, now)
    }
}
