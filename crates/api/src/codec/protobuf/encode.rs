//! Draft to message. What gogo-proto writes: every field that is no pointer, zero or not; lists and maps item by
//! item, maps sorted by key.

use super::open_with;
use super::wire::{Writer, varint_bytes};
use crate::codec::slots::slotted;
use crate::codec::{DecodeError, FieldValidation, base64, json, time};
use crate::schema::{Field, MemberOf, SchemaOr, Shape, Type, TypeId, TypeRef};
use crate::value::{Map, Value};

/// The message of an object, without an envelope. `kind` and `apiVersion` are no part of it.
pub fn encode(draft: &Value, ty: TypeRef) -> Vec<u8> {
    let mut encoder = Encoder { root: ty, out: Writer::with_capacity(1024) };
    encoder.object(ty.ty, draft.as_map());
    encoder.out.finish()
}

/// The message of an object from its canonical JSON.
pub fn item(body: &[u8], ty: TypeRef) -> Result<Vec<u8>, DecodeError> {
    Ok(encode(&json::decode(body, ty, FieldValidation::Ignore)?.draft, ty))
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
    fn object(&mut self, ty: &Type, map: Option<&Map>) {
        slotted(ty, map, |slots| self.members(ty, slots));
    }

    /// Everything in a message, from the last member to the first.
    fn members(&mut self, ty: &Type, slots: &[Option<&Value>]) {
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

    fn field(&mut self, field: &Field, value: Option<&Value>) {
        match (&field.shape, value) {
            (Shape::List(of), Some(Value::List(items))) => {
                for item in items.iter().rev() {
                    self.value(field.number, of, Some(item));
                }
            }
            (Shape::Map(of), Some(Value::Map(map))) => self.map(field.number, of, map),
            (Shape::List(_) | Shape::Map(_) | Shape::Bytes | Shape::Wrapped(_), None) => {}
            (_, None) if field.pointer => {}
            (shape, value) => self.value(field.number, shape, value),
        }
    }

    fn map(&mut self, number: u32, of: &Shape, map: &Map) {
        let entries: Vec<_> = map.iter().collect();
        for (key, value) in entries.into_iter().rev() {
            let since = self.out.len();
            if !(matches!(of, Shape::Bytes) && value.is_null()) {
                self.value(2, of, Some(value));
            }
            self.out.bytes(1, key.as_bytes());
            self.out.close(number, since);
        }
    }

    /// One value; `None` is the zero value.
    fn value(&mut self, number: u32, shape: &Shape, value: Option<&Value>) {
        let text = value.and_then(Value::as_str).unwrap_or_default();
        let int = value.and_then(Value::as_int).unwrap_or_default();
        match shape {
            Shape::Bool => {
                self.out.varint(number, u64::from(value.and_then(Value::as_bool).unwrap_or_default()))
            }
            // Negative numbers of either width are sign-extended to ten bytes.
            Shape::Int32 | Shape::Int64 => self.out.varint(number, int as u64),
            Shape::Float => {
                let float = match value {
                    Some(Value::Float(float)) => *float,
                    _ => int as f64,
                };
                self.out.fixed64(number, float.to_bits());
            }
            Shape::String => self.out.bytes(number, text.as_bytes()),
            // Drafts hold valid base64: every decoder sees to it.
            Shape::Bytes => self.out.bytes(number, &base64::decode(text).unwrap_or_default()),
            _ => {
                let since = self.out.len();
                self.message(shape, value, text, int);
                self.out.close(number, since);
            }
        }
    }

    /// What is inside the message of a value.
    fn message(&mut self, shape: &Shape, value: Option<&Value>, text: &str, int: i64) {
        match shape {
            Shape::Struct(id) => self.object(self.root.schema.resolve(*id).ty, value.and_then(Value::as_map)),
            Shape::Wrapped(of) => {
                for item in value.and_then(Value::as_list).unwrap_or_default().iter().rev() {
                    self.value(1, of, Some(item));
                }
            }
            Shape::Time | Shape::MicroTime => self.time(shape, text),
            Shape::Quantity => self.out.bytes(1, if text.is_empty() { b"0" } else { text.as_bytes() }),
            Shape::IntOrString => {
                self.out.bytes(3, text.as_bytes());
                self.out.varint(2, int as u64);
                self.out.varint(1, u64::from(matches!(value, Some(Value::String(_)))));
            }
            Shape::Raw | Shape::FieldsV1 | Shape::Json => {
                if let Some(value) = value.filter(|value| !value.is_null()) {
                    let mut raw = Vec::new();
                    json::write_any(value, &mut raw);
                    self.out.bytes(1, &raw);
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

    fn schema_or(&mut self, or: SchemaOr, id: TypeId, value: Option<&Value>) {
        let schema = Shape::Struct(id);
        match (or, value) {
            (SchemaOr::Bool, Some(Value::Map(_))) => {
                self.value(2, &schema, value);
                self.out.varint(1, 1);
            }
            (SchemaOr::Bool, _) => self.out.varint(1, u64::from(value == Some(&Value::Bool(true)))),
            (_, Some(Value::Map(_))) => self.value(1, &schema, value),
            (_, Some(Value::List(items))) => {
                let of = if or == SchemaOr::Strings { &Shape::String } else { &schema };
                for item in items.iter().rev() {
                    self.value(2, of, Some(item));
                }
            }
            _ => {}
        }
    }
}
