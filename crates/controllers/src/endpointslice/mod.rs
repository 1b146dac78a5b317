//! Keeps the EndpointSlices of Services (k8s.io/endpointslice, k8s.io/kubernetes/pkg/controller/endpointslice).
//!
//! It watches Services; pods, by the Services that select them; nodes, whose zones endpoints carry; and its own
//! slices, should somebody else change them.

mod reconcile;
mod slices;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use decapod_client::{Change, Informer, ObjectKey};
use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1::EndpointSlice;

use crate::Wiring;
use crate::objects::meta::{meta_of, views};
use crate::objects::{Pod, service};
use crate::runtime::{Informers, Live, Plan, Reconcile};

pub use reconcile::State;

const ZONE: &str = "topology.kubernetes.io/zone";

#[derive(Clone)]
struct Controller {
    services: Informer<core::Service>,
    pods: Informer<core::Pod>,
    nodes: Informer<core::Node>,
    slices: Informer<EndpointSlice>,
}

/// Starts the controller.
pub fn start(wiring: &Wiring) {
    let informers = &wiring.informers;
    let controller = Controller {
        services: informers.of(),
        pods: informers.of(),
        nodes: informers.of(),
        slices: informers.of(),
    };
    let (by_pod, by_node) = (controller.services.clone(), controller.clone());
    wiring
        .controller(controller.clone())
        .watch(controller.services.untyped(), |change| vec![change.key.clone()])
        .watch(controller.pods.untyped(), move |change| service::concerned(change, &by_pod))
        .watch(controller.nodes.untyped(), move |change| by_node.of_node(change))
        .watch(controller.slices.untyped(), of_slice)
        .start();
}

/// The Services that a changed slice belongs to; only ours.
fn of_slice(change: &Change) -> Vec<ObjectKey> {
    let service = |slice: &decapod_api::Object| {
        let meta = meta_of(slice);
        let is_ours = meta.labels.get(slices::MANAGED_BY).is_some_and(|by| by == slices::MANAGER);
        is_ours.then(|| meta.labels.get(slices::SERVICE).cloned()).flatten()
    };
    let mut names: Vec<String> =
        [&change.old, &change.new].into_iter().flatten().filter_map(service).collect();
    names.dedup();
    names.into_iter().map(|name| ObjectKey::new(change.key.namespace.as_str(), name)).collect()
}

impl Controller {
    /// The Services with pods on a node that has come, or is in another zone now.
    fn of_node(&self, change: &Change) -> Vec<ObjectKey> {
        let zone = |node: &decapod_api::Object| node.label(ZONE).map(|zone| zone.into_owned());
        if change.new.is_none() || change.old.as_ref().map(zone) == change.new.as_ref().map(zone) {
            return Vec::new();
        }
        let pods = self.pods.untyped().indexed_objects(Informers::BY_NODE, &change.key.name);
        let keys = pods.into_iter().flat_map(|pod| {
            let change = Change { key: ObjectKey::of(&pod), old: None, new: Some(pod) };
            service::concerned(&change, &self.services)
        });
        keys.collect()
    }
}

impl Reconcile for Controller {
    type Key = ObjectKey;
    type State = State;

    fn name(&self) -> &'static str {
        "endpointslice-controller"
    }

    fn component(&self) -> &'static str {
        "endpoint-slice-controller"
    }

    fn gather(&self, key: &ObjectKey) -> Option<State> {
        // The slices of a Service that is gone go with it: they are owned by it.
        let service = self.services.get(&key.namespace, &key.name).filter(service::is_selecting)?;
        let pods: Vec<Pod> =
            views(&service::selected(self.pods.untyped().namespaced(&key.namespace), &service));
        let mut zones: BTreeMap<String, String> = BTreeMap::new();
        for name in pods.iter().map(|pod| &pod.spec.node_name) {
            if !zones.contains_key(name)
                && let Some(node) = self.nodes.object("", name)
            {
                zones.insert(name.clone(), node.label(ZONE).unwrap_or_default().into_owned());
            }
        }
        let slices = self.slices.indexed(Informers::BY_SERVICE, &key.to_string());
        Some(State { service, pods, zones, slices })
    }

    fn reconcile(&self, _: &ObjectKey, state: &State, _: &Live, _: Timestamp) -> Plan {
        reconcile::reconcile(state)
    }
}
