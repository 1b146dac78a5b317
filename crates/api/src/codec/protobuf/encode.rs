//! Draft to message. What gogo-proto writes: every field that is no pointer, zero or not; lists and maps item by
//! item, maps sorted by key.

use std::borrow::Cow;

use super::open_with;
use super::source::{Raw, Source};
use super::wire::{Writer, varint_bytes};
use crate::codec::{base64, time};
use crate::schema::{Field, MemberOf, SchemaOr, Shape, Type, TypeId, TypeRef};
use crate::value::Value;

/// The message of an object, without an envelope. `kind` and `apiVersion` are no part of it.
pub fn encode(draft: &Value, ty: TypeRef) -> Vec<u8> {
    let mut encoder = Encoder { root: ty, out: Writer::with_capacity(1024) };
    encoder.object(ty.ty, Some(draft));
    encoder.out.finish()
}

/// The message of an object from its canonical JSON.
pub fn item(body: &[u8], ty: TypeRef) -> Vec<u8> {
    let mut encoder = Encoder { root: ty, out: Writer::with_capacity(body.len()) };
    encoder.object(ty.ty, Some(Raw(body)));
    encoder.out.finish()
}

/// An enveloped list of type `ty` (such as `PodList`) up to its first item, when its items' messages are of these
/// lengths. They follow, each after [`before_item`], and then [`LIST_END`].
pub fn list_head(
    api_version: &str,
    kind: &str,
    metadata: &Value,
    ty: TypeRef,
    lengths: impl Iterator<Item = usize>,
) -> Vec<u8> {
    let items: usize = lengths.map(|length| 1 + varint_bytes(length as u64) + length).sum();
    let mut encoder = Encoder { root: ty, out: Writer::with_capacity(256) };
    if let Some(field) = ty.field("metadata") {
        encoder.field(field, Some(metadata));
    }
    let mut out = encoder.out;
    out.raw_varint((out.len() + items) as u64);
    out.tag(2, 2);
    open_with(&mut out, api_version, kind);
    out.finish()
}

/// Writes what stands in front of an item of a list: its number, 2 in every list, and its length.
pub fn before_item(length: usize, out: &mut Vec<u8>) {
    out.push(2 << 3 | 2);
    let mut rest = length;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// What stands after the last item of a list: that its content is neither encoded nor of another type.
pub const LIST_END: &[u8] = &[3 << 3 | 2, 0, 4 << 3 | 2, 0];

struct Encoder<'s> {
    root: TypeRef<'s>,
    out: Writer,
}

// === impl Encoder ===

impl Encoder<'_> {
    fn object<'v, S: Source<'v>>(&mut self, ty: &Type, value: Option<S>) {
        S::slots(value, ty, |slots| self.members(ty, slots));
    }

    /// Everything in a message, from the last member to the first.
    fn members<'v, S: Source<'v>>(&mut self, ty: &Type, slots: &[Option<S>]) {
        for member in ty.members.iter().rev() {
            match member.of {
                MemberOf::Field(at) => self.field(&ty.fields[at as usize], slots[at as usize]),
                MemberOf::Inline { ty: id, offset } => {
                    let since = self.out.len();
                    self.members(self.root.schema.resolve(id).ty, &slots[offset as usize..]);
                    self.out.close(member.number, since);
                }
            }
        }
    }

    fn field<'v, S: Source<'v>>(&mut self, field: &Field, value: Option<S>) {
        match (&field.shape, value) {
            (Shape::List(of), Some(list)) if list.is_list() => {
                for item in list.items().rev() {
                    self.value(field.number, of, Some(item));
                }
            }
            (Shape::Map(of), Some(map)) if map.is_map() => self.map(field.number, of, map),
            (Shape::List(_) | Shape::Map(_) | Shape::Bytes | Shape::Wrapped(_), None) => {}
            (_, None) if field.pointer => {}
            (shape, value) => self.value(field.number, shape, value),
        }
    }

    fn map<'v, S: Source<'v>>(&mut self, number: u32, of: &Shape, map: S) {
        for (key, value) in map.entries().into_iter().rev() {
            let since = self.out.len();
            if !(matches!(of, Shape::Bytes) && value.is_null()) {
                self.value(2, of, Some(value));
            }
            self.out.bytes(1, key.as_bytes());
            self.out.close(number, since);
        }
    }

    /// One value; `None` is the zero value.
    fn value<'v, S: Source<'v>>(&mut self, number: u32, shape: &Shape, value: Option<S>) {
        match shape {
            Shape::Bool => self.out.varint(number, u64::from(value.and_then(S::bool).unwrap_or_default())),
            // Negative numbers of either width are sign-extended to ten bytes.
            Shape::Int32 | Shape::Int64 => {
                self.out.varint(number, value.and_then(S::int).unwrap_or_default() as u64);
            }
            Shape::Float => {
                self.out.fixed64(number, value.and_then(S::float).unwrap_or_default().to_bits());
            }
            Shape::String => self.out.bytes(number, text(value).as_bytes()),
            // Drafts hold valid base64: every decoder sees to it.
            Shape::Bytes => self.out.bytes(number, &base64::decode(&text(value)).unwrap_or_default()),
            _ => {
                let since = self.out.len();
                self.message(shape, value);
                self.out.close(number, since);
            }
        }
    }

    /// What is inside the message of a value.
    fn message<'v, S: Source<'v>>(&mut self, shape: &Shape, value: Option<S>) {
        match shape {
            Shape::Struct(id) => self.object(self.root.schema.resolve(*id).ty, value),
            Shape::Wrapped(of) => {
                for item in value.into_iter().flat_map(S::items).rev() {
                    self.value(1, of, Some(item));
                }
            }
            Shape::Time | Shape::MicroTime => self.time(shape, &text(value)),
            Shape::Quantity => match &*text(value) {
                "" => self.out.bytes(1, b"0"),
                text => self.out.bytes(1, text.as_bytes()),
            },
            Shape::IntOrString => {
                self.out.bytes(3, text(value).as_bytes());
                self.out.varint(2, value.and_then(S::int).unwrap_or_default() as u64);
                self.out.varint(1, u64::from(value.is_some_and(S::is_text)));
            }
            Shape::Raw | Shape::FieldsV1 | Shape::Json => {
                if let Some(value) = value.filter(|value| !value.is_null()) {
                    self.out.bytes(1, &value.json());
                }
            }
            Shape::SchemaOr(or, id) => self.schema_or(*or, *id, value),
            // Never in a message, or written by `value` and `map`.
            Shape::Any | Shape::List(_) | Shape::Map(_) => {}
            Shape::Bool | Shape::Int32 | Shape::Int64 | Shape::Float | Shape::String | Shape::Bytes => {}
        }
    }

    fn time(&mut self, shape: &Shape, text: &str) {
        let Ok(instant) = time::parse(text) else { return };
        if instant == (time::Instant { seconds: time::ZERO_SECONDS, nanos: 0 }) {
            return;
        }
        let micros = if matches!(shape, Shape::MicroTime) { instant.nanos / 1000 } else { 0 };
        self.out.varint(2, u64::from(micros * 1000));
        self.out.varint(1, instant.seconds as u64);
    }

    fn schema_or<'v, S: Source<'v>>(&mut self, or: SchemaOr, id: TypeId, value: Option<S>) {
        let schema = Shape::Struct(id);
        match (or, value) {
            (SchemaOr::Bool, Some(map)) if map.is_map() => {
                self.value(2, &schema, value);
                self.out.varint(1, 1);
            }
            (SchemaOr::Bool, _) => self.out.varint(1, u64::from(value.and_then(S::bool) == Some(true))),
            (_, Some(map)) if map.is_map() => self.value(1, &schema, value),
            (_, Some(list)) => {
                let of = if or == SchemaOr::Strings { &Shape::String } else { &schema };
                for item in list.items().rev() {
                    self.value(2, of, Some(item));
                }
            }
            _ => {}
        }
    }
}

/// The text of a value; empty if it is none.
fn text<'v, S: Source<'v>>(value: Option<S>) -> Cow<'v, str> {
    value.and_then(S::text).unwrap_or_default()
}
