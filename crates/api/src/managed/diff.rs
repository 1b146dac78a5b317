//! What a change added, modified and removed, as sets of paths.

use super::set::{Element, FieldSet};
use crate::codec::slotted;
use crate::schema::{Field, ListType, Omit, Shape, TypeRef};
use crate::value::{Map, Str, Value};

/// What a change did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Difference {
    /// Paths that were absent.
    pub added: FieldSet,
    /// Paths with another value.
    pub modified: FieldSet,
    /// Paths that are gone.
    pub removed: FieldSet,
}

/// Compares two objects of type `ty`.
pub fn diff(old: &Value, new: &Value, ty: TypeRef) -> Difference {
    let mut walk = Walk { difference: Difference::default(), path: Vec::new() };
    walk.fields(Some(old), Some(new), ty);
    walk.difference
}

struct Walk {
    difference: Difference,
    path: Vec<Element>,
}

// === impl Walk ===

impl Walk {
    /// The fields of a struct that is there on the sides that are given.
    fn fields(&mut self, old: Option<&Value>, new: Option<&Value>, ty: TypeRef) {
        let (old_map, new_map) = (old.and_then(Value::as_map), new.and_then(Value::as_map));
        slotted(ty.ty, old_map, |before| {
            slotted(ty.ty, new_map, |after| {
                for (field, (before, after)) in ty.ty.fields.iter().zip(before.iter().zip(after)) {
                    // A struct that Go always writes is there even when the draft leaves it out.
                    let always = field.omit == Omit::Never
                        && !matches!(field.shape, Shape::String | Shape::Int32 | Shape::Int64 | Shape::Bool);
                    let [old_there, new_there] = [old, new].map(|side| always && side.is_some());
                    let comes_or_goes = matches!(field.shape, Shape::Struct(_)) && old_there != new_there;
                    if before.is_none() && after.is_none() && !comes_or_goes {
                        continue;
                    }
                    self.path.push(Element::Field(field.name.clone()));
                    let (before, after) = ((*before, old_there), (*after, new_there));
                    self.value(before, after, &field.shape, Some(field), ty);
                    self.path.pop();
                }
            });
        });
    }

    /// A value of either side, each with whether it is there although the draft leaves it out.
    fn value(
        &mut self,
        old: (Option<&Value>, bool),
        new: (Option<&Value>, bool),
        shape: &Shape,
        field: Option<&Field>,
        ty: TypeRef,
    ) {
        if old.0.is_some() && old.0 == new.0 {
            return;
        }
        let atomic = field.is_some_and(|field| field.atomic);
        let list_type = field.and_then(|field| field.list_type);
        match shape {
            Shape::Struct(id) if !atomic && !ty.schema.resolve(*id).ty.atomic => {
                self.presence(old, new);
                let empty = Value::map();
                let [before, after] = [old, new].map(|(value, there)| value.or(there.then_some(&empty)));
                self.fields(before, after, ty.schema.resolve(*id));
            }
            Shape::Map(of) if !atomic => {
                self.presence(old, new);
                self.map(old.0, new.0, of, ty);
            }
            Shape::List(of) if list_type == Some(ListType::Map) => {
                self.presence(old, new);
                let keys: Vec<&str> = field.map(|field| field.list_keys().collect()).unwrap_or_default();
                self.items(old.0, new.0, of, ty, |item| key_of(item, &keys, of, ty));
            }
            Shape::List(of) if list_type == Some(ListType::Set) => {
                self.presence(old, new);
                let text =
                    |item: &Value| Element::Item(serde_json::to_string(item).unwrap_or_default().into());
                self.items(old.0, new.0, of, ty, text);
            }
            _ if old.0.is_none() && new.0.is_none() => {}
            _ => match (old.0.is_some() || old.1, new.0.is_some() || new.1) {
                (false, _) => self.difference.added.insert(&self.path),
                (_, false) => self.difference.removed.insert(&self.path),
                _ => self.difference.modified.insert(&self.path),
            },
        }
    }

    /// A container that comes or goes is a path of its own.
    fn presence(&mut self, old: (Option<&Value>, bool), new: (Option<&Value>, bool)) {
        match (old.0.is_some() || old.1, new.0.is_some() || new.1) {
            (false, true) => self.difference.added.insert(&self.path),
            (true, false) => self.difference.removed.insert(&self.path),
            _ => {}
        }
    }

    fn map(&mut self, old: Option<&Value>, new: Option<&Value>, of: &Shape, ty: TypeRef) {
        let empty = Map::new();
        let (old, new) =
            (old.and_then(Value::as_map).unwrap_or(&empty), new.and_then(Value::as_map).unwrap_or(&empty));
        let gone = old.iter().filter(|(key, _)| !new.contains(key)).map(|(key, _)| key);
        for key in new.iter().map(|(key, _)| key).chain(gone) {
            self.path.push(Element::Field(key.clone()));
            self.value((old.get(key), false), (new.get(key), false), of, None, ty);
            self.path.pop();
        }
    }

    fn items<'v>(
        &mut self,
        old: Option<&'v Value>,
        new: Option<&'v Value>,
        of: &Shape,
        ty: TypeRef,
        id: impl Fn(&Value) -> Element,
    ) {
        let list = |side: Option<&'v Value>| -> Vec<(Element, &'v Value)> {
            let items = side.and_then(Value::as_list).unwrap_or(&[]);
            items.iter().map(|item| (id(item), item)).collect()
        };
        let (mut old, new) = (list(old), list(new));
        for (element, item) in new {
            let before = old.iter().position(|(other, _)| *other == element).map(|at| old.swap_remove(at).1);
            self.path.push(element);
            self.value((before, false), (Some(item), false), of, None, ty);
            self.path.pop();
        }
        for (element, item) in old {
            self.path.push(element);
            self.value((Some(item), false), (None, false), of, None, ty);
            self.path.pop();
        }
    }
}

/// The keys of an item, in order of their names, with the schema's defaults for those it leaves out.
fn key_of(item: &Value, keys: &[&str], of: &Shape, ty: TypeRef) -> Element {
    let mut pairs: Vec<(&str, Value)> = Vec::new();
    for key in keys {
        let field = ty.under(of).and_then(|inner| inner.field(key));
        let default = || {
            field.and_then(|field| field.default.as_ref()).and_then(|text| serde_json::from_str(text).ok())
        };
        if let Some(value) = item.get(key).cloned().or_else(default) {
            pairs.push((key, value));
        }
    }
    pairs.sort_by(|a, b| a.0.cmp(b.0));
    let map: Map = pairs.into_iter().map(|(key, value)| (Str::from(key), value)).collect();
    Element::Key(serde_json::to_string(&Value::Map(map)).unwrap_or_default().into())
}
