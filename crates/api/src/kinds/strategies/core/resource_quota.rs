//! ResourceQuota: how much a namespace may use.

use super::resource_names;
use crate::Cause;
use crate::kinds::strategies::fill::{part, round, with};
use crate::kinds::strategies::rules::{Causes, IMMUTABLE, Place};
use crate::kinds::strategy::{Strategy, Verb};
use crate::value::Value;

/// ResourceQuota: how much a namespace may use.
pub struct ResourceQuota;

impl Strategy for ResourceQuota {
    fn default(&self, draft: &mut Value) {
        round(part(draft, "spec"), "hard");
        with(draft, "status", |status| {
            round(status, "hard");
            round(status, "used");
        });
    }

    fn returns_deleted(&self) -> bool {
        true
    }

    fn validate(&self, new: &Value, old: Option<&Value>, verb: Verb) -> Vec<Cause> {
        let (quota, mut out) = (Place::root(new), Vec::new());
        let (spec, status) = (quota.field("spec"), quota.field("status"));
        if verb != Verb::Update {
            for list in ["hard", "used"] {
                amounts(&status.field(list), &mut out);
            }
        }
        if !matches!(verb, Verb::UpdateSubresource(_)) {
            amounts(&spec.field("hard"), &mut out);
            scopes(&spec, &mut out);
        }
        if let (Verb::Update, Some(old)) = (verb, old) {
            let sorted = |list: &[Value]| {
                let mut texts: Vec<String> =
                    list.iter().filter_map(Value::as_str).map(str::to_owned).collect();
                texts.sort();
                texts.dedup();
                texts
            };
            let scopes = spec.field("scopes");
            if sorted(scopes.list()) != sorted(old.list_at(&["spec", "scopes"])) {
                out.push(scopes.invalid(IMMUTABLE));
            }
        }
        out
    }
}

const SCOPES: [&str; 7] = [
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "PriorityClass",
    "CrossNamespacePodAffinity",
    "VolumeAttributesClass",
];
const CONFLICTS: [[&str; 2]; 2] = [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]];

fn amounts(list: &Place, out: &mut Causes) {
    for (name, amount) in list.entries() {
        out.extend(resource_names::of_quota(name).iter().map(|why| amount.invalid_as(name, why)));
        resource_names::amount(name, &amount, out);
    }
}

/// Whether a scope says something about a resource (upstream's `IsResourceQuotaScopeValidForResource`).
fn is_scoped(scope: &str, resource: &str) -> bool {
    const COMPUTE: [&str; 6] =
        ["cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"];
    match scope {
        "VolumeAttributesClass" => matches!(resource, "persistentvolumeclaims" | "requests.storage"),
        "BestEffort" => resource == "pods",
        _ => resource == "pods" || COMPUTE.contains(&resource),
    }
}

fn scopes(spec: &Place, out: &mut Causes) {
    let hard: Vec<&str> = spec
        .value
        .get("hard")
        .and_then(Value::as_map)
        .into_iter()
        .flat_map(|map| map.iter())
        .map(|(name, _)| name.as_str())
        .filter(|name| resource_names::is_quota(name))
        .collect();
    let scopes = spec.field("scopes");
    let mut names: Vec<&str> = Vec::new();
    for scope in scopes.items() {
        if !SCOPES.contains(&scope.text()) {
            out.push(scopes.invalid("unsupported scope"));
        }
        for _ in hard.iter().filter(|name| !is_scoped(scope.text(), name)) {
            out.push(scopes.invalid("unsupported scope applied to resource"));
        }
        names.push(scope.text());
    }
    let conflict = |names: &[&str]| CONFLICTS.iter().any(|pair| pair.iter().all(|name| names.contains(name)));
    if conflict(&names) {
        out.push(scopes.invalid("conflicting scopes"));
    }
    let selector = spec.field("scopeSelector");
    // Upstream blames the list for each of its expressions.
    let expressions = selector.field("matchExpressions");
    let mut names: Vec<&str> = Vec::new();
    for expression in expressions.items() {
        let text = |field: &str| expression.value.str_at(&[field]).unwrap_or_default().to_owned();
        let (scope, operator) = (text("scopeName"), text("operator"));
        let values = expression.value.list_at(&["values"]);
        if !SCOPES.contains(&scope.as_str()) {
            out.push(expressions.field("scopeName").invalid_as(scope.as_str(), "unsupported scope"));
        }
        for _ in hard.iter().filter(|name| !is_scoped(&scope, name)) {
            out.push(expressions.invalid_as(selector.value.clone(), "unsupported scope applied to resource"));
        }
        let only_exists = matches!(
            scope.as_str(),
            "BestEffort" | "NotBestEffort" | "Terminating" | "NotTerminating" | "CrossNamespacePodAffinity"
        );
        if only_exists && operator != "Exists" {
            let detail = "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";
            out.push(expressions.field("operator").invalid_as(operator.as_str(), detail));
        }
        match operator.as_str() {
            "In" | "NotIn" if values.is_empty() => {
                let detail =
                    "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
                out.push(expressions.field("values").required(detail));
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                let detail =
                    "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
                out.push(expressions.field("values").invalid_as(values.to_vec(), detail));
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => {
                out.push(expressions.field("operator").invalid_as(other, "not a valid selector operator"))
            }
        }
        names.push(expression.value.str_at(&["scopeName"]).unwrap_or_default());
    }
    if conflict(&names) {
        out.push(expressions.invalid_as(scopes.value.clone(), "conflicting scopes"));
    }
}
