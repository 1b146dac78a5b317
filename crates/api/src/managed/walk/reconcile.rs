//! Sets of paths that were written when the schema was another: what is owned as a whole now belongs to whoever owned a part.

use crate::managed::element::Element;
use crate::managed::place::{Atom, Place, Relation};
use crate::managed::set::FieldSet;
use crate::value::Value;

/// The set as today's schema has it; `None` if it is so already.
pub(crate) fn reconcile(set: &FieldSet, place: Place) -> Option<FieldSet> {
    let mut walk = Walk { whole: FieldSet::default(), path: Vec::new() };
    walk.value(Some(set), place, false);
    (!walk.whole.is_empty()).then(|| set.clone().without(&walk.whole).union(walk.whole))
}

/// Whether a set, as objects have it, is as today's schema has it.
pub(crate) fn is_reconciled(written: &Value, place: Place) -> bool {
    let Some(map) = written.as_map() else { return false };
    let mut below = map.iter().filter(|(step, _)| *step != ".").peekable();
    if below.peek().is_none() {
        return true;
    }
    let atom = place.atom();
    match (atom.map, atom.scalar, atom.list) {
        (Some(map), ..) if map.is_deduced() => true,
        (Some(map), ..) if map.atomic => false,
        (None, None, Some(list)) if matches!(list.relation, Relation::Atomic) => false,
        _ => below.all(|(step, inner)| {
            let place = match (atom.map, atom.list) {
                (Some(map), _) => map.place(step.strip_prefix("f:").unwrap_or_default()),
                (None, Some(list)) => list.item,
                (None, None) => return true,
            };
            matches!(place, Place::Nowhere) || is_reconciled(inner, place)
        }),
    }
}

struct Walk {
    /// Paths that are owned as a whole.
    whole: FieldSet,
    path: Vec<Element>,
}

// === impl Walk ===

impl Walk {
    /// `set` is what is owned below; `leaf` whether the path here is owned and nothing below it.
    fn value(&mut self, set: Option<&FieldSet>, place: Place, leaf: bool) {
        let atom = place.atom();
        match (atom.map, atom.scalar, atom.list) {
            // What may be anything, key by key, has no parts that could have changed.
            (Some(map), ..) if map.is_deduced() => {}
            (Some(map), ..) if !leaf && map.atomic => {
                if set.is_some_and(|set| !set.is_empty()) {
                    self.whole.insert(&self.path);
                }
            }
            (None, None, Some(list)) if !leaf && matches!(list.relation, Relation::Atomic) => {
                self.whole.insert(&self.path);
            }
            _ => self.inner(set, &atom),
        }
    }

    fn inner(&mut self, set: Option<&FieldSet>, atom: &Atom) {
        let Some(set) = set else { return };
        let only_below = set.children().iter().map(|(element, _)| element).filter(|e| !set.has_member(e));
        let steps: Vec<(&Element, bool)> =
            only_below.map(|e| (e, false)).chain(set.members().iter().map(|e| (e, true))).collect();
        for (element, member) in steps {
            let place = match (atom.map, atom.list, element) {
                (Some(map), _, Element::Field(name)) => map.place(name),
                (Some(map), ..) => map.place(""),
                (None, Some(list), _) => list.item,
                _ => continue,
            };
            if matches!(place, Place::Nowhere) {
                continue;
            }
            let below = set.below(element);
            self.path.push(element.clone());
            self.value(below, place, member && below.is_none());
            self.path.pop();
        }
    }
}
