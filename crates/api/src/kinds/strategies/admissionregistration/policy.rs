//! ValidatingAdmissionPolicy, MutatingAdmissionPolicy and their bindings: rules in CEL about writes.

use crate::kinds::strategies::fill::{each, fill, part, restore_metadata, with};
use crate::kinds::strategy::{Strategy, Verb};
use crate::value::Value;

/// ValidatingAdmissionPolicy and MutatingAdmissionPolicy.
pub struct Policy;

/// ValidatingAdmissionPolicyBinding and MutatingAdmissionPolicyBinding.
pub struct PolicyBinding;

impl Strategy for Policy {
    fn default(&self, draft: &mut Value) {
        let spec = part(draft, "spec");
        fill(spec, "failurePolicy", "Fail");
        with(spec, "matchConstraints", default_match);
    }

    fn prepare(&self, new: &mut Value, old: Option<&Value>, verb: Verb) {
        if let (Verb::UpdateSubresource("status"), Some(old)) = (verb, old) {
            restore_metadata(new, old);
        }
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }
}

impl Strategy for PolicyBinding {
    fn default(&self, draft: &mut Value) {
        with(part(draft, "spec"), "matchResources", default_match);
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }
}

fn default_match(resources: &mut Value) {
    default_selectors(resources);
    for rules in ["resourceRules", "excludeResourceRules"] {
        each(resources, rules, |rule| fill(rule, "scope", "*"));
    }
}

/// What webhooks and policies are matched by.
pub(super) fn default_selectors(owner: &mut Value) {
    fill(owner, "matchPolicy", "Equivalent");
    fill(owner, "namespaceSelector", Value::map());
    fill(owner, "objectSelector", Value::map());
}
