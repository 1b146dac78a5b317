//! Match conditions: expressions that have to be true of a request before a webhook is asked
//! (k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions).
//!
//! **Not there yet:** configurations with conditions are refused ([`faults`]). This file is the one place that changes
//! when expressions are there.

use decapod_api::kinds::Resource;
use decapod_api::{Cause, Status, Value};

use super::matching::Invocation;
use crate::admission::Attributes;

const UNSUPPORTED: &str = "matchConditions are not supported yet";

/// The conditions of a webhook.
pub struct Conditions {
    any: bool,
}

// === impl Conditions ===

impl Conditions {
    /// Of a webhook in a configuration.
    pub fn new(webhook: &Value) -> Conditions {
        Conditions { any: !webhook.list_at(&["matchConditions"]).is_empty() }
    }
}

/// Whether a webhook's conditions are all true of the request. If none is false and some have no value, its failure
/// policy says whether the request fails or the webhook is not asked: so it is for all of those that were stored before
/// they were refused.
pub fn hold(invocation: &Invocation, attributes: &Attributes) -> Result<bool, Status> {
    match (invocation.hook.conditions.any, invocation.hook.fails_open) {
        (false, _) => Ok(true),
        (true, true) => Ok(false),
        (true, false) => Err(attributes.forbid(UNSUPPORTED)),
    }
}

/// What is wrong with the conditions of a configuration.
pub fn faults(resource: &Resource, configuration: &Value) -> Vec<Cause> {
    const CONFIGURATIONS: [&str; 2] = ["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"];
    if resource.group != "admissionregistration.k8s.io" || !CONFIGURATIONS.contains(&&*resource.kind) {
        return vec![];
    }
    let webhooks = configuration.list_at(&["webhooks"]).iter().enumerate();
    let conditional = webhooks.filter(|(_, webhook)| Conditions::new(webhook).any);
    conditional
        .map(|(i, _)| Cause::forbidden(format!("webhooks[{i}].matchConditions"), UNSUPPORTED))
        .collect()
}
