//! Faults of what tells the scheduler where a pod may go.

use crate::Cause;
use crate::kinds::strategies::rules::{Causes, Place};
use crate::names;

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

pub(super) fn affinity(affinity: &Place, out: &mut Causes) {
    let node = affinity.field("nodeAffinity");
    if node.field(REQUIRED).is_set() {
        node_selector(&node.field(REQUIRED), true, out);
    }
    for term in node.field(PREFERRED).items() {
        weight(&term, out);
        node_selector_term(&term.field("preference"), false, out);
    }
    for kind in ["podAffinity", "podAntiAffinity"] {
        let affinity = affinity.field(kind);
        affinity.field(REQUIRED).items().for_each(|term| pod_term(&term, out));
        for term in affinity.field(PREFERRED).items() {
            weight(&term, out);
            pod_term(&term.field("podAffinityTerm"), out);
        }
    }
}

fn weight(term: &Place, out: &mut Causes) {
    let weight = term.field("weight");
    if !(1..=100).contains(&weight.int()) {
        out.push(weight.invalid_as(weight.int(), "must be in the range 1-100"));
    }
}

/// Which nodes (upstream's `ValidateNodeSelector`).
pub fn node_selector(selector: &Place, checks_values: bool, out: &mut Causes) {
    let terms = selector.field("nodeSelectorTerms");
    if terms.list().is_empty() {
        out.push(terms.required("must have at least one node selector term"));
    }
    terms.items().for_each(|term| node_selector_term(&term, checks_values, out));
}

fn node_selector_term(term: &Place, checks_values: bool, out: &mut Causes) {
    const OPERATOR: &str = "not a valid selector operator";
    for expression in term.field("matchExpressions").items() {
        let (values, operator) = (expression.field("values"), expression.field("operator"));
        let count = values.list().len();
        match operator.text() {
            "In" | "NotIn" if count == 0 => {
                out.push(values.required("must be specified when `operator` is 'In' or 'NotIn'"));
            }
            "Exists" | "DoesNotExist" if count > 0 => {
                out.push(
                    values.forbidden("may not be specified when `operator` is 'Exists' or 'DoesNotExist'"),
                );
            }
            "Gt" | "Lt" if count != 1 => {
                out.push(values.required("must be specified single value when `operator` is 'Lt' or 'Gt'"));
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
            other => out.push(operator.invalid_as(other, OPERATOR)),
        }
        expression.field("key").check(names::qualified_name, out);
        if checks_values {
            values.items().for_each(|value| value.check(names::label_value, out));
        }
    }
    for field in term.field("matchFields").items() {
        let (values, operator, key) = (field.field("values"), field.field("operator"), field.field("key"));
        match operator.text() {
            "In" | "NotIn" if values.list().len() != 1 => {
                let detail =
                    "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
                out.push(values.required(detail));
            }
            "In" | "NotIn" => {}
            other => out.push(operator.invalid_as(other, OPERATOR)),
        }
        if key.text() == "metadata.name" {
            values.items().for_each(|value| value.check(names::subdomain, out));
        } else {
            out.push(key.invalid_as(key.text(), "not a valid field selector key"));
        }
    }
}

fn pod_term(term: &Place, out: &mut Causes) {
    term.field("labelSelector").label_selector(out);
    term.field("namespaceSelector").label_selector(out);
    for name in term.field("namespaces").items() {
        let reasons = names::label(name.text());
        out.extend(reasons.iter().map(|why| term.field("namespace").invalid_as(name.text(), why)));
    }
    label_keys(term, out);
    let key = term.field("topologyKey");
    if key.text().is_empty() {
        out.push(key.required("can not be empty"));
    }
    key.check(names::qualified_name, out);
}

/// Keys of the pod's own labels by which a selector goes on.
fn label_keys(term: &Place, out: &mut Causes) {
    let (selector, matching, not) =
        (term.field("labelSelector"), term.field("matchLabelKeys"), term.field("mismatchLabelKeys"));
    for keys in [matching, not].iter().filter(|keys| !keys.list().is_empty()) {
        if selector.is_set() {
            keys.items().for_each(|key| key.check(names::qualified_name, out));
        } else {
            out.push(keys.forbidden("must not be specified when labelSelector is not set"));
        }
    }
    let mut selected: Vec<&str> = selector.field("matchLabels").entries().map(|(key, _)| key).collect();
    for expression in selector.field("matchExpressions").items() {
        let key = expression.field("key").text();
        let at = matching.items().position(|matching| matching.text() == key);
        if let (Some(at), true) = (at, selected.contains(&key)) {
            let path = format!("{}[{at}]", term.path());
            out.push(Cause::invalid(path, &key.into(), "exists in both matchLabelKeys and labelSelector"));
        }
        selected.push(key);
    }
    for key in matching.items().filter(|key| not.items().any(|not| not.text() == key.text())) {
        out.push(key.invalid("exists in both matchLabelKeys and mismatchLabelKeys"));
    }
}

pub(super) fn spread(constraints: &Place, out: &mut Causes) {
    for (i, constraint) in constraints.items().enumerate() {
        constraint.field("maxSkew").positive(out);
        let key = constraint.field("topologyKey");
        if key.text().is_empty() {
            out.push(key.required("can not be empty"));
        }
        let action = constraint.field("whenUnsatisfiable");
        action.one_of(&["DoNotSchedule", "ScheduleAnyway"], out);
        let same = |other: &Place| {
            other.field("topologyKey").text() == key.text()
                && other.field("whenUnsatisfiable").text() == action.text()
        };
        if constraints.items().skip(i + 1).any(|other| same(&other)) {
            let path = constraint.field("{topologyKey, whenUnsatisfiable}").path();
            out.push(Cause::duplicate(path, &format!("{{{}, {}}}", key.text(), action.text())));
        }
        let domains = constraint.field("minDomains");
        if domains.is_set() {
            domains.positive(out);
            if action.text() != "DoNotSchedule" {
                let detail = format!(
                    "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {}",
                    action.text()
                );
                out.push(domains.invalid(&detail));
            }
        }
        for policy in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            constraint.field(policy).one_of_if_set(&["Honor", "Ignore"], out);
        }
        label_keys(&constraint, out);
        constraint.field("labelSelector").label_selector(out);
    }
}

/// What a pod puts up with (upstream's `ValidateTolerations`).
pub fn tolerations(tolerations: &Place, out: &mut Causes) {
    for toleration in tolerations.items() {
        let (key, operator, effect) =
            (toleration.field("key"), toleration.field("operator"), toleration.field("effect"));
        let value = toleration.field("value").text();
        key.check_if_set(names::qualified_name, out);
        if key.text().is_empty() && operator.text() != "Exists" {
            let detail =
                "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            out.push(operator.invalid_as(operator.text(), detail));
        }
        if toleration.field("tolerationSeconds").is_set() && effect.text() != "NoExecute" {
            let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            out.push(effect.invalid_as(effect.text(), detail));
        }
        match operator.text() {
            "" | "Equal" => {
                let reasons = names::label_value(value);
                if !reasons.is_empty() {
                    out.push(operator.invalid_as(value, &reasons.join(";")));
                }
            }
            "Exists" if !value.is_empty() => {
                out.push(operator.invalid_as(value, "value must be empty when `operator` is 'Exists'"));
            }
            "Exists" => {}
            "Lt" | "Gt" => out.push(operator.not_supported(&["Equal", "Exists", "Lt", "Gt"])),
            _ => out.push(operator.not_supported(&["Equal", "Exists"])),
        }
        if !effect.text().is_empty() {
            taint_effect(&effect, out);
        }
    }
}

/// What a taint does.
pub fn taint_effect(effect: &Place, out: &mut Causes) {
    effect.one_of(&EFFECTS, out);
}
