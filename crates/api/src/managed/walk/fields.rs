//! Which fields and items an object sets.

use super::{Mismatches, any_element_of, as_list, as_map};
use crate::managed::element::Element;
use crate::managed::place::{ListAtom, MapAtom, Place, Relation};
use crate::managed::set::FieldSet;
use crate::value::Value;

/// The paths of all leaves and items of `value`.
pub(crate) fn fields(value: &Value, place: Place) -> Result<FieldSet, Mismatches> {
    let mut walk = Walk { set: FieldSet::default(), path: Vec::new() };
    walk.value(value, place).fail()?;
    Ok(walk.set)
}

struct Walk {
    set: FieldSet,
    path: Vec<Element>,
}

// === impl Walk ===

impl Walk {
    fn value(&mut self, value: &Value, place: Place) -> Mismatches {
        let atom = place.atom().deduced(Some(value));
        match (atom.map, atom.scalar, atom.list) {
            (Some(map), _, _) if map.atomic => self.set.insert(&self.path),
            (Some(map), _, _) => return self.map(value, &map),
            (_, Some(_), _) => self.set.insert(&self.path),
            (_, _, Some(list)) if matches!(list.relation, Relation::Atomic) => self.set.insert(&self.path),
            (_, _, Some(list)) => return self.list(value, &list),
            _ => return super::nowhere(),
        }
        Mismatches::default()
    }

    fn list(&mut self, value: &Value, list: &ListAtom) -> Mismatches {
        let mut found = Mismatches::default();
        let items = as_list(Some(value)).unwrap_or_default().iter();
        let items: Vec<(Element, &Value)> = items.map(|item| (any_element_of(list, item), item)).collect();
        for (at, (element, item)) in items.iter().enumerate() {
            let same = |others: &[(Element, &Value)]| others.iter().any(|(other, _)| other == element);
            self.path.push(element.clone());
            // Of items that are there twice, only that they are.
            if !same(&items[..at]) && !same(&items[at + 1..]) {
                found.extend(self.value(item, list.item));
            }
            self.set.insert(&self.path);
            self.path.pop();
        }
        found
    }

    fn map(&mut self, value: &Value, map: &MapAtom) -> Mismatches {
        let mut found = Mismatches::default();
        for (key, inner) in as_map(Some(value)).into_iter().flat_map(|map| map.iter()) {
            self.path.push(Element::Field(key.clone()));
            found.extend(self.value(inner, map.place(key)));
            let empty = inner.is_null() || inner.as_map().is_some_and(|map| map.is_empty());
            if empty || map.field(key).is_none() {
                self.set.insert(&self.path);
            }
            self.path.pop();
        }
        found
    }
}
