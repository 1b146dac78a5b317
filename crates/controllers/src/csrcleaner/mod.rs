//! Deletes requests for certificates that nobody needs any more
//! (k8s.io/kubernetes/pkg/controller/certificates/cleaner).

mod reconcile;
#[cfg(test)]
mod tests;

use decapod_client::{Informer, ObjectKey};
use jiff::Timestamp;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;

use crate::Wiring;
use crate::runtime::{Live, Plan, Reconcile};

struct Controller {
    requests: Informer<CertificateSigningRequest>,
}

/// Starts the controller.
pub fn start(wiring: &Wiring) {
    let requests = wiring.informers.of::<CertificateSigningRequest>();
    wiring
        .controller(Controller { requests: requests.clone() })
        .watch(requests.untyped(), |change| {
            change.new.is_some().then(|| change.key.clone()).into_iter().collect()
        })
        .workers(1)
        .start();
}

impl Reconcile for Controller {
    type Key = ObjectKey;
    type State = CertificateSigningRequest;

    fn name(&self) -> &'static str {
        "certificate-controller"
    }

    fn component(&self) -> &'static str {
        "csrcleaner"
    }

    fn gather(&self, key: &ObjectKey) -> Option<CertificateSigningRequest> {
        self.requests.get("", &key.name)
    }

    fn reconcile(&self, _: &ObjectKey, csr: &CertificateSigningRequest, _: &Live, now: Timestamp) -> Plan {
        reconcile::reconcile(csr, now)
    }
}
