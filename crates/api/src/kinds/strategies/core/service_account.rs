//! ServiceAccount: whom a pod acts as (k8s.io/kubernetes/pkg/registry/core/serviceaccount).

use crate::kinds::strategies::fill::each;
use crate::kinds::strategy::{Strategy, Verb};
use crate::value::Value;

/// ServiceAccount: whom a pod acts as.
pub struct ServiceAccount;

impl Strategy for ServiceAccount {
    /// Secrets are of the same namespace, and named only.
    fn prepare(&self, new: &mut Value, _old: Option<&Value>, _verb: Verb) {
        each(new, "secrets", |secret| {
            secret.ensure_map().retain(|field, _| field == "name");
        });
    }

    fn returns_deleted(&self) -> bool {
        true
    }
}
