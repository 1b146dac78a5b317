//! Approves kubelets' requests for certificates, if who asks may have them so
//! (k8s.io/kubernetes/pkg/controller/certificates/approver).
//!
//! Serving certificates are approved only where that is configured; upstream leaves them to an administrator.

mod reconcile;
#[cfg(test)]
pub(crate) mod tests;

use decapod_client::{Informer, ObjectKey};
use jiff::Timestamp;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::core::v1 as core;

use crate::Wiring;
use crate::runtime::{Live, Plan, Reconcile};

pub use reconcile::State;

struct Controller {
    requests: Informer<CertificateSigningRequest>,
    /// The nodes, where their serving certificates are approved.
    nodes: Option<Informer<core::Node>>,
}

/// Starts the controller; `approve_serving` says whether nodes get serving certificates for their own names.
pub fn start(wiring: &Wiring, approve_serving: bool) {
    let requests = wiring.informers.of::<CertificateSigningRequest>();
    let nodes = approve_serving.then(|| wiring.informers.of::<core::Node>());
    let mut builder = wiring.controller(Controller { requests: requests.clone(), nodes: nodes.clone() });
    if let Some(nodes) = nodes {
        builder = builder.reads(nodes.untyped());
    }
    builder
        .watch(requests.untyped(), |change| {
            let open = change.new.as_ref().is_some_and(|csr| csr.raw(&["status", "conditions"]).is_none());
            open.then(|| change.key.clone()).into_iter().collect()
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
        "csrapproving"
    }

    fn gather(&self, key: &ObjectKey) -> Option<State> {
        let nodes = self.nodes.as_ref().map(|nodes| nodes.list());
        Some(State { csr: self.requests.get("", &key.name)?, nodes })
    }

    fn reconcile(&self, _: &ObjectKey, state: &State, live: &Live, _: Timestamp) -> Plan {
        reconcile::reconcile(state, live)
    }
}
