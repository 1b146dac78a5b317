//! Publishes the cluster's certificate authority in every namespace, for pods to trust the API server by
//! (k8s.io/kubernetes/pkg/controller/certificates/rootcacertpublisher).

mod reconcile;
#[cfg(test)]
mod tests;

use decapod_client::{Informer, ObjectKey};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};

use crate::Wiring;
use crate::runtime::{Live, Plan, Reconcile};

pub use reconcile::State;

struct Controller {
    namespaces: Informer<Namespace>,
    maps: Informer<ConfigMap>,
    root_ca_pem: String,
}

/// Starts the controller, which publishes `root_ca_pem`.
pub fn start(wiring: &Wiring, root_ca_pem: String) {
    let (namespaces, maps) = (wiring.informers.of::<Namespace>(), wiring.informers.of::<ConfigMap>());
    wiring
        .controller(Controller { namespaces: namespaces.clone(), maps: maps.clone(), root_ca_pem })
        .watch(namespaces.untyped(), |change| vec![ObjectKey::new("", change.key.name.as_str())])
        .watch(maps.untyped(), |change| {
            let is_ours = change.key.name == reconcile::NAME;
            is_ours.then(|| ObjectKey::new("", change.key.namespace.as_str())).into_iter().collect()
        })
        .workers(1)
        .start();
}

impl Reconcile for Controller {
    type Key = ObjectKey;
    type State = State;

    fn name(&self) -> &'static str {
        "root-ca-cert-publisher"
    }

    fn gather(&self, key: &ObjectKey) -> Option<State> {
        let namespace = self.namespaces.object("", &key.name)?;
        let is_active = namespace.text(&["status", "phase"]).as_deref() == Some("Active");
        is_active.then(|| State { map: self.maps.get(&key.name, reconcile::NAME) })
    }

    fn reconcile(&self, key: &ObjectKey, state: &State, _: &Live, _: Timestamp) -> Plan {
        reconcile::reconcile(&key.name, state, &self.root_ca_pem)
    }
}
