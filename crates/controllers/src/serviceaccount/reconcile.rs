//! Whether a namespace lacks its ServiceAccount.

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::runtime::{Plan, Write};

pub(super) const DEFAULT: &str = "default";

/// What is known of a namespace.
#[derive(Clone, Copy, Debug)]
pub struct State {
    /// Whether it is there to stay.
    pub is_active: bool,
    /// Whether it has its ServiceAccount.
    pub has_default: bool,
}

pub(super) fn reconcile(namespace: &str, state: &State) -> Plan {
    let mut plan = Plan::nothing();
    if state.is_active && !state.has_default {
        let metadata = ObjectMeta {
            name: Some(DEFAULT.to_owned()),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        };
        let account = ServiceAccount { metadata, ..ServiceAccount::default() };
        plan.write(Write::create(&account).tolerating(&["AlreadyExists"]));
    }
    plan
}
