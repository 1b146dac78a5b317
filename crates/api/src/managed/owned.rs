//! The fields of one manager, kept as objects have them: most writes have to do with few of them, and the rest need not be read.

use super::element::Element;
use super::place::Place;
use super::set::FieldSet;
use super::walk;
use crate::value::{Map, Value};

/// What a manager owns: a set of paths in its form in objects, `FieldsV1`.
#[derive(Clone, Debug, Default)]
pub(super) struct Owned(Value);

/// Says of a map of paths that the way to it is one, too.
const SELF: &str = ".";

// === impl Owned ===

impl Owned {
    /// From a form that anybody may have written.
    pub(super) fn read(written: &Value) -> Result<Owned, String> {
        FieldSet::read(written).map(|set| Owned::from(&set))
    }

    /// From the form that this server wrote.
    pub(super) fn of_written(written: Value) -> Owned {
        Owned(written)
    }

    /// The form in objects.
    pub(super) fn write(self) -> Value {
        self.0
    }

    pub(super) fn set(&self) -> FieldSet {
        FieldSet::read(&self.0).unwrap_or_default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What of `other` is in it.
    pub(super) fn intersection(&self, other: &FieldSet) -> FieldSet {
        let mut found = FieldSet::default();
        if !self.is_empty() {
            intersect(&self.0, other, &mut Vec::new(), &mut found);
        }
        found
    }

    pub(super) fn add(&mut self, more: &FieldSet) {
        add(self.0.ensure_map(), more);
    }

    pub(super) fn remove(&mut self, gone: &FieldSet) {
        if !self.is_empty() {
            remove(self.0.ensure_map(), gone);
        }
    }

    /// Has the paths as today's schema has them.
    pub(super) fn reconcile(&mut self, place: Place) {
        if !walk::is_reconciled(&self.0, place)
            && let Some(set) = walk::reconcile(&self.set(), place)
        {
            *self = Owned::from(&set);
        }
    }
}

impl From<&FieldSet> for Owned {
    fn from(set: &FieldSet) -> Owned {
        Owned(set.write())
    }
}

/// Whether the way to this map of paths is one itself.
fn is_member(inner: &Map) -> bool {
    inner.is_empty() || inner.contains(SELF)
}

fn intersect(written: &Value, set: &FieldSet, path: &mut Vec<Element>, found: &mut FieldSet) {
    let at = |element: &Element| written.get(&element.write());
    for member in set.members() {
        if at(member).and_then(Value::as_map).is_some_and(is_member) {
            path.push(member.clone());
            found.insert(path);
            path.pop();
        }
    }
    for (element, below) in set.children() {
        if let Some(inner) = at(element) {
            path.push(element.clone());
            intersect(inner, below, path, found);
            path.pop();
        }
    }
}

fn add(map: &mut Map, set: &FieldSet) {
    for member in set.members() {
        let key = member.write();
        match map.get_mut(&key) {
            Some(inner) => become_member(inner.ensure_map()),
            None => drop(map.insert(key, Value::map())),
        }
    }
    for (element, below) in set.children() {
        let key = element.write();
        match map.get_mut(&key) {
            Some(inner) => {
                let inner = inner.ensure_map();
                // It will no longer be empty.
                if inner.is_empty() {
                    inner.insert(SELF, Value::map());
                }
                add(inner, below);
            }
            None => drop(map.insert(key, below.write())),
        }
    }
}

fn become_member(inner: &mut Map) {
    if !is_member(inner) {
        inner.insert(SELF, Value::map());
    }
}

fn remove(map: &mut Map, set: &FieldSet) {
    for member in set.members() {
        let key = member.write();
        match map.get_mut(&key).map(Value::ensure_map) {
            Some(inner) if inner.is_empty() => drop(map.remove(&key)),
            Some(inner) => drop(inner.remove(SELF)),
            None => {}
        }
    }
    for (element, below) in set.children() {
        let key = element.write();
        let Some(inner) = map.get_mut(&key).map(Value::ensure_map).filter(|inner| !inner.is_empty()) else {
            continue;
        };
        remove(inner, below);
        if inner.is_empty() {
            map.remove(&key);
        } else if inner.len() == 1 {
            // Without others it need not say that it is there.
            inner.remove(SELF);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value;

    #[test]
    fn what_is_done_to_the_written_form_is_what_is_done_to_the_set() {
        let sets = [
            value!({"f:a": {".": {}, "f:b": {}}, "f:l": {"k:{\"name\":\"x\"}": {"f:c": {}}, "v:1": {}}, "f:d": {}}),
            value!({"f:a": {}}),
            value!({"f:a": {"f:b": {}, "f:z": {}}}),
            value!({"f:a": {".": {}, "f:b": {}, "f:z": {}}}),
            value!({"f:l": {}}),
            value!({"f:l": {"k:{\"name\":\"x\"}": {}}}),
            value!({"f:l": {"k:{\"name\":\"x\"}": {"f:c": {}}, "v:1": {}}}),
            value!({"f:l": {".": {}, "k:{\"name\":\"x\"}": {".": {}, "f:c": {}}}}),
            value!({"f:d": {"f:e": {}}}),
            value!({}),
        ];
        for a in &sets {
            for b in &sets {
                let (one, other) = (FieldSet::read(a).unwrap(), FieldSet::read(b).unwrap());
                let written = Owned::of_written(a.clone());
                assert_eq!(written.intersection(&other), one.intersection(&other), "{a:?} {b:?}");
                let (mut more, mut less) = (written.clone(), written);
                more.add(&other);
                less.remove(&other);
                assert_eq!(more.write(), one.clone().union(other.clone()).write(), "{a:?} and {b:?}");
                assert_eq!(less.write(), one.difference(&other).write(), "{a:?} without {b:?}");
            }
        }
    }
}
