//! An object with what another says of it.

use super::{Mismatches, as_list, as_map, element_of, is_nothing, pairs, validate};
use crate::managed::element::Element;
use crate::managed::place::{Atom, ListAtom, MapAtom, Place, Relation};
use crate::value::{Map, Value};

/// `left` with all that `right` says. Nothing is removed; items keep `left`'s order where `right` has none.
pub(crate) fn merge(left: &Value, right: &Value, place: Place) -> Result<Value, Mismatches> {
    let (merged, found) = both(Some(left), Some(right), place);
    found.fail()?;
    Ok(merged.unwrap_or_default())
}

type Merged = (Option<Value>, Mismatches);

fn both(left: Option<&Value>, right: Option<&Value>, place: Place) -> Merged {
    let (of_left, of_right) = (place.atom().deduced(left), place.atom().deduced(right));
    if right.is_none() {
        return part(&of_left, left, right);
    }
    if left.is_none() || of_left.is_same_part(&of_right) {
        return part(&of_right, left, right);
    }
    // They are of different kinds: both may say what is wrong, and the right one is taken.
    let (_, mut found) = part(&of_left, left, right);
    let (merged, other) = part(&of_right, left, right);
    found.extend(other);
    (merged, found)
}

fn part(atom: &Atom, left: Option<&Value>, right: Option<&Value>) -> Merged {
    match (atom.map, atom.scalar, atom.list) {
        (Some(map), _, _) => maps(&map, left, right),
        (_, Some(kind), _) => {
            let mut found = validate::scalar(kind, left, "lhs: ");
            let other = validate::scalar(kind, right, "rhs: ");
            // One side that fits is enough.
            if found.is_empty() || other.is_empty() {
                return leaf(left, right);
            }
            found.extend(other);
            (None, found)
        }
        (_, _, Some(list)) => lists(&list, left, right),
        _ => (None, super::nowhere()),
    }
}

fn leaf(left: Option<&Value>, right: Option<&Value>) -> Merged {
    (right.or(left).cloned(), Mismatches::default())
}

fn maps(atom: &MapAtom, left: Option<&Value>, right: Option<&Value>) -> Merged {
    let (l, r) = (as_map(left), as_map(right));
    // Where both are empty or null, which of the two is kept.
    if atom.atomic || (l.is_none_or(Map::is_empty) && r.is_none_or(Map::is_empty)) {
        return leaf(left, right);
    }
    let (mut merged, mut found) = (Map::new(), Mismatches::default());
    for (key, a, b) in pairs(l, r) {
        let (value, wrong) = both(a, b, atom.place(key));
        found.extend(wrong.under(&Element::Field(key.clone())));
        if let Some(value) = value {
            merged.insert(key.clone(), value);
        }
    }
    ((!merged.is_empty()).then_some(Value::Map(merged)), found)
}

fn lists(atom: &ListAtom, left: Option<&Value>, right: Option<&Value>) -> Merged {
    let (l, r) = (as_list(left), as_list(right));
    if matches!(atom.relation, Relation::Atomic) || (is_nothing(l) && is_nothing(r)) {
        return leaf(left, right);
    }
    let indexed = Indexed::new(atom, l.unwrap_or_default(), true)
        .and_then(|l| Ok((l, Indexed::new(atom, r.unwrap_or_default(), false)?)));
    match indexed {
        Err(found) => (None, found),
        Ok((l, r)) => {
            let items = Zipper { atom, left: &l, right: &r, merged: Vec::new() }.run();
            ((!items.is_empty()).then_some(Value::List(items)), Mismatches::default())
        }
    }
}

/// The items of a list with what identifies them.
struct Indexed<'v> {
    items: Vec<(Element, &'v Value)>,
    /// Places of the first of its kind in `items`, sorted by element, and whether there are more.
    by_element: Vec<(usize, bool)>,
}

// === impl Indexed ===

impl<'v> Indexed<'v> {
    fn new(atom: &ListAtom, list: &'v [Value], duplicates: bool) -> Result<Indexed<'v>, Mismatches> {
        let mut indexed = Indexed { items: Vec::with_capacity(list.len()), by_element: Vec::new() };
        let mut found = Mismatches::default();
        for (at, item) in list.iter().enumerate() {
            match element_of(atom, item) {
                Err(why) => found.extend(Mismatches::one(format!("element {at}: {why}"))),
                Ok(element) => match indexed.find(&element) {
                    Ok(_) if !duplicates => {
                        found.extend(Mismatches::one(format!("duplicate entries for key {element}")));
                    }
                    Ok(place) => {
                        indexed.by_element[place].1 = true;
                        indexed.items.push((element, item));
                    }
                    Err(place) => {
                        indexed.by_element.insert(place, (indexed.items.len(), false));
                        indexed.items.push((element, item));
                    }
                },
            }
        }
        found.fail().map(|()| indexed)
    }

    fn find(&self, element: &Element) -> Result<usize, usize> {
        self.by_element.binary_search_by(|(at, _)| self.items[*at].0.cmp(element))
    }

    fn has(&self, element: &Element) -> bool {
        self.find(element).is_ok()
    }

    /// The item; null if there are several.
    fn get(&self, element: &Element) -> Option<&'v Value> {
        let (at, several) = self.by_element[self.find(element).ok()?];
        Some(if several { &Value::Null } else { self.items[at].1 })
    }
}

/// Lays two lists together as upstream does (typed/merge.go, visitListItems).
struct Zipper<'z, 'v> {
    atom: &'z ListAtom<'z>,
    left: &'z Indexed<'v>,
    right: &'z Indexed<'v>,
    merged: Vec<Value>,
}

// === impl Zipper ===

impl Zipper<'_, '_> {
    fn run(mut self) -> Vec<Value> {
        let shared: Vec<&Element> = self
            .right
            .items
            .iter()
            .map(|(element, _)| element)
            .filter(|element| self.left.has(element))
            .collect();
        let mut shared = shared.into_iter();
        let mut next_shared = shared.next();
        // How many items of the right one have been taken; they are taken in order.
        let (mut l, mut r) = (0, 0);
        let (left, right) = (self.left, self.right);
        while l < left.items.len() || r < right.items.len() {
            if let (Some((a, _)), Some((b, _))) = (left.items.get(l), right.items.get(r)) {
                if a == b {
                    self.take(left.get(a), right.get(a));
                    l += 1;
                    r += 1;
                    next_shared = shared.next();
                    continue;
                }
                if right.has(a) && next_shared.is_some_and(|next| next != a) {
                    // Shared, but not the one whose turn it is.
                    l += 1;
                    continue;
                }
            }
            if let Some((a, item)) = left.items.get(l) {
                if !right.has(a) {
                    self.take(Some(item), None);
                    l += 1;
                    continue;
                }
                if right.items[..r].iter().any(|(taken, _)| taken == a) {
                    l += 1;
                }
            }
            if let Some((b, _)) = right.items.get(r) {
                self.take(left.get(b), right.get(b));
                r += 1;
                if next_shared == Some(b) {
                    next_shared = shared.next();
                }
            }
        }
        self.merged
    }

    /// Merges two items. What is wrong with them upstream does not pass on.
    fn take(&mut self, left: Option<&Value>, right: Option<&Value>) {
        self.merged.extend(both(left, right, self.atom.item).0);
    }
}
