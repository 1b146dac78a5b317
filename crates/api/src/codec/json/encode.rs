//! Draft to JSON, in the schema's field order, with what Go leaves out left out.

use bytes::Bytes;

use super::writer::{write_any, write_text};
use crate::codec::slots::slotted;
use crate::codec::time;
use crate::object::Encoded;
use crate::schema::{Field, Omit, Shape, Type, TypeRef};
use crate::value::{Map, Value};

/// The canonical encoding: without `kind` and `apiVersion`, `metadata` first, the place of `resourceVersion` open.
///
/// Only for types with `metadata`; of others it is [`write`] without the type meta, and has no such place.
pub fn encode(draft: &Value, ty: TypeRef) -> Encoded {
    let mut encoder = Encoder { root: ty, out: Vec::with_capacity(2048), revision_at: None };
    encoder.object(draft);
    let revision_at = encoder.revision_at.unwrap_or(encoder.out.len());
    Encoded { bytes: Bytes::from(encoder.out), revision_at }
}

/// Writes a value of type `ty` with all its fields, `kind` and `apiVersion` first if the draft has them.
pub fn write(draft: &Value, ty: TypeRef, out: &mut Vec<u8>) {
    let mut encoder = Encoder { root: ty, out: std::mem::take(out), revision_at: None };
    encoder.fields(ty.ty, draft.as_map());
    *out = encoder.out;
}

/// The same in a buffer of its own.
pub fn to_bytes(draft: &Value, ty: TypeRef) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    write(draft, ty, &mut out);
    out
}

struct Encoder<'s> {
    root: TypeRef<'s>,
    out: Vec<u8>,
    revision_at: Option<usize>,
}

/// Whether JSON leaves the field out. Nulls have been made absent.
fn omitted(field: &Field, value: Option<&Value>) -> bool {
    match field.omit {
        Omit::Never => false,
        Omit::Absent => value.is_none_or(Value::is_null),
        Omit::Empty => value.is_none_or(Value::is_empty),
    }
}

// === impl Encoder ===

impl Encoder<'_> {
    fn object(&mut self, draft: &Value) {
        let ty = self.root.ty;
        let map = draft.as_map();
        self.out.push(b'{');
        slotted(ty, map, |slots| {
            for (field, value) in ty.fields.iter().zip(slots) {
                match (field.name.as_str(), &field.shape) {
                    ("kind" | "apiVersion", _) => {}
                    ("metadata", Shape::Struct(id)) => {
                        self.field_name(&field.name);
                        let metadata = value.and_then(Value::as_map);
                        self.metadata(self.root.schema.resolve(*id).ty, metadata);
                    }
                    _ => self.field(field, *value),
                }
            }
        });
        self.rest(ty, map);
        self.out.push(b'}');
    }

    /// `metadata` without its resourceVersion, whose place is noted.
    fn metadata(&mut self, ty: &Type, map: Option<&Map>) {
        self.out.push(b'{');
        let first = self.out.len();
        let mut last = first;
        slotted(ty, map, |slots| {
            let mut passed = false;
            for (field, value) in ty.fields.iter().zip(slots) {
                if field.name == "resourceVersion" {
                    passed = true;
                } else if !omitted(field, *value) {
                    self.field(field, *value);
                    // Where the field's name begins: past the comma, if there is one.
                    let at = if last == first { first } else { last + 1 };
                    if passed && self.revision_at.is_none() {
                        self.revision_at = Some(at);
                    }
                    last = self.out.len();
                }
            }
        });
        if last == first {
            // Something has to follow the resourceVersion.
            self.out.extend_from_slice(b"\"creationTimestamp\":null");
        }
        self.revision_at.get_or_insert(first);
        self.out.push(b'}');
    }

    fn fields(&mut self, ty: &Type, map: Option<&Map>) {
        self.out.push(b'{');
        slotted(ty, map, |slots| {
            for (field, value) in ty.fields.iter().zip(slots) {
                self.field(field, *value);
            }
        });
        self.rest(ty, map);
        self.out.push(b'}');
    }

    /// What an open type holds beside its fields, sorted by name.
    fn rest(&mut self, ty: &Type, map: Option<&Map>) {
        for (key, value) in map.into_iter().filter(|_| ty.open).flat_map(Map::iter) {
            if ty.index_of(key).is_none() {
                self.name(key);
                write_any(value, &mut self.out);
            }
        }
    }

    /// A comma, unless this is the first, and the key of a map.
    fn name(&mut self, name: &str) {
        self.comma();
        write_text(name, &mut self.out);
        self.out.push(b':');
    }

    /// The same with the name of a field, which needs no escapes.
    fn field_name(&mut self, name: &str) {
        self.comma();
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn comma(&mut self) {
        if self.out.last() != Some(&b'{') {
            self.out.push(b',');
        }
    }

    fn field(&mut self, field: &Field, value: Option<&Value>) {
        if omitted(field, value) {
            return;
        }
        self.field_name(&field.name);
        match value {
            None if field.pointer => self.out.extend_from_slice(b"null"),
            None => self.zero(&field.shape),
            Some(value) => self.value(&field.shape, value),
        }
    }

    /// What Go writes for the zero value.
    fn zero(&mut self, shape: &Shape) {
        let text: &[u8] = match shape {
            Shape::Bool => b"false",
            Shape::Int32 | Shape::Int64 | Shape::Float | Shape::IntOrString => b"0",
            Shape::String => b"\"\"",
            Shape::Quantity => b"\"0\"",
            Shape::SchemaOr(crate::schema::SchemaOr::Bool, _) => b"false",
            Shape::Struct(id) => return self.fields(self.root.schema.resolve(*id).ty, None),
            _ => b"null",
        };
        self.out.extend_from_slice(text);
    }

    fn value(&mut self, shape: &Shape, value: &Value) {
        match (shape, value) {
            (Shape::Struct(id) | Shape::SchemaOr(_, id), Value::Map(map)) => {
                self.fields(self.root.schema.resolve(*id).ty, Some(map));
            }
            (Shape::List(of) | Shape::Wrapped(of), Value::List(items)) => {
                self.list(items, |encoder, item| {
                    encoder.value(of, item);
                })
            }
            (Shape::SchemaOr(..), Value::List(items)) if items.is_empty() => {
                self.out.extend_from_slice(b"null")
            }
            (Shape::SchemaOr(_, id), Value::List(items)) => self.list(items, |encoder, item| {
                encoder.value(&Shape::Struct(*id), item);
            }),
            (Shape::Map(of), Value::Map(map)) => {
                self.out.push(b'{');
                for (key, value) in map.iter() {
                    self.name(key);
                    self.value(of, value);
                }
                self.out.push(b'}');
            }
            (Shape::Raw | Shape::FieldsV1 | Shape::Json | Shape::Any, value) => {
                write_any(value, &mut self.out)
            }
            (shape, Value::Null) => self.zero(shape),
            (Shape::Time | Shape::MicroTime, Value::String(text)) if time::is_zero_text(text) => {
                self.zero(shape)
            }
            (_, value) => write_any(value, &mut self.out),
        }
    }

    fn list(&mut self, items: &[Value], mut each: impl FnMut(&mut Self, &Value)) {
        self.out.push(b'[');
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                self.out.push(b',');
            }
            each(self, item);
        }
        self.out.push(b']');
    }
}
