//! An object without some of its fields and items.

use super::any_element_of;
use crate::managed::element::Element;
use crate::managed::place::{ListAtom, MapAtom, Place, Relation};
use crate::managed::set::FieldSet;
use crate::value::{Map, Value};

/// `value` without the paths of `gone`. What loses all it had becomes null.
pub(crate) fn remove(value: &Value, gone: &FieldSet, place: Place) -> Value {
    let atom = place.atom().deduced(Some(value));
    match (atom.map, atom.scalar, atom.list) {
        (Some(map), _, _) => in_map(value, gone, &map),
        (_, Some(_), _) => value.clone(),
        (_, _, Some(list)) => in_list(value, gone, &list),
        _ => Value::Null,
    }
}

fn in_list(value: &Value, gone: &FieldSet, atom: &ListAtom) -> Value {
    let Some(items) = value.as_list().filter(|_| !matches!(atom.relation, Relation::Atomic)) else {
        return Value::Null;
    };
    let mut kept = Vec::new();
    for item in items {
        let element = any_element_of(atom, item);
        if gone.has_member(&element) {
            continue;
        }
        let below = gone.below(&element).filter(|below| !below.is_empty());
        kept.push(below.map_or_else(|| item.clone(), |below| remove(item, below, atom.item)));
    }
    if kept.is_empty() { Value::Null } else { Value::List(kept) }
}

fn in_map(value: &Value, gone: &FieldSet, atom: &MapAtom) -> Value {
    let Some(map) = value.as_map().filter(|_| !atom.atomic) else { return Value::Null };
    let mut kept = Map::new();
    for (key, inner) in map.iter() {
        let element = Element::Field(key.clone());
        if !gone.has_member(&element) {
            let below = gone.below(&element).filter(|below| !below.is_empty());
            let value = below.map_or_else(|| inner.clone(), |below| remove(inner, below, atom.place(key)));
            kept.insert(key.clone(), value);
        }
    }
    if kept.is_empty() { Value::Null } else { Value::Map(kept) }
}
