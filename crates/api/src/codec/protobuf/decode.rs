//! Message to draft. The zero values that gogo-proto writes for absent fields are left out again.

use super::wire::{Reader, Wire, text, wrong};
use crate::codec::{DecodeError, FieldValidation, MAX_DEPTH, base64, json, time};
use crate::quantity::Quantity;
use crate::schema::{MemberOf, SchemaOr, Shape, Type, TypeId, TypeRef};
use crate::value::{Map, Str, Value};

type Read<T> = Result<T, DecodeError>;

/// Decodes a message of a known type.
pub(super) fn message(bytes: &[u8], ty: TypeRef) -> Read<Value> {
    Decoder { root: ty, depth: 0 }.object(ty.ty, bytes)
}

struct Decoder<'s> {
    root: TypeRef<'s>,
    depth: usize,
}

// === impl Decoder ===

impl<'s> Decoder<'s> {
    fn deeper(&mut self) -> Read<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err(DecodeError::Depth) } else { Ok(()) }
    }

    fn object(&mut self, ty: &'s Type, bytes: &[u8]) -> Read<Value> {
        self.deeper()?;
        let mut slots: Vec<Value> = vec![Value::Null; ty.fields.len()];
        self.members(ty, bytes, &mut slots)?;
        self.depth -= 1;
        let mut entries = Vec::new();
        for at in ty.sorted() {
            let (field, value) = (&ty.fields[at], std::mem::take(&mut slots[at]));
            if field.holds(&value) {
                entries.push((field.name.clone(), value));
            }
        }
        Ok(Value::Map(Map::from_entries(entries).0))
    }

    /// Reads the members of a message into the slots of its fields.
    fn members(&mut self, ty: &'s Type, bytes: &[u8], slots: &mut [Value]) -> Read<()> {
        let mut reader = Reader::new(bytes);
        while let Some((number, wire)) = reader.field()? {
            match ty.member(number) {
                None => {}
                Some(MemberOf::Inline { ty: id, offset }) => {
                    let embedded = self.root.schema.resolve(id).ty;
                    let from = offset as usize;
                    self.members(embedded, bytes_of(wire)?, &mut slots[from..from + embedded.fields.len()])?;
                }
                Some(MemberOf::Field(at)) => {
                    let at = at as usize;
                    self.field(&ty.fields[at].shape, wire, &mut slots[at])?;
                }
            }
        }
        Ok(())
    }

    fn field(&mut self, shape: &'s Shape, wire: Wire, slot: &mut Value) -> Read<()> {
        match shape {
            Shape::List(of) => {
                let packed = match (&**of, wire) {
                    (Shape::Bool | Shape::Int32 | Shape::Int64 | Shape::Float, Wire::Bytes(bytes)) => bytes,
                    _ => {
                        let item = self.value(of, wire)?;
                        slot.ensure_list().push(item);
                        return Ok(());
                    }
                };
                let mut reader = Reader::new(packed);
                while !reader.is_empty() {
                    let wire = match &**of {
                        Shape::Float => Wire::Fixed64(reader.fixed64()?),
                        _ => Wire::Varint(reader.varint()?),
                    };
                    let item = self.value(of, wire)?;
                    slot.ensure_list().push(item);
                }
            }
            Shape::Map(of) => {
                let (key, value) = self.entry(of, bytes_of(wire)?)?;
                slot.ensure_map().insert(key, value);
            }
            _ => *slot = self.value(shape, wire)?,
        }
        Ok(())
    }

    fn entry(&mut self, of: &'s Shape, bytes: &[u8]) -> Read<(Str, Value)> {
        let (mut key, mut value) = (Str::default(), None);
        let mut reader = Reader::new(bytes);
        while let Some((number, wire)) = reader.field()? {
            match number {
                1 => key = Str::from(text(bytes_of(wire)?)),
                2 => value = Some(self.value(of, wire)?),
                _ => {}
            }
        }
        let value = match (value, of) {
            (Some(value), _) => value,
            (None, Shape::Bool | Shape::Int32 | Shape::Int64) => self.value(of, Wire::Varint(0))?,
            (None, Shape::Float) => Value::Float(0.0),
            (None, _) => self.value(of, Wire::Bytes(b""))?,
        };
        Ok((key, value))
    }

    fn value(&mut self, shape: &'s Shape, wire: Wire) -> Read<Value> {
        match (shape, wire) {
            (Shape::Bool, Wire::Varint(n)) => return Ok(Value::Bool(n != 0)),
            (Shape::Int32, Wire::Varint(n)) => return Ok(Value::Int(i64::from(n as i32))),
            (Shape::Int64, Wire::Varint(n)) => return Ok(Value::Int(n as i64)),
            (Shape::Float, Wire::Fixed64(n)) => return Ok(Value::Float(f64::from_bits(n))),
            _ => {}
        }
        let bytes = bytes_of(wire)?;
        match shape {
            Shape::String => Ok(Value::String(Str::from(text(bytes)))),
            Shape::Bytes => Ok(base64::encode(bytes).into()),
            Shape::Time | Shape::MicroTime => instant(shape, bytes),
            Shape::Quantity => quantity(bytes),
            Shape::IntOrString => int_or_string(bytes),
            Shape::Raw | Shape::FieldsV1 | Shape::Json => raw(bytes),
            Shape::Struct(id) => self.object(self.root.schema.resolve(*id).ty, bytes),
            Shape::Wrapped(of) => {
                let mut list = Value::List(Vec::new());
                let mut reader = Reader::new(bytes);
                while let Some((number, wire)) = reader.field()? {
                    if number == 1 {
                        let item = self.value(of, wire)?;
                        list.ensure_list().push(item);
                    }
                }
                Ok(list)
            }
            Shape::SchemaOr(or, id) => self.schema_or(*or, *id, bytes),
            Shape::Any | Shape::List(_) | Shape::Map(_) => Ok(Value::Null),
            Shape::Bool | Shape::Int32 | Shape::Int64 | Shape::Float => Err(wrong("wrong wireType")),
        }
    }

    fn schema_or(&mut self, or: SchemaOr, id: TypeId, bytes: &[u8]) -> Read<Value> {
        let schema = self.root.schema.resolve(id).ty;
        let (mut allows, mut one, mut many) = (false, None, Vec::new());
        let mut reader = Reader::new(bytes);
        while let Some((number, wire)) = reader.field()? {
            match (or, number) {
                (SchemaOr::Bool, 1) => allows = matches!(wire, Wire::Varint(n) if n != 0),
                (SchemaOr::Bool, 2) | (_, 1) => one = Some(self.object(schema, bytes_of(wire)?)?),
                (SchemaOr::Array, 2) => many.push(self.object(schema, bytes_of(wire)?)?),
                (SchemaOr::Strings, 2) => many.push(Value::from(Str::from(text(bytes_of(wire)?)))),
                _ => {}
            }
        }
        Ok(match (or, one) {
            (_, Some(schema)) if many.is_empty() => schema,
            (SchemaOr::Bool, _) => Value::Bool(allows),
            _ if many.is_empty() => Value::Null,
            _ => Value::List(many),
        })
    }
}

fn bytes_of(wire: Wire<'_>) -> Read<&[u8]> {
    match wire {
        Wire::Bytes(bytes) => Ok(bytes),
        _ => Err(wrong("wrong wireType")),
    }
}

/// The zero time is an empty message, and null in a draft.
fn instant(shape: &Shape, bytes: &[u8]) -> Read<Value> {
    let mut instant = time::Instant { seconds: 0, nanos: 0 };
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.field()? {
        match (number, wire) {
            (1, Wire::Varint(n)) => instant.seconds = n as i64,
            (2, Wire::Varint(n)) => instant.nanos = u32::try_from(n).unwrap_or_default().min(999_999_999),
            _ => {}
        }
    }
    // Go's JSON can write the years 0 to 9999.
    if !(-62_167_219_200..253_402_300_800).contains(&instant.seconds) {
        return Err(wrong("year outside of range [0,9999]"));
    }
    Ok(match shape {
        Shape::Time => time::seconds_text(instant).into(),
        _ => time::micros_text(instant).into(),
    })
}

fn quantity(bytes: &[u8]) -> Read<Value> {
    let mut quantity = Value::from("0");
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.field()? {
        if number == 1 {
            let text = text(bytes_of(wire)?);
            let canonical =
                Quantity::canonical(&text).map_err(|error| DecodeError::Value(error.to_string()))?;
            quantity = Value::String(Str::from(canonical));
        }
    }
    Ok(quantity)
}

fn int_or_string(bytes: &[u8]) -> Read<Value> {
    let (mut is_text, mut int, mut string) = (false, 0, Str::default());
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.field()? {
        match (number, wire) {
            (1, Wire::Varint(n)) => is_text = n == 1,
            (2, Wire::Varint(n)) => int = i64::from(n as i32),
            (3, Wire::Bytes(bytes)) => string = Str::from(text(bytes)),
            _ => {}
        }
    }
    Ok(if is_text { string.into() } else { int.into() })
}

/// JSON within protobuf.
fn raw(bytes: &[u8]) -> Read<Value> {
    let mut value = Value::Null;
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.field()? {
        if let (1, Wire::Bytes(raw)) = (number, wire) {
            value = match raw {
                b"" => Value::Null,
                raw => json::decode_any(raw, FieldValidation::Ignore)?.draft,
            };
        }
    }
    Ok(value)
}
