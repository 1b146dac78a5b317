//! Gives every namespace its `default` ServiceAccount (k8s.io/kubernetes/pkg/controller/serviceaccount).

mod reconcile;
#[cfg(test)]
mod tests;

use decapod_client::{Informer, ObjectKey};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};

use crate::Wiring;
use crate::runtime::{Live, Plan, Reconcile};

pub use reconcile::State;

struct Controller {
    namespaces: Informer<Namespace>,
    accounts: Informer<ServiceAccount>,
}

/// Starts the controller.
pub fn start(wiring: &Wiring) {
    let (namespaces, accounts) =
        (wiring.informers.of::<Namespace>(), wiring.informers.of::<ServiceAccount>());
    wiring
        .controller(Controller { namespaces: namespaces.clone(), accounts: accounts.clone() })
        .watch(namespaces.untyped(), |change| vec![ObjectKey::new("", change.key.name.as_str())])
        .watch(accounts.untyped(), |change| match change.new {
            None => vec![ObjectKey::new("", change.key.namespace.as_str())],
            Some(_) => Vec::new(),
        })
        .workers(1)
        .start();
}

impl Reconcile for Controller {
    type Key = ObjectKey;
    type State = State;

    fn name(&self) -> &'static str {
        "service-account-controller"
    }

    fn gather(&self, key: &ObjectKey) -> Option<State> {
        let namespace = self.namespaces.object("", &key.name)?;
        Some(State {
            is_active: namespace.text(&["status", "phase"]).as_deref() == Some("Active"),
            has_default: self.accounts.object(&key.name, reconcile::DEFAULT).is_some(),
        })
    }

    fn reconcile(&self, key: &ObjectKey, state: &State, _: &Live, _: Timestamp) -> Plan {
        reconcile::reconcile(&key.name, state)
    }
}
