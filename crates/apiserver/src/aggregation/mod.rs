//! Aggregation: groups and versions that other API servers serve, behind services that APIServices name
//! (k8s.io/kube-aggregator).
//!
//! One task follows the APIServices, one more for each that another server serves. A request that is for one of those
//! has been authenticated and authorized like any other when it is handed on.

pub mod api_service;
mod availability;
mod call;
mod discovery;
mod fetch;
mod follower;
mod headers;
mod openapi;
mod priorities;
mod proxy;
pub mod registered;
mod registration;
mod remote;
mod worker;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use decapod_sys::watch;

use crate::identity::{MASTERS, User};
use crate::pki::{Identity, Subject};
use crate::registry::Context;
pub use call::call;
pub use follower::start;
pub use proxy::serve;
pub use registered::{Known, Served};
pub use remote::{Remote, Tagged};

/// The group of APIServices.
const GROUP: &str = "apiregistration.k8s.io";
/// Their plural.
const PLURAL: &str = "apiservices";

/// As whom the server shows itself to aggregated ones, who know by it that what it says of users is true.
pub const FRONT_PROXY: Subject = Subject { name: "front-proxy-client", groups: &[], hosts: &[] };

/// The APIServices as they are known now.
pub struct Aggregator {
    known: watch::Sender<Arc<Known>>,
    identity: Identity,
}

/// The server itself.
fn context() -> Context {
    Context::new(User::new("system:apiserver", &[MASTERS]), "kube-apiserver")
}

// === impl Aggregator ===

impl Aggregator {
    /// Knows of none yet; is known to others as `identity`.
    pub fn new(identity: Identity) -> Aggregator {
        Aggregator { known: watch::Sender::new(Arc::default()), identity }
    }

    /// The APIServices.
    pub fn known(&self) -> Arc<Known> {
        self.known.borrow().clone()
    }

    /// The APIServices, and word of changes, also of what others have said that they serve.
    pub fn follow(&self) -> watch::Receiver<Arc<Known>> {
        self.known.subscribe()
    }

    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn change(&self, change: impl FnOnce(&mut Known)) {
        self.known.send_modify(|known| change(Arc::make_mut(known)));
    }
}
