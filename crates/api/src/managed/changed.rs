//! What is left of two objects without what they have in common, so that an update costs what it changes and not what is there.

use crate::value::{Map, Str, Value};

/// Where in an object a map is.
#[derive(Clone, Copy, PartialEq)]
enum At {
    Object,
    Metadata,
    Below,
}

/// Both objects without the fields that are the same in both, and without managed fields. Of maps that have something in common
/// one such field stays, for an empty map is another thing than one that is not.
pub(super) fn changed(old: &Value, new: &Value) -> (Value, Value) {
    of_values(old, new, At::Object)
}

fn of_values(old: &Value, new: &Value, at: At) -> (Value, Value) {
    match (old, new) {
        (Value::Map(old), Value::Map(new)) => {
            let (old, new) = of_maps(old, new, at);
            (Value::Map(old), Value::Map(new))
        }
        _ => (old.clone(), new.clone()),
    }
}

fn of_maps(old: &Map, new: &Map, at: At) -> (Map, Map) {
    let (mut before, mut after) = (Vec::new(), Vec::new());
    let mut common: Option<(&Str, &Value)> = None;
    for (key, value) in old.iter().filter(|(key, _)| at != At::Metadata || *key != "managedFields") {
        match new.get(key) {
            None => before.push((key.clone(), value.clone())),
            // A small one will do.
            Some(other) if other == value => match (common, value) {
                (Some(_), Value::Map(_) | Value::List(_)) => {}
                _ => common = Some((key, value)),
            },
            Some(other) => {
                let inner = if at == At::Object && *key == "metadata" { At::Metadata } else { At::Below };
                let (old, new) = of_values(value, other, inner);
                before.push((key.clone(), old));
                after.push((key.clone(), new));
            }
        }
    }
    let added = new.iter().filter(|(key, _)| !old.contains(key));
    after.extend(added.map(|(key, value)| (key.clone(), value.clone())));
    if let Some((key, value)) = common {
        before.push((key.clone(), value.clone()));
        after.push((key.clone(), value.clone()));
    }
    (Map::from_entries(before).0, Map::from_entries(after).0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value;

    #[test]
    fn only_what_differs_is_left_and_a_field_beside_it() {
        let old = value!({"metadata": {"name": "n", "managedFields": [1], "labels": {"a": "1", "b": "2", "c": "3"}}, "spec": {"x": [1]}});
        let new = value!({"metadata": {"name": "n", "labels": {"a": "1", "b": "3", "c": "3"}}, "spec": {"x": [1]}, "status": {}});
        let (before, after) = changed(&old, &new);
        let labels = |b: &str| value!({"name": "n", "labels": {"b": b, "c": "3"}});
        assert_eq!(before, value!({"metadata": labels("2"), "spec": {"x": [1]}}));
        assert_eq!(after, value!({"metadata": labels("3"), "spec": {"x": [1]}, "status": {}}));
    }
}
