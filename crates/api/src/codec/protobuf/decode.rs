//! Message to draft. The zero values that gogo-proto writes for absent fields are left out again.

use super::wire::{Reader, Wire, text, wrong};
use crate::codec::{DecodeError, FieldValidation, MAX_DEPTH, base64, json, time};
use crate::quantity::Quantity;
use crate::schema::{MemberOf, SchemaOr, Shape, Type, TypeId, TypeRef};
use crate::value::{Map, Str, Value};

type Read<T> = Result<T, DecodeError>;

/// Decodes a message of a known type.
pub(super) fn message(bytes: &[u8], ty: TypeRef) -> Read<Value> {
    Decoder { root: ty, depth: 0 }.object(ty.ty, bytes, Value::Null)
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

    /// A message; what an earlier message of the same field said is kept where this one is silent.
    fn object(&mut self, ty: &'s Type, bytes: &[u8], earlier: Value) -> Read<Value> {
        self.deeper()?;
        let mut slots: Vec<Value> = vec![Value::Null; ty.fields.len()];
        if let Value::Map(earlier) = earlier {
            for (name, value) in earlier {
                ty.index_of(&name).into_iter().for_each(|at| slots[at] = value.clone());
            }
        }
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
            Shape::Struct(id) if !slot.is_null() => {
                let ty = self.root.schema.resolve(*id).ty;
                *slot = self.object(ty, bytes_of(wire)?, std::mem::take(slot))?;
            }
            _ => *slot = self.value(shape, wire)?,
        }
        Ok(())
    }

    fn entry(&mut self, of: &'s Shape, bytes: &[u8]) -> Read<(Str, Value)> {
        let (mut key, mut value) = (Str::default(), None);
        let mut reader = Reader::new(bytes);
        while !reader.is_empty() {
            // Of entries, gogo-proto's code looks at the numbers only; it takes the wire types for right.
            let tag = reader.varint()?;
            let wire = match (tag >> 3, of) {
                (1, _) => 2,
                (2, Shape::Bool | Shape::Int32 | Shape::Int64) => 0,
                (2, Shape::Float) => 1,
                (2, _) => 2,
                _ => tag & 7,
            };
            let wire = reader.value(wire)?;
            match tag >> 3 {
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
            Shape::Struct(id) => self.object(self.root.schema.resolve(*id).ty, bytes, Value::Null),
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
                (SchemaOr::Bool, 1) => match wire {
                    Wire::Varint(n) => allows = n != 0,
                    _ => return Err(wrong("wrong wireType")),
                },
                (SchemaOr::Bool, 2) | (_, 1) => {
                    one = Some(self.object(schema, bytes_of(wire)?, Value::Null)?)
                }
                (SchemaOr::Array, 2) => many.push(self.object(schema, bytes_of(wire)?, Value::Null)?),
                (SchemaOr::Strings, 2) => many.push(Value::from(Str::from(text(bytes_of(wire)?)))),
                _ => {}
            }
        }
        Ok(match (or, one) {
            (_, Some(schema)) if many.is_empty() => schema,
            (SchemaOr::Bool, _) => Value::Bool(allows),
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

/// The zero time is an empty message.
fn instant(shape: &Shape, bytes: &[u8]) -> Read<Value> {
    let mut instant = time::Instant { seconds: 0, nanos: 0 };
    if bytes.is_empty() {
        instant.seconds = time::ZERO_SECONDS;
    }
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.field()? {
        match (number, wire) {
            (1, Wire::Varint(n)) => instant.seconds = n as i64,
            (2, Wire::Varint(n)) => instant.nanos = u32::try_from(n).unwrap_or_default().min(999_999_999),
            (1 | 2, _) => return Err(wrong("wrong wireType")),
            _ => {}
        }
    }
    if !instant.is_writable() {
        return Err(DecodeError::Value(time::UNWRITABLE.to_owned()));
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
            (1..=3, _) => return Err(wrong("wrong wireType")),
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
        if number == 1 {
            value = match bytes_of(wire)? {
                b"" => Value::Null,
                raw => json::decode_any(raw, FieldValidation::Ignore)?.draft,
            };
        }
    }
    Ok(value)
}
