//! ValidatingAdmissionPolicy, MutatingAdmissionPolicy and their bindings: rules in CEL about writes.

use super::validate;
use crate::Cause;
use crate::kinds::strategies::fill::{each, fill, part, restore_metadata, with};
use crate::kinds::strategies::rules::{Causes, Place};
use crate::kinds::strategy::{Strategy, Verb};
use crate::names;
use crate::value::Value;

/// ValidatingAdmissionPolicy and MutatingAdmissionPolicy.
pub struct Policy {
    /// Whether it validates, or mutates.
    pub validates: bool,
}

/// ValidatingAdmissionPolicyBinding and MutatingAdmissionPolicyBinding.
pub struct PolicyBinding {
    /// Whether its policy validates, and so has actions.
    pub validates: bool,
}

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

    fn validate(&self, new: &Value, _old: Option<&Value>, verb: Verb) -> Vec<Cause> {
        let (policy, mut out) = (Place::root(new), Vec::new());
        if !matches!(verb, Verb::UpdateSubresource(_)) {
            check_policy(&policy.field("spec"), self.validates, &mut out);
        }
        out
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }
}

impl Strategy for PolicyBinding {
    fn default(&self, draft: &mut Value) {
        with(part(draft, "spec"), "matchResources", default_match);
    }

    fn validate(&self, new: &Value, _old: Option<&Value>, _verb: Verb) -> Vec<Cause> {
        let (binding, mut out) = (Place::root(new), Vec::new());
        let spec = binding.field("spec");
        spec.field("policyName").need_checked(names::subdomain, &mut out);
        if spec.field("matchResources").is_set() {
            check_match(&spec.field("matchResources"), &mut out);
        }
        let actions = spec.field("validationActions");
        if self.validates && actions.list().is_empty() {
            out.push(actions.required(""));
        }
        for action in actions.items() {
            action.one_of(&["Audit", "Deny", "Warn"], &mut out);
        }
        actions.unique_texts(&mut out);
        let has = |wanted: &str| actions.items().any(|action| action.text() == wanted);
        if has("Deny") && has("Warn") {
            out.push(actions.invalid("must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)"));
        }
        out
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

fn check_policy(spec: &Place, validates: bool, out: &mut Causes) {
    spec.field("failurePolicy").need_one_of(&["Fail", "Ignore"], out);
    let param = spec.field("paramKind");
    if param.is_set() {
        param.field("apiVersion").need(out);
        param.field("kind").need(out);
    }
    let constraints = spec.field("matchConstraints");
    if constraints.is_set() {
        let rules = constraints.field("resourceRules");
        if rules.list().is_empty() {
            out.push(rules.required(""));
        }
        check_match(&constraints, out);
    } else {
        out.push(constraints.required(""));
    }
    validate::conditions(&spec.field("matchConditions"), out);
    if validates {
        let (rules, annotations) = (spec.field("validations"), spec.field("auditAnnotations"));
        if rules.list().is_empty() && annotations.list().is_empty() {
            for list in [&rules, &annotations] {
                out.push(list.required("validations or auditAnnotations must contain at least one item"));
            }
        }
        for rule in rules.items().filter(|rule| rule.field("expression").text().trim().is_empty()) {
            out.push(rule.field("expression").required("expression is not specified"));
        }
    } else {
        let mutations = spec.field("mutations");
        if mutations.list().is_empty() {
            out.push(mutations.required("mutations must contain at least one item"));
        }
        for mutation in mutations.items() {
            mutation.field("patchType").need_one_of(&["ApplyConfiguration", "JSONPatch"], out);
        }
    }
}

fn check_match(resources: &Place, out: &mut Causes) {
    resources.field("matchPolicy").one_of_if_set(&["Equivalent", "Exact"], out);
    resources.field("namespaceSelector").label_selector(out);
    resources.field("objectSelector").label_selector(out);
    for rules in ["resourceRules", "excludeResourceRules"] {
        resources.field(rules).items().for_each(|rule| validate::check_rule(&rule, out));
    }
}
