//! What differs between two objects.

use super::{Mismatches, as_list, as_map, element_of, is_nothing, pairs, validate};
use crate::managed::element::{Element, equal};
use crate::managed::place::{Atom, ListAtom, MapAtom, Place, Relation};
use crate::managed::set::FieldSet;
use crate::value::{Map, Value};

/// What a change did. No path is in two of the sets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Difference {
    /// Paths that were absent.
    pub added: FieldSet,
    /// Paths with another value.
    pub modified: FieldSet,
    /// Paths that are gone.
    pub removed: FieldSet,
}

/// What became of the path at a place: it came, it changed, it went.
#[derive(Clone, Copy, Default)]
struct Marks {
    added: bool,
    modified: bool,
    removed: bool,
}

/// What was found at a place; what is below it has been noted.
#[derive(Default)]
struct Found {
    marks: Marks,
    /// Whether nothing below it is looked at.
    leaf: bool,
    wrong: Mismatches,
}

type Side<'v> = Option<&'v Value>;

/// Compares two objects.
pub(crate) fn compare(old: &Value, new: &Value, place: Place) -> Result<Difference, Mismatches> {
    let mut difference = Difference::default();
    // The whole object is nobody's.
    both(&mut difference, Some(old), Some(new), place).wrong.fail()?;
    Ok(difference)
}

/// Notes in `below` what differs below the place of two values.
fn both(below: &mut Difference, old: Side, new: Side, place: Place) -> Found {
    let atom = place.atom();
    let (of_old, of_new) = (atom.deduced(old), atom.deduced(new));
    let mut found = if new.is_none() {
        part(below, &of_old, old, new)
    } else if old.is_none() || of_old.is_same_part(&of_new) {
        part(below, &of_new, old, new)
    } else {
        let (first, second) = (part(below, &of_old, old, new), part(below, &of_new, old, new));
        first.and(second)
    };
    if !found.leaf {
        found.marks.added |= old.is_none();
        found.marks.removed |= old.is_some() && new.is_none();
    }
    found
}

fn part(below: &mut Difference, atom: &Atom, old: Side, new: Side) -> Found {
    match (atom.map, atom.scalar, atom.list) {
        (Some(map), _, _) => maps(below, &map, old, new),
        (_, Some(kind), _) => {
            let mut wrong = validate::scalar(kind, old, "lhs: ");
            let other = validate::scalar(kind, new, "rhs: ");
            if wrong.is_empty() || other.is_empty() {
                return leaf(old, new);
            }
            wrong.extend(other);
            Found { wrong, ..Found::default() }
        }
        (_, _, Some(list)) => lists(below, &list, old, new),
        _ => Found { wrong: super::nowhere(), ..Found::default() },
    }
}

fn leaf(old: Side, new: Side) -> Found {
    let marks = Marks {
        added: old.is_none(),
        removed: old.is_some() && new.is_none(),
        modified: old.zip(new).is_some_and(|(old, new)| !equal(old, new)),
    };
    Found { marks, leaf: true, wrong: Mismatches::default() }
}

fn maps(below: &mut Difference, atom: &MapAtom, old: Side, new: Side) -> Found {
    let (a, b) = (as_map(old), as_map(new));
    if atom.atomic || (a.is_none_or(Map::is_empty) && b.is_none_or(Map::is_empty)) {
        return leaf(old, new);
    }
    let mut wrong = Mismatches::default();
    for (key, before, after) in pairs(a, b) {
        let element = Element::Field(key.clone());
        wrong.extend(step(below, element, before, after, atom.place(key)));
    }
    Found { wrong, ..Found::default() }
}

/// Compares what is one step further down.
fn step(into: &mut Difference, element: Element, old: Side, new: Side, place: Place) -> Mismatches {
    let mut below = Difference::default();
    let found = both(&mut below, old, new, place);
    let wrong = if found.wrong.is_empty() { found.wrong } else { found.wrong.under(&element) };
    into.adopt(&element, found.marks, below);
    wrong
}

fn lists(below: &mut Difference, atom: &ListAtom, old: Side, new: Side) -> Found {
    let (a, b) = (as_list(old), as_list(new));
    if matches!(atom.relation, Relation::Atomic) || (is_nothing(a) && is_nothing(b)) {
        return leaf(old, new);
    }
    let mut wrong = Mismatches::default();
    let mut groups: Vec<(Element, Vec<&Value>, Vec<&Value>)> = Vec::new();
    let sides = [(a.unwrap_or_default(), true), (b.unwrap_or_default(), false)];
    for (list, is_old) in sides {
        for (at, item) in list.iter().enumerate() {
            match element_of(atom, item) {
                Err(why) => wrong.extend(Mismatches::one(format!("element {at}: {why}"))),
                Ok(element) => {
                    let place =
                        groups.binary_search_by(|(other, ..)| other.cmp(&element)).unwrap_or_else(|place| {
                            groups.insert(place, (element, Vec::new(), Vec::new()));
                            place
                        });
                    let (_, before, after) = &mut groups[place];
                    if is_old { before.push(item) } else { after.push(item) }
                }
            }
        }
    }
    for (element, before, after) in groups {
        wrong.extend(items(below, element, &before, &after, atom.item));
    }
    Found { wrong, ..Found::default() }
}

/// The items with one identity; there may be several of them.
fn items(
    into: &mut Difference,
    element: Element,
    old: &[&Value],
    new: &[&Value],
    place: Place,
) -> Mismatches {
    let several = |list: &[&Value]| list.len() > 1;
    let marks = match (several(old), several(new)) {
        (false, false) => return step(into, element, old.first().copied(), new.first().copied(), place),
        (true, true) => {
            let same = old.len() == new.len() && old.iter().zip(new).all(|(a, b)| equal(a, b));
            Marks { modified: !same, ..Marks::default() }
        }
        (true, false) => Marks { removed: true, ..Marks::default() },
        (false, true) => Marks { added: true, ..Marks::default() },
    };
    into.adopt(&element, marks, Difference::default());
    // One beside several comes or goes by itself.
    match (several(old), several(new)) {
        (true, false) if !new.is_empty() => step(into, element, None, new.first().copied(), place),
        (false, true) if !old.is_empty() => step(into, element, old.first().copied(), None, place),
        _ => Mismatches::default(),
    }
}

// === impl Found ===

impl Found {
    /// Two findings at one place, of which the second says whether it is a leaf.
    fn and(mut self, other: Found) -> Found {
        self.wrong.extend(other.wrong);
        let (a, b) = (self.marks, other.marks);
        let marks = Marks {
            added: a.added || b.added,
            modified: a.modified || b.modified,
            removed: a.removed || b.removed,
        };
        Found { marks, leaf: other.leaf, wrong: self.wrong }
    }
}

// === impl Difference ===

impl Difference {
    /// Takes over what is at and below one element.
    fn adopt(&mut self, element: &Element, marks: Marks, below: Difference) {
        self.added.adopt(element, marks.added, below.added);
        self.modified.adopt(element, marks.modified, below.modified);
        self.removed.adopt(element, marks.removed, below.removed);
    }
}
