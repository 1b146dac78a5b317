//! Puts controllers together and starts them.

use decapod_client::Client;
use decapod_sys::Env;

use crate::runtime::{Builder, Informers, Reconcile};

/// What controllers are made from.
pub struct Wiring<'a> {
    /// Their scope, clock and randomness.
    pub env: &'a Env,
    /// What they read.
    pub informers: Informers,
    /// What they act as: a client by the name of a service account in `kube-system`.
    pub clients: &'a dyn Fn(&str) -> Client,
}

impl Wiring<'_> {
    /// The controller that decides as `reconcile` does, and acts under its name.
    pub fn controller<R: Reconcile>(&self, reconcile: R) -> Builder<R> {
        let client = (self.clients)(reconcile.name());
        Builder::new(self.env, &self.informers, client, reconcile)
    }
}
