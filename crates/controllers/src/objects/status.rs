//! Whether a status has to be written.

use serde::Serialize;
use serde_json::Value;

/// Whether `a` and `b` say the same. What Go leaves out of its encoding (zero, empty, absent) says nothing, so that no
/// server's habits in this make a controller write for ever.
pub fn same(a: &impl Serialize, b: &impl Serialize) -> bool {
    pruned(a) == pruned(b)
}

fn pruned(value: &impl Serialize) -> Value {
    let mut value = serde_json::to_value(value).unwrap_or_default();
    if prune(&mut value) { Value::Null } else { value }
}

/// Whether nothing is left of `value`.
fn prune(value: &mut Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(bool) => !*bool,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => {
            items.iter_mut().for_each(|item| {
                prune(item);
            });
            items.is_empty()
        }
        Value::Object(fields) => {
            fields.retain(|_, field| !prune(field));
            fields.is_empty()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_left_out_says_nothing() {
        assert!(same(&json!({"a": 0, "b": [{"c": ""}], "d": null}), &json!({"b": [{}]})));
        assert!(same(&json!({"conditions": []}), &Option::<u8>::None));
        assert!(!same(&json!({"a": 1}), &json!({})));
        assert!(!same(&json!([0, 1]), &json!([1, 0])));
    }
}
