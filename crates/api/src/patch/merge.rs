//! JSON merge patch (RFC 7386), as github.com/evanphx/json-patch applies it: nulls in what is new are left out, in lists too.

use crate::status::Status;
use crate::value::Value;

/// Changes `target` by `patch`, which has to be a map.
pub fn apply(target: &mut Value, patch: &Value) -> Result<(), Status> {
    if !matches!(patch, Value::Map(_)) {
        return Err(Status::bad_request("error decoding patch: a merge patch is a JSON object"));
    }
    merge(target, patch);
    Ok(())
}

fn merge(target: &mut Value, patch: &Value) {
    match (target, patch) {
        (Value::Map(target), Value::Map(patch)) => {
            for (key, value) in patch.iter() {
                match target.get_mut(key) {
                    _ if value.is_null() => drop(target.remove(key)),
                    Some(current) => merge(current, value),
                    None => drop(target.insert(key.clone(), pruned(value))),
                }
            }
        }
        // What stands in for a map is taken as it is, as the library does that upstream uses.
        (target @ Value::Map(_), patch) => *target = patch.clone(),
        (target, patch) => *target = pruned(patch),
    }
}

/// The value without nulls in its maps: they say that something is to go, and there is nothing.
fn pruned(value: &Value) -> Value {
    match value {
        Value::Map(map) => {
            let kept = map.iter().filter(|(_, value)| !value.is_null());
            Value::Map(kept.map(|(key, value)| (key.clone(), pruned(value))).collect())
        }
        Value::List(list) => Value::List(list.iter().map(pruned).collect()),
        scalar => scalar.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value;

    #[test]
    fn the_rfcs_examples_hold() {
        let table = [
            (value!({"a":"b"}), value!({"a":"c"}), value!({"a":"c"})),
            (value!({"a":"b","b":"c"}), value!({"a":null}), value!({"b":"c"})),
            (value!({"a":["b"]}), value!({"a":"c"}), value!({"a":"c"})),
            (value!({"a":{"b":"c"}}), value!({"a":{"b":"d","c":null}}), value!({"a":{"b":"d"}})),
            (value!({}), value!({"a":{"bb":{"ccc":null}}}), value!({"a":{"bb":{}}})),
        ];
        for (mut target, patch, expected) in table {
            apply(&mut target, &patch).expect("a map");
            assert_eq!(target, expected);
        }
    }
}
