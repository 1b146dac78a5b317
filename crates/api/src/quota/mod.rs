//! What objects count for against a namespace's quotas (k8s.io/apiserver/pkg/quota/v1 and
//! k8s.io/kubernetes/pkg/quota/v1/evaluator/core). The API server asks before it takes an object, the controller for all
//! that are there.

mod amounts;
mod evaluator;
mod pod;
#[cfg(test)]
mod tests;

pub use amounts::{Amounts, add, exceeding, masked, print, read, subtract, write};
pub use evaluator::Evaluator;
pub use pod::requests;

use crate::value::Value;

/// One requirement of a quota's scopes.
#[derive(Clone, Debug)]
pub struct Scope<'a> {
    name: &'a str,
    operator: &'a str,
    values: &'a [Value],
}

/// What a quota asks of objects before they count.
pub fn scopes(quota: &Value) -> Vec<Scope<'_>> {
    let plain = quota.list_at(&["spec", "scopes"]).iter().filter_map(Value::as_str);
    let plain = plain.map(|name| Scope { name, operator: "Exists", values: &[] });
    let selected = quota.list_at(&["spec", "scopeSelector", "matchExpressions"]).iter().map(|one| Scope {
        name: one.str_at(&["scopeName"]).unwrap_or_default(),
        operator: one.str_at(&["operator"]).unwrap_or_default(),
        values: one.list_at(&["values"]),
    });
    plain.chain(selected).collect()
}

/// The names of the resources that something limits, from the map at `path`.
pub fn names<'a>(quota: &'a Value, path: &[&str]) -> Vec<&'a str> {
    quota
        .at(path)
        .and_then(Value::as_map)
        .into_iter()
        .flat_map(|map| map.iter())
        .map(|(name, _)| name.as_str())
        .collect()
}

// === impl Scope ===

impl Scope<'_> {
    /// Whether one of `values`, such as the names of classes that are used, is what is asked for.
    fn selects(&self, values: &[&str]) -> bool {
        if self.operator == "Exists" {
            return !values.is_empty();
        }
        let wanted: Vec<&str> = self.values.iter().filter_map(Value::as_str).collect();
        let matches = |value: Option<&&str>| match self.operator {
            "In" => value.is_some_and(|value| wanted.contains(value)),
            "NotIn" => value.is_none_or(|value| !wanted.contains(value)),
            "DoesNotExist" => value.is_none(),
            _ => false,
        };
        if values.is_empty() { matches(None) } else { values.iter().any(|value| matches(Some(value))) }
    }
}
