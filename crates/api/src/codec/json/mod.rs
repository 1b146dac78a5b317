//! JSON, as Go's encoder writes it and sigs.k8s.io/json reads it: field names match by case, the first error ends it.

mod decode;
mod encode;
mod path;
mod reader;
mod writer;

pub use decode::{check, decode, decode_any, type_meta};
pub use encode::{encode, to_bytes, write};
pub use writer::{write_any, write_text};

use super::{DecodeError, Decoded, FieldValidation};
use crate::schema::TypeRef;
use crate::value::Value;

/// Checks a draft that was changed without a schema, by a patch or a webhook: the same as sending it as a body.
pub fn conform(draft: &Value, ty: TypeRef, validation: FieldValidation) -> Result<Decoded, DecodeError> {
    let mut body = Vec::with_capacity(1024);
    write_any(draft, &mut body);
    decode(&body, ty, validation)
}

#[cfg(test)]
mod tests;
