//! The smallest strategic merge patch from one status to another (k8s.io/kubernetes/pkg/util/pod PatchPodStatus).

use serde_json::{Map, Value, json};

/// Lists that the server merges by a key.
const MERGED: [(&str, &str); 4] =
    [("conditions", "type"), ("podIPs", "ip"), ("hostIPs", "ip"), ("addresses", "type")];

/// The patch that makes `new` of `old`, both statuses as JSON; `None` if they are alike.
pub fn diff(old: &Value, new: &Value) -> Option<Value> {
    let empty = Map::new();
    let (old, new) = (old.as_object().unwrap_or(&empty), new.as_object().unwrap_or(&empty));
    let mut patch = Map::new();
    for (field, value) in new {
        let before = old.get(field).unwrap_or(&Value::Null);
        if before == value {
            continue;
        }
        let change = match MERGED.iter().find(|(name, _)| name == field) {
            Some((_, key)) => merge(before, value, key),
            None => value.clone(),
        };
        patch.insert(field.clone(), change);
    }
    for field in old.keys().filter(|field| !new.contains_key(*field)) {
        patch.insert(field.clone(), Value::Null);
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

/// The elements that are new or changed, and word of those that are gone. Others' elements that appeared meanwhile stay.
fn merge(old: &Value, new: &Value, key: &str) -> Value {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let (old, new) = (list(old), list(new));
    let same = |item: &Value, other: &Value| item[key] == other[key];
    let mut changes: Vec<Value> = Vec::new();
    for item in &new {
        match old.iter().find(|before| same(before, item)) {
            Some(before) if before == item => {}
            Some(before) => changes.push(merge_fields(before, item)),
            None => changes.push(item.clone()),
        }
    }
    for gone in old.iter().filter(|before| !new.iter().any(|item| same(before, item))) {
        changes.push(json!({ "$patch": "delete", key: gone[key] }));
    }
    let order: Vec<Value> = new.iter().map(|item| item[key].clone()).collect();
    if changes.is_empty() || old.iter().map(|item| &item[key]).ne(&order) && key == "ip" {
        // The order of addresses says which is the main one.
        let mut whole = vec![json!({ "$patch": "replace" })];
        whole.extend(new);
        return Value::Array(whole);
    }
    Value::Array(changes)
}

fn merge_fields(old: &Value, new: &Value) -> Value {
    let mut item = new.clone();
    for field in
        old.as_object().into_iter().flat_map(Map::keys).filter(|field| new.get(field.as_str()).is_none())
    {
        item[field] = Value::Null;
    }
    item
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changes_are_sent() {
        let old = json!({ "phase": "Pending", "reason": "x", "conditions": [
            { "type": "Ready", "status": "False", "message": "m" }, { "type": "PodScheduled", "status": "True" },
        ] });
        let new = json!({ "phase": "Running", "podIPs": [{ "ip": "10.1.0.1" }], "conditions": [
            { "type": "Ready", "status": "True" }, { "type": "PodScheduled", "status": "True" },
        ] });
        assert_eq!(
            diff(&old, &new),
            Some(json!({
                "phase": "Running", "reason": null,
                "conditions": [{ "type": "Ready", "status": "True", "message": null }],
                "podIPs": [{ "$patch": "replace" }, { "ip": "10.1.0.1" }],
            }))
        );
        assert_eq!(diff(&new, &new), None);
    }
}
