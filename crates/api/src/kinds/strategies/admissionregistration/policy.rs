//! ValidatingAdmissionPolicy, MutatingAdmissionPolicy and their bindings: rules in CEL about writes.

use super::validate;
use crate::Cause;
use crate::kinds::strategies::fill::{each, fill, part, restore_metadata, with};
use crate::kinds::strategies::rules::{Causes, Place, Seen};
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
            check_policy(&policy, self.validates, &mut out);
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
        parameters(&spec.field("paramRef"), &mut out);
        let actions = spec.field("validationActions");
        if self.validates && actions.list().is_empty() {
            out.push(actions.required("at least one validation action is required"));
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

/// Which object parametrizes a policy.
fn parameters(reference: &Place, out: &mut Causes) {
    if !reference.is_set() {
        return;
    }
    let (name, selector) = (reference.field("name"), reference.field("selector"));
    name.check_if_set(names::path_segment, out);
    match (!name.text().is_empty(), selector.is_set()) {
        (true, true) => {
            for field in [&name, &selector] {
                out.push(field.forbidden("name and selector are mutually exclusive"));
            }
        }
        (false, false) => out.push(reference.required("one of name or selector must be specified")),
        _ => selector.label_selector(out),
    }
    let action = reference.field("parameterNotFoundAction");
    if action.is_set() {
        action.one_of(&["Deny", "Allow"], out);
    } else {
        out.push(action.required(""));
    }
}

fn check_policy(policy: &Place, validates: bool, out: &mut Causes) {
    let spec = policy.field("spec");
    spec.field("failurePolicy").need_one_of(&["Fail", "Ignore"], out);
    if spec.field("paramKind").is_set() {
        param_kind(&spec.field("paramKind"), out);
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
    variables(&spec.field("variables"), out);
    if validates {
        let (rules, annotations) = (spec.field("validations"), spec.field("auditAnnotations"));
        if rules.list().is_empty() && annotations.list().is_empty() {
            for list in [&rules, &annotations] {
                out.push(list.required("validations or auditAnnotations must contain at least one item"));
            }
        }
        rules.items().for_each(|rule| validation(&rule, out));
        let name = policy.value.str_at(&["metadata", "name"]).unwrap_or_default();
        audit_annotations(&annotations, name, out);
    } else {
        spec.field("reinvocationPolicy").need_one_of(&["IfNeeded", "Never"], out);
        let mutations = spec.field("mutations");
        if mutations.list().is_empty() {
            out.push(mutations.required("mutations must contain at least one item"));
        }
        mutations.items().for_each(|one| mutation(&one, out));
    }
}

/// The group, version and kind of the objects that parametrize a policy.
fn param_kind(param: &Place, out: &mut Causes) {
    let (version, kind) = (param.field("apiVersion"), param.field("kind"));
    if version.need(out) {
        match version.text().split('/').collect::<Vec<_>>().as_slice() {
            [_, _, _, ..] => {
                let detail = format!("unexpected GroupVersion string: {}", version.text());
                out.push(version.invalid(&detail));
            }
            [group, _] if !group.is_empty() && !names::subdomain(group).is_empty() => {
                out.push(version.invalid_as(*group, &names::subdomain(group).join(",")));
            }
            [.., ""] => out.push(version.invalid("version must be specified")),
            [.., name] if !names::label_1035(name).is_empty() => {
                out.push(version.invalid_as(*name, &names::label_1035(name).join(",")));
            }
            _ => {}
        }
    }
    let reasons = names::label_1035(&kind.text().to_lowercase());
    if kind.need(out) && !reasons.is_empty() {
        let detail = format!("may have mixed case, but should otherwise match: {}", reasons.join(","));
        out.push(kind.invalid(&detail));
    }
}

/// An expression that has to be there.
fn expression(owner: &Place, field: &str, out: &mut Causes) {
    let expression = owner.field(field);
    if expression.text().trim().is_empty() {
        out.push(expression.required(&format!("{field} is not specified")));
    }
}

fn variables(variables: &Place, out: &mut Causes) {
    for variable in variables.items() {
        let name = variable.field("name");
        let text = name.text();
        let mut letters = text.bytes();
        let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        if text.trim().is_empty() {
            out.push(name.required("name is not specified"));
        } else if !letters.next().is_some_and(|b| is_word(b) && !b.is_ascii_digit()) || !letters.all(is_word)
        {
            out.push(name.invalid("must be a valid CEL identifier"));
        }
        expression(&variable, "expression", out);
    }
}

fn validation(rule: &Place, out: &mut Causes) {
    expression(rule, "expression", out);
    let (message, by_expression) = (rule.field("message"), rule.field("messageExpression"));
    if !by_expression.text().is_empty() && by_expression.text().trim().is_empty() {
        out.push(by_expression.invalid("must be non-empty if specified"));
    }
    if !message.text().is_empty() && message.text().trim().is_empty() {
        out.push(message.invalid("must be non-empty if specified"));
    } else if message.text().trim().contains(['\n', '\r']) {
        out.push(message.invalid("must not contain line breaks"));
    }
    if !rule.field("reason").text().is_empty() {
        rule.field("reason").one_of(&REASONS, out);
    }
}

const REASONS: [&str; 3] = ["Forbidden", "Invalid", "RequestEntityTooLarge"];
const AUDIT_MAX: usize = 20;

fn audit_annotations(annotations: &Place, policy: &str, out: &mut Causes) {
    if annotations.list().len() > AUDIT_MAX {
        out.push(annotations.invalid(&format!("must not have more than {AUDIT_MAX} auditAnnotations")));
    }
    let mut seen = Seen::default();
    for annotation in annotations.items() {
        let key = annotation.field("key");
        if !policy.is_empty() {
            let whole = format!("{policy}/{}", key.text());
            out.extend(names::qualified_name(&whole).iter().map(|why| key.invalid_as(whole.as_str(), why)));
        }
        if seen.again(annotation.value.str_at(&["key"]).unwrap_or_default()) {
            out.push(key.duplicate());
        }
        expression(&annotation, "valueExpression", out);
    }
}

/// A mutation says what it does in the field of its type, and in no other.
fn mutation(mutation: &Place, out: &mut Causes) {
    const KINDS: [(&str, &str); 2] =
        [("ApplyConfiguration", "applyConfiguration"), ("JSONPatch", "jsonPatch")];
    let kind = mutation.field("patchType");
    if !kind.need(out) {
        return;
    }
    if !KINDS.iter().any(|(name, _)| *name == kind.text()) {
        return out.push(kind.not_supported(&KINDS.map(|(name, _)| name)));
    }
    for (name, field) in KINDS {
        let part = mutation.field(field);
        match (name == kind.text(), part.is_set()) {
            (true, false) => {
                out.push(part.required(&format!("must be specified when patchType is {name}")));
            }
            (false, true) => {
                let detail = format!("must not be specified when patchType is {}", kind.text());
                out.push(part.invalid_as(format!("{{{field}}}"), &detail));
            }
            (true, true) if part.field("expression").text().trim().is_empty() => {
                out.push(part.field("expression").required(""));
            }
            _ => {}
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
