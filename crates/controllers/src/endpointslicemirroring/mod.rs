//! Mirrors Endpoints that people write into EndpointSlices, which is all that proxies read
//! (k8s.io/kubernetes/pkg/controller/endpointslicemirroring).
//!
//! It watches Endpoints, Services, for those with a selector have slices of their own, and the slices that it makes.

mod reconcile;
mod slices;
#[cfg(test)]
mod tests;

use decapod_client::{Change, Informer, ObjectKey, decode};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Endpoints, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;

use crate::Wiring;
use crate::runtime::{Informers, Live, Plan, Reconcile};

pub use reconcile::State;

struct Controller {
    endpoints: Informer<Endpoints>,
    services: Informer<Service>,
    slices: Informer<EndpointSlice>,
}

/// Starts the controller.
pub fn start(wiring: &Wiring) {
    let informers = &wiring.informers;
    let (endpoints, services, slices) =
        (informers.of::<Endpoints>(), informers.of::<Service>(), informers.of::<EndpointSlice>());
    let (of_endpoints, of_services, of_slices) =
        (endpoints.untyped().clone(), services.untyped().clone(), slices.untyped().clone());
    wiring
        .controller(Controller { endpoints, services, slices })
        .watch(&of_endpoints, |change| vec![change.key.clone()])
        .watch(&of_services, of_service)
        .watch(&of_slices, of_slice)
        .start();
}

/// A Service that comes or goes, gets a selector or loses it.
fn of_service(change: &Change) -> Vec<ObjectKey> {
    let selector = |service: &Option<decapod_api::Object>| {
        service.as_ref().map(|service| service.raw(&["spec", "selector"]).is_some())
    };
    (selector(&change.old) != selector(&change.new)).then(|| change.key.clone()).into_iter().collect()
}

/// The Endpoints that a slice of ours mirrors.
fn of_slice(change: &Change) -> Vec<ObjectKey> {
    let ours = [&change.old, &change.new]
        .into_iter()
        .flatten()
        .filter(|slice| slice.label(slices::MANAGED_BY).is_some_and(|by| by == slices::MANAGER));
    let mut keys: Vec<ObjectKey> = ours
        .filter_map(|slice| slice.label(slices::SERVICE).map(|name| name.into_owned()))
        .map(|name| ObjectKey::new(change.key.namespace.as_str(), name))
        .collect();
    keys.dedup();
    keys
}

impl Reconcile for Controller {
    type Key = ObjectKey;
    type State = State;

    fn name(&self) -> &'static str {
        "endpointslicemirroring-controller"
    }

    fn component(&self) -> &'static str {
        "endpoint-slice-mirroring-controller"
    }

    fn gather(&self, key: &ObjectKey) -> Option<State> {
        let service = self.services.object(&key.namespace, &key.name);
        let has_service = service.is_some_and(|service| service.raw(&["spec", "selector"]).is_none());
        let slices = self
            .slices
            .indexed_objects(Informers::BY_SERVICE, &format!("{}/{}", key.namespace, key.name))
            .into_iter()
            .filter(|slice| slice.label(slices::MANAGED_BY).is_some_and(|by| by == slices::MANAGER));
        let slices: Vec<EndpointSlice> = slices.filter_map(|slice| decode(&slice).ok()).collect();
        let endpoints = self.endpoints.get(&key.namespace, &key.name).filter(|_| has_service);
        Some(State { endpoints, slices })
    }

    fn reconcile(&self, _: &ObjectKey, state: &State, _: &Live, _: Timestamp) -> Plan {
        reconcile::reconcile(state)
    }
}
