//! JSON merge patch (RFC 7386).

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
    let Value::Map(patch) = patch else {
        *target = patch.clone();
        return;
    };
    let target = target.ensure_map();
    for (key, value) in patch.iter() {
        if value.is_null() {
            target.remove(key);
        } else {
            merge(target.entry(key), value);
        }
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
