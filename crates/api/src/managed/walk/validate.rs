//! Whether an object fits the schema.

use super::{Mismatches, element_of};
use crate::managed::element::Element;
use crate::managed::place::{ListAtom, MapAtom, Place, Relation, Scalar};
use crate::patch::{go_sharp, go_value};
use crate::value::Value;

/// Holds `value` against what may be at `place`; items of a list may be there twice if `duplicates` says so.
pub(crate) fn validate(value: &Value, place: Place, duplicates: bool) -> Result<(), Mismatches> {
    walk(value, place, duplicates).fail()
}

fn walk(value: &Value, place: Place, duplicates: bool) -> Mismatches {
    let atom = place.atom().deduced(Some(value));
    match (atom.map, atom.scalar, atom.list) {
        (Some(map), _, _) => in_map(value, &map, duplicates),
        (_, Some(kind), _) => scalar(kind, Some(value), ""),
        (_, _, Some(list)) => in_list(value, &list, duplicates),
        _ => super::nowhere(),
    }
}

/// The value with the numbers that upstream reads of a configuration, all of which are floats; messages show them.
fn floats(value: &Value) -> Value {
    match value {
        Value::Int(int) => Value::Float(*int as f64),
        Value::List(list) => Value::List(list.iter().map(floats).collect()),
        Value::Map(map) => Value::Map(map.iter().map(|(key, inner)| (key.clone(), floats(inner))).collect()),
        other => other.clone(),
    }
}

/// What is wrong with a scalar; `side` goes before the message.
pub(super) fn scalar(kind: Scalar, value: Option<&Value>, side: &str) -> Mismatches {
    let value = match value {
        None | Some(Value::Null) => return Mismatches::default(),
        Some(value) => value,
    };
    let found = match (kind, value) {
        (Scalar::Numeric, Value::Int(_) | Value::Float(_))
        | (Scalar::String, Value::String(_))
        | (Scalar::Boolean, Value::Bool(_))
        | (Scalar::Untyped, Value::Int(_) | Value::Float(_) | Value::String(_) | Value::Bool(_)) => {
            return Mismatches::default();
        }
        (Scalar::Numeric, _) => {
            format!("expected numeric (int or float), got {}", crate::patch::go_type(value))
        }
        (Scalar::String, _) => {
            format!("expected string, got &value.valueUnstructured{{Value:{}}}", go_sharp(&floats(value)))
        }
        (Scalar::Boolean, _) => format!("expected boolean, got &{{{}}}", go_value(&floats(value))),
        (Scalar::Untyped, _) => format!("expected any scalar, got &{{{}}}", go_value(&floats(value))),
    };
    Mismatches::one(format!("{side}{found}"))
}

fn in_list(value: &Value, list: &ListAtom, duplicates: bool) -> Mismatches {
    let items = match value {
        Value::Null => return Mismatches::default(),
        Value::List(items) => items,
        other => return Mismatches::one(format!("expected list, got &{{{}}}", go_value(&floats(other)))),
    };
    let mut found = Mismatches::default();
    let mut seen: Vec<Element> = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let element = match list.relation {
            Relation::Atomic => Element::Index(at as i64),
            _ => match element_of(list, item) {
                Ok(element) => element,
                Err(why) => {
                    found.extend(Mismatches::one(format!("element {at}: {why}")));
                    return found;
                }
            },
        };
        if !matches!(list.relation, Relation::Atomic) {
            match seen.binary_search(&element) {
                Ok(_) if !duplicates => {
                    found.extend(Mismatches::one(format!("duplicate entries for key {element}")));
                }
                Ok(_) => {}
                Err(place) => seen.insert(place, element.clone()),
            }
        }
        found.extend(walk(item, list.item, duplicates).under(&element));
    }
    found
}

fn in_map(value: &Value, map: &MapAtom, duplicates: bool) -> Mismatches {
    let entries = match value {
        Value::Null => return Mismatches::default(),
        Value::Map(entries) => entries,
        other => return Mismatches::one(format!("expected map, got &{{{}}}", go_value(&floats(other)))),
    };
    let mut found = Mismatches::default();
    for (key, inner) in entries.iter() {
        let element = Element::Field(key.clone());
        match map.place(key) {
            Place::Nowhere => {
                found.extend(Mismatches::one("field not declared in schema").under(&element));
                // Upstream goes no further in this map.
                return found;
            }
            place => found.extend(walk(inner, place, duplicates).under(&element)),
        }
    }
    found
}
