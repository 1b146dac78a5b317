//! What tests of controllers share.

pub(crate) mod cluster;
pub(crate) mod server;

use decapod_api::Object;
use jiff::Timestamp;
use serde_json::Value;

/// The time, `seconds` after the beginning of tests.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).unwrap()
}

/// The same as objects carry it.
pub(crate) fn time(seconds: i64) -> String {
    at(seconds).to_string()
}

/// An object of these fields.
pub(crate) fn object(json: Value) -> Object {
    let revision =
        json["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse().ok()).unwrap_or(1);
    Object::new(serde_json::to_vec(&json).unwrap().into(), revision)
}

/// Merges `change` into `target`: maps by key, anything else whole, null removes.
pub(crate) fn merge(target: &mut Value, change: &Value) {
    match (target, change) {
        (Value::Object(target), Value::Object(change)) => {
            for (key, value) in change {
                if value.is_null() {
                    target.remove(key);
                } else {
                    merge(target.entry(key.clone()).or_insert(Value::Null), value);
                }
            }
        }
        (target, change) => *target = change.clone(),
    }
}
