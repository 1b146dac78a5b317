//! What the workloads have in common: replicas, a selector, a template (k8s.io/kubernetes/pkg/apis/apps/validation).

use crate::kinds::strategies::core::pod_spec::{gated, validate};
use crate::kinds::strategies::rules::{Causes, Place};
use crate::selector::LabelSelector;
use crate::value::Value;

/// The selector of `spec`, which has to be there, and its template; `kind` is what a message calls the workload. Whether
/// the selector could be read, or else the template has not been looked at.
pub fn selector_and_template(spec: &Place, kind: &str, invalid: &str, out: &mut Causes) -> bool {
    let selector = spec.field("selector");
    if !selector.is_set() {
        out.push(selector.required(""));
    } else {
        selector.label_selector(out);
        if selector.is_empty_selector() {
            out.push(selector.invalid(&format!("empty selector is invalid for {kind}")));
        }
    }
    if !selector.is_set() {
        blame_labels(&spec.field("template"), out);
    }
    let parsed = LabelSelector::from_value(selector.value);
    match &parsed {
        Err(_) => out.push(selector.invalid(invalid)),
        Ok(parsed) => {
            matches(&spec.field("template"), parsed, out);
            validate::template(&spec.field("template"), out);
        }
    }
    parsed.is_ok()
}

/// Whether the template makes pods that the selector finds.
pub fn matches(template: &Place, selector: &LabelSelector, out: &mut Causes) {
    let labels = template.value.at(&["metadata", "labels"]).unwrap_or(&Value::Null);
    if !selector.is_everything() && !selector.matches_labels(Some(labels)) {
        blame_labels(template, out);
    }
}

/// No selector at all finds no pods, whatever their labels.
pub fn blame_labels(template: &Place, out: &mut Causes) {
    let metadata = template.field("metadata");
    out.push(metadata.field("labels").invalid("`selector` does not match template `labels`"));
}

/// Drops what new templates do not get, from the one in the spec of an object (upstream's
/// `DropDisabledTemplateFields`).
pub fn drop_gated(new: &mut Value, old: Option<&Value>) {
    gated::drop_unused(new, old, &["spec", "template", "spec"]);
}

/// Pods that are kept running are always begun again, and have no end.
pub fn always_restarts(template: &Place, kind: &str, out: &mut Causes) {
    let spec = template.field("spec");
    if spec.field("restartPolicy").text() != "Always" {
        out.push(spec.field("restartPolicy").not_supported(&["Always"]));
    }
    let deadline = spec.field("activeDeadlineSeconds");
    if deadline.is_set() {
        out.push(deadline.forbidden(&format!("activeDeadlineSeconds in {kind} is not Supported")));
    }
}

/// The counts of a status: not negative, and `of_all` no more than `replicas`.
pub fn counts(status: &Place, fields: &[&str], of_all: &[&str], ready: &str, out: &mut Causes) {
    for field in fields {
        status.field(field).non_negative(out);
    }
    let replicas = status.field("replicas").int();
    for field in of_all.iter().map(|field| status.field(field)) {
        if field.int() > replicas {
            out.push(field.invalid_as(field.int(), "cannot be greater than status.replicas"));
        }
    }
    let available = status.field("availableReplicas");
    if available.int() > status.field("readyReplicas").int() {
        out.push(available.invalid(&format!("cannot be greater than {ready}")));
    }
}

/// A count of collisions only goes up.
pub fn collisions(status: &Place, old: &Value, out: &mut Causes) {
    let count = status.field("collisionCount");
    if old.int_at(&["status", "collisionCount"]).is_some_and(|before| count.int() < before) {
        out.push(count.invalid_as(count.int(), "cannot be decremented"));
    }
}
