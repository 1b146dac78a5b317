//! The walks over objects along the schema: what an object sets, how two are merged or differ, what is left when paths are
//! taken out (sigs.k8s.io/structured-merge-diff, typed). Objects are trees as clients see them, with the zero values that
//! JSON shows.

mod compare;
mod fields;
mod merge;
mod reconcile;
mod remove;
mod validate;

pub use compare::Difference;
pub(super) use compare::compare;
pub(super) use fields::fields;
pub(super) use merge::merge;
pub(super) use reconcile::{is_reconciled, reconcile};
pub(super) use remove::remove;
pub(super) use validate::validate;

use std::cmp::Ordering;

use super::element::Element;
use super::place::{ListAtom, Place, Relation, keys_of};
use crate::value::{Map, Str, Value};

/// What does not fit the schema, with its paths, in upstream's words.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mismatches(Vec<(String, String)>);

// === impl Mismatches ===

impl Mismatches {
    fn one(why: impl Into<String>) -> Mismatches {
        Mismatches(vec![(String::new(), why.into())])
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn extend(&mut self, other: Mismatches) {
        self.0.extend(other.0);
    }

    /// The same, seen from one step further out.
    fn under(mut self, element: &Element) -> Mismatches {
        for (path, _) in &mut self.0 {
            *path = format!("{element}{path}");
        }
        self
    }

    /// Fails with all of them, if there are any.
    pub(super) fn fail(self) -> Result<(), Mismatches> {
        if self.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl std::fmt::Display for Mismatches {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let one = |(path, why): &(String, String)| {
            if path.is_empty() { why.clone() } else { format!("{path}: {why}") }
        };
        match self.0.as_slice() {
            [only] => f.write_str(&one(only)),
            several => {
                f.write_str("errors:")?;
                several.iter().try_for_each(|mismatch| write!(f, "\n  {}", one(mismatch)))
            }
        }
    }
}

impl std::error::Error for Mismatches {}

/// A map, where null is as good as nothing.
fn as_map(value: Option<&Value>) -> Option<&Map> {
    value.and_then(Value::as_map)
}

/// A list, where null is as good as nothing.
fn as_list(value: Option<&Value>) -> Option<&[Value]> {
    value.and_then(Value::as_list)
}

fn is_nothing<T>(items: Option<&[T]>) -> bool {
    items.is_none_or(<[T]>::is_empty)
}

/// The entries of both maps by their keys, in the order of these.
fn pairs<'m>(
    a: Option<&'m Map>,
    b: Option<&'m Map>,
) -> impl Iterator<Item = (&'m Str, Option<&'m Value>, Option<&'m Value>)> {
    let mut a = a.into_iter().flat_map(|map| map.iter()).peekable();
    let mut b = b.into_iter().flat_map(|map| map.iter()).peekable();
    std::iter::from_fn(move || {
        let order = match (a.peek(), b.peek()) {
            (None, None) => return None,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((left, _)), Some((right, _))) => left.cmp(right),
        };
        let left = if order.is_le() { a.next() } else { None };
        let right = if order.is_ge() { b.next() } else { None };
        let (key, _) = left.or(right)?;
        Some((key, left.map(|(_, value)| value), right.map(|(_, value)| value)))
    })
}

/// What identifies an item of a list that is not owned as a whole.
fn element_of(list: &ListAtom, item: &Value) -> Result<Element, String> {
    let field = match list.relation {
        Relation::Atomic => return Err("invalid indexing of non-associative list".to_owned()),
        Relation::Set => return set_element(item),
        Relation::Keyed(field) => field,
    };
    let map = match item {
        Value::Map(map) => map,
        Value::Null => return Err("associative list with keys may not have a null element".to_owned()),
        _ => return Err("associative list with keys may not have non-map elements".to_owned()),
    };
    let names = keys_of(field);
    let mut pairs: Vec<(Str, Value)> = Vec::with_capacity(names.len());
    for name in &names {
        let value = match map.get(name) {
            Some(value) => Some(value.clone()),
            None => default_of(list.item, name)?,
        };
        pairs.extend(value.map(|value| (Str::from(*name), value)));
    }
    if pairs.is_empty() {
        let names = names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(" ");
        return Err(format!(
            "associative list with keys has an element that omits all key fields [{names}] (and doesn't have default values for any key fields)"
        ));
    }
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(Element::Key(pairs))
}

/// What identifies an item of a list that was held against the schema. Pruning may have made nulls of items, which have no
/// identity: to upstream they all are one more item, and so they are to us.
fn any_element_of(list: &ListAtom, item: &Value) -> Element {
    element_of(list, item).unwrap_or(Element::Item(Value::Null))
}

fn default_of(item: Place, name: &str) -> Result<Option<Value>, String> {
    match item.atom().map {
        Some(map) => Ok(map.default_of(name)),
        None => Err(format!(
            "couldn't find default value for {name}: associative list may not have non-map types"
        )),
    }
}

fn set_element(item: &Value) -> Result<Element, String> {
    match item {
        Value::Map(_) => Err("associative list without keys has an element that's a map type".to_owned()),
        Value::List(_) => Err("not supported: associative list with lists as elements".to_owned()),
        Value::Null => Err("associative list without keys has an element that's an explicit null".to_owned()),
        scalar => Ok(Element::Item(scalar.clone())),
    }
}

/// What is said where the schema has nothing.
fn nowhere() -> Mismatches {
    Mismatches::one("schema error: invalid atom: inlined")
}
