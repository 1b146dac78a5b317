//! ValidatingWebhookConfiguration and MutatingWebhookConfiguration: who is asked about writes.

use super::policy::default_selectors;
use super::validate;
use crate::Cause;
use crate::kinds::strategies::fill::{each, fill, part, with};
use crate::kinds::strategies::rules::Place;
use crate::kinds::strategy::{Strategy, Verb};
use crate::value::Value;

/// ValidatingWebhookConfiguration: who may refuse writes.
pub struct ValidatingWebhooks;

/// MutatingWebhookConfiguration: who may change what is written.
pub struct MutatingWebhooks;

impl Strategy for ValidatingWebhooks {
    fn default(&self, draft: &mut Value) {
        each(draft, "webhooks", default_webhook);
    }

    fn validate(&self, new: &Value, _old: Option<&Value>, _verb: Verb) -> Vec<Cause> {
        let (configuration, mut out) = (Place::root(new), Vec::new());
        validate::webhooks(&configuration.field("webhooks"), &mut out);
        out
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }
}

impl Strategy for MutatingWebhooks {
    fn default(&self, draft: &mut Value) {
        each(draft, "webhooks", |webhook| {
            default_webhook(webhook);
            fill(webhook, "reinvocationPolicy", "Never");
        });
    }

    fn validate(&self, new: &Value, _old: Option<&Value>, _verb: Verb) -> Vec<Cause> {
        let (configuration, mut out) = (Place::root(new), Vec::new());
        validate::webhooks(&configuration.field("webhooks"), &mut out);
        out
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }
}

fn default_webhook(webhook: &mut Value) {
    fill(webhook, "failurePolicy", "Fail");
    default_selectors(webhook);
    fill(webhook, "timeoutSeconds", 10);
    with(part(webhook, "clientConfig"), "service", |service| fill(service, "port", 443));
    each(webhook, "rules", |rule| fill(rule, "scope", "*"));
}
