//! Keeps the Endpoints of Services, for readers older than EndpointSlices
//! (k8s.io/kubernetes/pkg/controller/endpoint).

mod reconcile;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use decapod_client::{Change, Informer, ObjectKey};
use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;

use crate::Wiring;
use crate::objects::meta::views;
use crate::objects::{Pod, service};
use crate::runtime::{Live, Plan, Reconcile};

pub use reconcile::State;

#[derive(Clone)]
struct Controller {
    services: Informer<core::Service>,
    pods: Informer<core::Pod>,
    endpoints: Informer<core::Endpoints>,
    /// Services that have gone, and whose Endpoints have not: whoever made those, they go as well.
    gone: Arc<Mutex<BTreeSet<ObjectKey>>>,
}

/// Starts the controller.
pub fn start(wiring: &Wiring) {
    let informers = &wiring.informers;
    let controller = Controller {
        services: informers.of(),
        pods: informers.of(),
        endpoints: informers.of(),
        gone: Arc::default(),
    };
    let (by_service, by_pod) = (controller.clone(), controller.services.clone());
    wiring
        .controller(controller.clone())
        .watch(controller.services.untyped(), move |change| by_service.of_service(change))
        .watch(controller.pods.untyped(), move |change| service::concerned(change, &by_pod))
        .watch(controller.endpoints.untyped(), |change| vec![change.key.clone()])
        .start();
}

impl Controller {
    fn gone(&self) -> MutexGuard<'_, BTreeSet<ObjectKey>> {
        self.gone.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of_service(&self, change: &Change) -> Vec<ObjectKey> {
        match change.new {
            None => drop(self.gone().insert(change.key.clone())),
            Some(_) => drop(self.gone().remove(&change.key)),
        }
        vec![change.key.clone()]
    }
}

impl Reconcile for Controller {
    type Key = ObjectKey;
    type State = State;

    fn name(&self) -> &'static str {
        "endpoint-controller"
    }

    fn gather(&self, key: &ObjectKey) -> Option<State> {
        let endpoints = self.endpoints.get(&key.namespace, &key.name);
        let Some(service) = self.services.get(&key.namespace, &key.name) else {
            let Some(endpoints) = endpoints else {
                self.gone().remove(key);
                return None;
            };
            let is_left = self.gone().contains(key) || reconcile::is_managed(&endpoints);
            return is_left.then_some(State::Leftover(endpoints));
        };
        if !service::is_selecting(&service) {
            return None;
        }
        let pods: Vec<Pod> =
            views(&service::selected(self.pods.untyped().namespaced(&key.namespace), &service));
        Some(State::Wanted { service: Box::new(service), pods, endpoints })
    }

    fn reconcile(&self, _: &ObjectKey, state: &State, _: &Live, _: Timestamp) -> Plan {
        reconcile::reconcile(state)
    }
}
