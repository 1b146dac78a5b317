//! Makes the service `kube-dns` lead to the DNS of every node that runs one, which each node says by a label. A node's
//! own pods are sent to its own. Ours; upstream's DNS runs in pods.

mod reconcile;
#[cfg(test)]
mod tests;

use decapod_client::{Informer, ObjectKey};
use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1::EndpointSlice;

use crate::Wiring;
use crate::runtime::{Live, Plan, Reconcile};

pub use reconcile::State;

/// The label by which a node says that DNS answers at the first address of its pods' network.
pub const LABEL: &str = "decapod.io/dns";
/// Where the service and its slice are.
const NAMESPACE: &str = "kube-system";
/// What they are called.
const NAME: &str = "kube-dns";

struct Controller {
    nodes: Informer<core::Node>,
    slices: Informer<EndpointSlice>,
}

/// Starts the controller.
pub fn start(wiring: &Wiring) {
    let (nodes, slices) = (wiring.informers.of::<core::Node>(), wiring.informers.of::<EndpointSlice>());
    let key = || ObjectKey::new(NAMESPACE, NAME);
    wiring
        .controller(Controller { nodes: nodes.clone(), slices: slices.clone() })
        .watch(nodes.untyped(), move |_| vec![key()])
        .watch(slices.untyped(), move |change| (change.key == key()).then(key).into_iter().collect())
        .workers(1)
        .start();
}

impl Reconcile for Controller {
    type Key = ObjectKey;
    type State = State;

    fn name(&self) -> &'static str {
        "cluster-dns-controller"
    }

    fn gather(&self, key: &ObjectKey) -> Option<State> {
        Some(State { nodes: self.nodes.list(), slice: self.slices.get(&key.namespace, &key.name) })
    }

    fn reconcile(&self, _: &ObjectKey, state: &State, _: &Live, _: Timestamp) -> Plan {
        reconcile::reconcile(state)
    }
}
