//! Sets of paths, and their form in objects, `FieldsV1` (sigs.k8s.io/structured-merge-diff, fieldpath.Set).

use std::cmp::Ordering;

use super::element::Element;
use super::place::Place;
use crate::value::{Map, Value};

/// A set of paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet {
    /// Paths of one step, sorted.
    members: Vec<Element>,
    /// What longer paths begin with, sorted, and their rests; none of these is empty.
    children: Vec<(Element, FieldSet)>,
}

/// Goes through two sorted lists at once; `each` gets what is of the same element together.
fn zip<A, B>(
    a: &[A],
    b: &[B],
    order: impl Fn(&A, &B) -> Ordering,
    mut each: impl FnMut(Option<&A>, Option<&B>),
) {
    let (mut i, mut j) = (0, 0);
    loop {
        let (left, right) = (a.get(i), b.get(j));
        let order = match (left, right) {
            (None, None) => return,
            (Some(left), Some(right)) => order(left, right),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
        };
        each(left.filter(|_| order.is_le()), right.filter(|_| order.is_ge()));
        i += usize::from(order.is_le());
        j += usize::from(order.is_ge());
    }
}

/// Where something is in a sorted list, or has to go: mostly behind all, for sets are built in order.
fn place_of<T>(list: &[T], order: impl Fn(&T) -> Ordering) -> Result<usize, usize> {
    match list.last() {
        Some(last) if order(last).is_ge() => list.binary_search_by(order),
        _ => Err(list.len()),
    }
}

fn by_element(a: &(Element, FieldSet), b: &(Element, FieldSet)) -> Ordering {
    a.0.cmp(&b.0)
}

// === impl FieldSet ===

impl FieldSet {
    /// A set of paths through fields.
    pub fn of_fields(paths: &[&[&str]]) -> FieldSet {
        let mut set = FieldSet::default();
        for path in paths {
            let path: Vec<Element> = path.iter().map(|name| Element::Field((*name).into())).collect();
            set.insert(&path);
        }
        set
    }

    /// Whether there is no path in it.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && self.children.is_empty()
    }

    /// Adds a path. The empty path, the whole object, belongs to nobody.
    pub fn insert(&mut self, path: &[Element]) {
        match path {
            [] => {}
            [last] => {
                if let Err(at) = place_of(&self.members, |member| member.cmp(last)) {
                    self.members.insert(at, last.clone());
                }
            }
            [first, rest @ ..] => self.descend(first).insert(rest),
        }
    }

    fn descend(&mut self, element: &Element) -> &mut FieldSet {
        let at = match place_of(&self.children, |(other, _)| other.cmp(element)) {
            Ok(at) => at,
            Err(at) => {
                self.children.insert(at, (element.clone(), FieldSet::default()));
                at
            }
        };
        &mut self.children[at].1
    }

    /// Whether the path is in it.
    pub fn has(&self, path: &[Element]) -> bool {
        match path {
            [] => false,
            [last] => self.has_member(last),
            [first, rest @ ..] => self.below(first).is_some_and(|below| below.has(rest)),
        }
    }

    /// Whether the path of this one step is in it.
    pub(super) fn has_member(&self, element: &Element) -> bool {
        self.members.binary_search(element).is_ok()
    }

    /// The rests of the paths that begin with `element`, if there are any.
    pub(super) fn below(&self, element: &Element) -> Option<&FieldSet> {
        let at = self.children.binary_search_by(|(other, _)| other.cmp(element)).ok()?;
        Some(&self.children[at].1)
    }

    /// The paths of one step.
    pub(super) fn members(&self) -> &[Element] {
        &self.members
    }

    /// What longer paths begin with, and their rests.
    pub(super) fn children(&self) -> &[(Element, FieldSet)] {
        &self.children
    }

    /// The paths of either.
    pub fn union(mut self, other: FieldSet) -> FieldSet {
        if self.is_empty() {
            return other;
        }
        for member in other.members {
            if let Err(at) = self.members.binary_search(&member) {
                self.members.insert(at, member);
            }
        }
        for (element, below) in other.children {
            match self.children.binary_search_by(|(mine, _)| mine.cmp(&element)) {
                Ok(at) => {
                    let mine = &mut self.children[at].1;
                    *mine = std::mem::take(mine).union(below);
                }
                Err(at) => self.children.insert(at, (element, below)),
            }
        }
        self
    }

    /// The paths of both.
    pub fn intersection(&self, other: &FieldSet) -> FieldSet {
        let mut set = FieldSet::default();
        zip(&self.members, &other.members, Ord::cmp, |a, b| set.members.extend(b.and(a).cloned()));
        zip(&self.children, &other.children, by_element, |a, b| {
            if let (Some((element, a)), Some((_, b))) = (a, b) {
                set.keep(element, a.intersection(b));
            }
        });
        set
    }

    /// The paths of this one that are not in `other`.
    pub fn difference(mut self, other: &FieldSet) -> FieldSet {
        if !other.members.is_empty() {
            self.members.retain(|member| !other.has_member(member));
        }
        if !other.children.is_empty() {
            self.children.retain_mut(|(element, below)| {
                if let Some(gone) = other.below(element) {
                    *below = std::mem::take(below).difference(gone);
                }
                !below.is_empty()
            });
        }
        self
    }

    /// The paths of this one that neither are in `other` nor go on from one that is.
    pub fn without(mut self, other: &FieldSet) -> FieldSet {
        self.members.retain(|member| !other.has_member(member));
        self.children.retain_mut(|(element, below)| {
            if other.has_member(element) {
                return false;
            }
            if let Some(gone) = other.below(element) {
                *below = std::mem::take(below).without(gone);
            }
            !below.is_empty()
        });
        self
    }

    /// The paths of this one that begin with `element`.
    pub(super) fn only(mut self, element: &Element) -> FieldSet {
        self.members.retain(|member| member == element);
        self.children.retain(|(other, _)| other == element);
        self
    }

    /// Adds `element` itself, if `member` says so, and the paths that go on from it.
    pub(super) fn adopt(&mut self, element: &Element, member: bool, below: FieldSet) {
        if member {
            self.insert(std::slice::from_ref(element));
        }
        if !below.is_empty() {
            let own = self.descend(element);
            *own = std::mem::take(own).union(below);
        }
    }

    /// Adds rests of paths, if there are any; `element` comes after all that were added before.
    fn keep(&mut self, element: &Element, below: FieldSet) {
        if !below.is_empty() {
            self.children.push((element.clone(), below));
        }
    }

    /// The same with all fields that the schema names on the way to its paths.
    pub(super) fn with_named(&self, place: Place) -> FieldSet {
        let map = place.atom().map;
        let mut set =
            FieldSet { members: self.members.clone(), children: Vec::with_capacity(self.children.len()) };
        for (element, below) in &self.children {
            let inner = match element {
                Element::Field(name) => {
                    if map.is_some_and(|map| map.field(name).is_some()) {
                        set.insert(std::slice::from_ref(element));
                    }
                    map.map_or(Place::Nowhere, |map| map.place(name))
                }
                Element::Key(_) => place.atom().list.map_or(Place::Nowhere, |list| list.item),
                _ => Place::Nowhere,
            };
            set.children.push((element.clone(), below.with_named(inner)));
        }
        set
    }

    /// Calls `each` with every path, those of one step first.
    pub fn for_each(&self, each: &mut dyn FnMut(&[Element])) {
        self.walk(&mut Vec::new(), each);
    }

    fn walk(&self, path: &mut Vec<Element>, each: &mut dyn FnMut(&[Element])) {
        for member in &self.members {
            path.push(member.clone());
            each(path);
            path.pop();
        }
        for (element, below) in &self.children {
            path.push(element.clone());
            below.walk(path, each);
            path.pop();
        }
    }

    /// From its form in objects.
    pub fn read(fields: &Value) -> Result<FieldSet, String> {
        let mut set = FieldSet::default();
        for (key, below) in fields.as_map().into_iter().flat_map(Map::iter).filter(|(key, _)| *key != ".") {
            let Some(element) = Element::read(key)? else { continue };
            let inner = FieldSet::read(below)?;
            // An empty one is the path up to here, and so is one that says so.
            if inner.is_empty() || below.get(".").is_some() {
                set.insert(std::slice::from_ref(&element));
            }
            if !inner.is_empty() {
                *set.descend(&element) = inner;
            }
        }
        Ok(set)
    }

    /// The form in objects.
    pub fn write(&self) -> Value {
        let mut map = Map::new();
        for member in &self.members {
            map.insert(member.write(), Value::map());
        }
        for (element, below) in &self.children {
            let mut value = below.write();
            if self.has_member(element) {
                value.ensure_map().insert(".", Value::map());
            }
            map.insert(element.write(), value);
        }
        Value::Map(map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value;

    fn set(value: Value) -> FieldSet {
        FieldSet::read(&value).unwrap()
    }

    #[test]
    fn sets_are_written_as_they_are_read() {
        let text = value!({"f:a": {}, "f:b": {".": {}, "k:{\"name\":\"x\"}": {".": {}, "f:c": {}}, "v:1": {}}, "f:d": {"f:e": {}}});
        assert_eq!(set(text.clone()).write(), text);
        assert!(FieldSet::read(&value!({"a": {}})).is_err());
        assert!(set(value!({"x:1": {}})).is_empty());
    }

    #[test]
    fn sets_are_reckoned_with() {
        let a = set(value!({"f:a": {".": {}, "f:b": {}, "f:c": {}}, "f:d": {}}));
        let b = set(value!({"f:a": {"f:b": {}}, "f:e": {}}));
        assert_eq!(
            a.clone().union(b.clone()),
            set(value!({"f:a": {".": {}, "f:b": {}, "f:c": {}}, "f:d": {}, "f:e": {}}))
        );
        assert_eq!(a.intersection(&b), set(value!({"f:a": {"f:b": {}}})));
        assert_eq!(a.clone().difference(&b), set(value!({"f:a": {".": {}, "f:c": {}}, "f:d": {}})));
        assert_eq!(
            a.clone().difference(&FieldSet::of_fields(&[&["a"]])),
            set(value!({"f:a": {"f:b": {}, "f:c": {}}, "f:d": {}}))
        );
        assert_eq!(a.clone().without(&FieldSet::of_fields(&[&["a"]])), set(value!({"f:d": {}})));
    }
}
