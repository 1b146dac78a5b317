//! Signs approved requests for certificates (k8s.io/kubernetes/pkg/controller/certificates/signer).

mod authority;
mod der;
mod reconcile;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use decapod_client::{Informer, ObjectKey};
use jiff::Timestamp;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;

use crate::Wiring;
use crate::runtime::{Live, Plan, Reconcile};

pub use authority::{Authority, AuthorityError};
pub use reconcile::State;

struct Controller {
    requests: Informer<CertificateSigningRequest>,
    authority: Arc<Authority>,
}

/// Starts the controller, which signs with `authority`.
pub fn start(wiring: &Wiring, authority: Arc<Authority>) {
    let requests = wiring.informers.of::<CertificateSigningRequest>();
    wiring
        .controller(Controller { requests: requests.clone(), authority })
        .watch(requests.untyped(), |change| {
            let decided = change.new.as_ref().is_some_and(|csr| csr.raw(&["status", "conditions"]).is_some());
            decided.then(|| change.key.clone()).into_iter().collect()
        })
        .start();
}

impl Reconcile for Controller {
    type Key = ObjectKey;
    type State = State;

    fn name(&self) -> &'static str {
        "certificate-controller"
    }

    fn component(&self) -> &'static str {
        "csrsigning"
    }

    fn gather(&self, key: &ObjectKey) -> Option<State> {
        Some(State { csr: self.requests.get("", &key.name)?, authority: Arc::clone(&self.authority) })
    }

    fn reconcile(&self, _: &ObjectKey, state: &State, _: &Live, now: Timestamp) -> Plan {
        reconcile::reconcile(state, now)
    }
}
