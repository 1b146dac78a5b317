//! Upstream's protobuf: the message of an object in an envelope that names its kind
//! (k8s.io/apimachinery/pkg/runtime/serializer/protobuf; the messages as gogo-proto generates them).

mod decode;
mod encode;
mod source;
mod wire;

pub use encode::{LIST_END, before_item, encode, item, list_head};

use super::{DecodeError, Decoded, TypeMeta};
use crate::schema::TypeRef;
use crate::value::Value;
use wire::{Reader, Wire, Writer};

/// What every enveloped object begins with.
pub const MAGIC: &[u8; 4] = b"k8s\0";

/// An object in its envelope: upstream's `runtime.Unknown`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Envelope<'a> {
    /// The kind of the object.
    pub meta: TypeMeta,
    /// Its message, or what `content_type` says it is.
    pub raw: &'a [u8],
    /// How `raw` is compressed; empty if it is not.
    pub content_encoding: &'a str,
    /// What `raw` is, if it is no protobuf.
    pub content_type: &'a str,
}

/// Opens the envelope of a body.
pub fn open(body: &[u8]) -> Result<Envelope<'_>, DecodeError> {
    let Some(unknown) = body.strip_prefix(MAGIC) else {
        let why = "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]";
        return Err(DecodeError::Protobuf(why.to_owned()));
    };
    let mut envelope = Envelope::default();
    let mut reader = Reader::new(unknown);
    while let Some((number, wire)) = reader.field()? {
        match (number, wire) {
            (1, Wire::Bytes(meta)) => {
                let mut reader = Reader::new(meta);
                while let Some((number, wire)) = reader.field()? {
                    match (number, wire) {
                        (1, Wire::Bytes(text)) => envelope.meta.api_version = wire::text(text).into_owned(),
                        (2, Wire::Bytes(text)) => envelope.meta.kind = wire::text(text).into_owned(),
                        (1 | 2, _) => return Err(wire::wrong("wrong wireType")),
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(raw)) => envelope.raw = raw,
            (3, Wire::Bytes(text)) => envelope.content_encoding = std::str::from_utf8(text).unwrap_or("?"),
            (4, Wire::Bytes(text)) => envelope.content_type = std::str::from_utf8(text).unwrap_or("?"),
            (1..=4, _) => return Err(wire::wrong("wrong wireType")),
            _ => {}
        }
    }
    Ok(envelope)
}

/// Reads the kind that a body says it is.
pub fn type_meta(body: &[u8]) -> Result<TypeMeta, DecodeError> {
    open(body).map(|envelope| envelope.meta)
}

/// Decodes an enveloped object of a known type; its kind is the envelope's. Unknown fields are dropped. What the
/// envelope says of its content is not looked at, as upstream does not.
pub fn decode(body: &[u8], ty: TypeRef) -> Result<Decoded, DecodeError> {
    let envelope = open(body)?;
    let mut decoded = Decoded { draft: decode_message(envelope.raw, ty)?, warnings: Vec::new() };
    let TypeMeta { api_version, kind } = envelope.meta;
    for (field, text) in [("apiVersion", api_version), ("kind", kind)] {
        if !text.is_empty() && ty.field(field).is_some() {
            decoded.draft.set_at(&[field], text);
        }
    }
    Ok(decoded)
}

/// Decodes a bare message, without an envelope.
pub fn decode_message(message: &[u8], ty: TypeRef) -> Result<Value, DecodeError> {
    decode::message(message, ty)
}

/// Puts the message of an object in its envelope.
pub fn envelope(api_version: &str, kind: &str, message: &[u8]) -> Vec<u8> {
    let mut out = Writer::with_capacity(message.len() + api_version.len() + kind.len() + 32);
    out.bytes(4, b"");
    out.bytes(3, b"");
    out.bytes(2, message);
    open_with(&mut out, api_version, kind);
    out.finish()
}

/// What an envelope begins with.
fn open_with(out: &mut Writer, api_version: &str, kind: &str) {
    let end = out.len();
    out.bytes(2, kind.as_bytes());
    out.bytes(1, api_version.as_bytes());
    out.close(1, end);
    out.prepend(MAGIC);
}

/// The message of a watch event about an enveloped object; the 4-byte frame length is the server's.
pub fn watch_event(event: &str, object: &[u8]) -> Vec<u8> {
    let mut out = Writer::with_capacity(object.len() + event.len() + 24);
    out.bytes(1, object);
    out.close(2, 0);
    out.bytes(1, event.as_bytes());
    out.finish()
}

#[cfg(test)]
mod tests;
