//! Sets of field paths, and their form in objects (`FieldsV1`).

use std::collections::BTreeMap;

use crate::value::{Map, Str, Value};

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Element {
    /// A field of a struct, or a key of a map: `f:name`.
    Field(Str),
    /// An item of a list, by its keys as JSON: `k:{"name":"web"}`.
    Key(Str),
    /// An item of a set, as JSON: `v:"a"`.
    Item(Str),
    /// An item of a list, by its place: `i:0`.
    Index(u64),
}

/// A set of paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet(BTreeMap<Element, Node>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Node {
    /// Whether the path up to here is in the set itself.
    member: bool,
    below: FieldSet,
}

// === impl FieldSet ===

impl FieldSet {
    /// Whether there is no path in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a path.
    pub fn insert(&mut self, path: &[Element]) {
        let Some((first, rest)) = path.split_first() else { return };
        let node = self.0.entry(first.clone()).or_default();
        if rest.is_empty() { node.member = true } else { node.below.insert(rest) }
    }

    /// Takes out a path of fields, but nothing below it.
    pub fn remove(&mut self, path: &[&str]) {
        let Some((first, rest)) = path.split_first() else { return };
        let element = Element::Field(Str::from(*first));
        let Some(node) = self.0.get_mut(&element) else { return };
        if rest.is_empty() {
            node.member = false
        } else {
            node.below.remove(rest)
        }
        if node.is_empty() {
            self.0.remove(&element);
        }
    }

    /// The paths of either.
    pub fn union(&self, other: &FieldSet) -> FieldSet {
        let mut all = self.clone();
        for (element, node) in &other.0 {
            let mine = all.0.entry(element.clone()).or_default();
            mine.member |= node.member;
            mine.below = mine.below.union(&node.below);
        }
        all
    }

    /// The paths of this one that the other has not.
    pub fn difference(&self, other: &FieldSet) -> FieldSet {
        let left = self.0.iter().filter_map(|(element, node)| {
            let node = match other.0.get(element) {
                None => node.clone(),
                Some(gone) => {
                    Node { member: node.member && !gone.member, below: node.below.difference(&gone.below) }
                }
            };
            (!node.is_empty()).then(|| (element.clone(), node))
        });
        FieldSet(left.collect())
    }

    /// From `fieldsV1`. What is no path is passed over.
    pub fn read(value: &Value) -> FieldSet {
        let entries = value.as_map().into_iter().flat_map(Map::iter);
        let nodes = entries.filter_map(|(key, value)| {
            let element = Element::read(key)?;
            let below = FieldSet::read(value);
            let member = below.is_empty() || value.get(".").is_some();
            Some((element, Node { member, below }))
        });
        FieldSet(nodes.collect())
    }

    /// As `fieldsV1`.
    pub fn write(&self) -> Value {
        let entries = self.0.iter().map(|(element, node)| {
            let mut value = node.below.write();
            if node.member && !node.below.is_empty() {
                value.set_at(&["."], Value::map());
            }
            (element.write(), value)
        });
        Value::Map(entries.collect())
    }
}

impl Node {
    fn is_empty(&self) -> bool {
        !self.member && self.below.is_empty()
    }
}

// === impl Element ===

impl Element {
    fn read(text: &str) -> Option<Element> {
        let (kind, rest) = text.split_once(':')?;
        match kind {
            "f" => Some(Element::Field(rest.into())),
            "k" => Some(Element::Key(rest.into())),
            "v" => Some(Element::Item(rest.into())),
            "i" => rest.parse().ok().map(Element::Index),
            _ => None,
        }
    }

    fn write(&self) -> Str {
        match self {
            Element::Field(name) => Str::from(format!("f:{name}")),
            Element::Key(keys) => Str::from(format!("k:{keys}")),
            Element::Item(value) => Str::from(format!("v:{value}")),
            Element::Index(index) => Str::from(format!("i:{index}")),
        }
    }
}
