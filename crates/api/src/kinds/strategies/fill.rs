//! What defaulting is written with: setting what a client left out.

use crate::quantity::{Format, Quantity};
use crate::value::Value;

/// Sets a field that is absent, null or an empty text: what Go sees as nil or `""`.
pub fn fill(at: &mut Value, field: &str, default: impl Into<Value>) {
    let slot = at.ensure_map().entry(field);
    if slot.is_null() || slot.as_str() == Some("") {
        *slot = default.into();
    }
}

/// Sets a field that has its zero value, for fields that are no pointers: numbers, lists, maps.
pub fn fill_zero(at: &mut Value, field: &str, default: impl Into<Value>) {
    let slot = at.ensure_map().entry(field);
    if slot.is_empty() {
        *slot = default.into();
    }
}

/// The struct `field`, made if it is absent: for fields that are no pointers, and so always there.
pub fn part<'a>(at: &'a mut Value, field: &str) -> &'a mut Value {
    let slot = at.ensure_map().entry(field);
    slot.ensure_map();
    slot
}

/// Goes to the struct `field` if it is there.
pub fn with(at: &mut Value, field: &str, then: impl FnOnce(&mut Value)) {
    if let Some(found @ Value::Map(_)) = at.as_map_mut().and_then(|map| map.get_mut(field)) {
        then(found);
    }
}

/// Goes to every struct in the list `field`.
pub fn each(at: &mut Value, field: &str, then: impl FnMut(&mut Value)) {
    if let Some(Value::List(list)) = at.as_map_mut().and_then(|map| map.get_mut(field)) {
        list.iter_mut().filter(|item| matches!(item, Value::Map(_))).for_each(then);
    }
}

/// Whether the field is there and not null: what Go sees as a pointer that is set.
pub fn has(at: &Value, field: &str) -> bool {
    at.get(field).is_some_and(|value| !value.is_null())
}

/// Copies the entries of the map `from` that the map `to` lacks.
pub fn complete(at: &mut Value, to: &str, from: &str) {
    let Some(Value::Map(source)) = at.get(from).cloned() else { return };
    if source.is_empty() {
        return;
    }
    let target = at.entry_at(&[to]).ensure_map();
    for (key, value) in source {
        if !target.contains(&key) {
            target.insert(key, value);
        }
    }
}

/// Rounds the quantities of the resource list `field` up to thousandths (upstream's `SetDefaults_ResourceList`).
pub fn round(at: &mut Value, field: &str) {
    if let Some(Value::Map(list)) = at.as_map_mut().and_then(|map| map.get_mut(field)) {
        for (_, quantity) in list.iter_mut() {
            if let Some(rounded) = quantity.as_str().and_then(rounded) {
                *quantity = rounded.into();
            }
        }
    }
}

/// Rounds both lists of a `ResourceRequirements`.
pub fn round_requirements(requirements: &mut Value) {
    round(requirements, "limits");
    round(requirements, "requests");
}

/// The text of a quantity that is finer than thousandths, rounded up; `None` when it is not.
fn rounded(text: &str) -> Option<String> {
    // Only these forms can be so fine; all other texts are not even parsed.
    if !text.contains(['n', 'u', '.', 'e']) {
        return None;
    }
    let quantity = Quantity::parse(text).ok()?;
    let milli = Quantity::from_milli(quantity.milli_value(), quantity.format());
    let fits = quantity.milli_value().unsigned_abs() < i64::MAX as u64;
    (fits && milli != quantity).then(|| milli.to_string())
}

/// Keeps the `format` of quantities in sight of those who add them up.
pub fn parse_quantity(value: &Value) -> Quantity {
    match value {
        Value::String(text) => Quantity::parse(text).unwrap_or(Quantity::ZERO),
        Value::Int(int) => Quantity::new(*int, Format::DecimalSi),
        _ => Quantity::ZERO,
    }
}

/// Puts back what the field at `path` was, absence included.
pub fn restore(new: &mut Value, old: &Value, path: &[&str]) {
    match old.at(path) {
        Some(before) => new.set_at(path, before.clone()),
        None => drop(new.remove_at(path)),
    }
}

/// Puts back the metadata that a write of the status may not touch (upstream's `ResetObjectMetaForStatus`).
pub fn restore_metadata(new: &mut Value, old: &Value) {
    for field in ["labels", "annotations", "finalizers", "ownerReferences", "deletionTimestamp", "generation"]
    {
        restore(new, old, &["metadata", field]);
    }
}

/// Counts one more change in `metadata.generation`.
pub fn count_change(new: &mut Value, old: &Value) {
    new.set_at(&["metadata", "generation"], old.int_at(&["metadata", "generation"]).unwrap_or(0) + 1);
}

/// Whether both have the same at `path`, absent and empty being the same.
pub fn same(a: &Value, b: &Value, path: &[&str]) -> bool {
    let of = |value: &'_ Value| value.at(path).filter(|value| !value.is_empty()).cloned();
    of(a) == of(b)
}

/// When the object was made, for what is written down at that moment.
pub fn created_at(draft: &Value) -> Value {
    draft.at(&["metadata", "creationTimestamp"]).cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value;

    #[test]
    fn only_what_is_finer_than_thousandths_is_rounded() {
        let mut draft = value!({"limits": {"a": "1n", "b": "100m", "c": "1500u", "d": "1Gi", "e": "0.5"}});
        round(&mut draft, "limits");
        assert_eq!(draft, value!({"limits": {"a": "1m", "b": "100m", "c": "2m", "d": "1Gi", "e": "0.5"}}));
    }

    #[test]
    fn fill_leaves_what_is_set() {
        let mut draft = value!({"a": false, "b": 0, "c": "", "d": null});
        for field in ["a", "b", "c", "d", "e"] {
            fill(&mut draft, field, 7);
        }
        fill_zero(&mut draft, "b", 8);
        assert_eq!(draft, value!({"a": false, "b": 8, "c": 7, "d": 7, "e": 7}));
    }
}
