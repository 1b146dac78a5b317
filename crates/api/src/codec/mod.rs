//! Encodings of objects: JSON, YAML and protobuf, all driven by the [`schema`](crate::schema).
//!
//! Every decoder makes the same draft of the same object, and leaves out of it what Go's `omitempty` would leave out:
//! an absent field, a null and the zero value of a field that is no pointer are one.

mod base64;
pub mod json;
pub mod protobuf;
mod scan;
mod slots;
pub(crate) mod text;
pub mod time;
pub mod yaml;

pub(crate) use slots::slotted;
pub use text::quote;

use crate::status::Status;
use crate::value::Value;

/// The media type of JSON.
pub const JSON: &str = "application/json";
/// The media type of YAML.
pub const YAML: &str = "application/yaml";
/// The media type of upstream's protobuf envelope.
pub const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// How deep a body may nest. Go's decoder stops at 10,000; ours has a smaller stack.
pub const MAX_DEPTH: usize = 250;

/// What to do about unknown and duplicate fields, as the query parameter `fieldValidation` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldValidation {
    /// Drop them silently.
    Ignore,
    /// Drop them and report them in [`Decoded::warnings`].
    Warn,
    /// Refuse the body: [`DecodeError::Strict`].
    Strict,
}

/// A decoded body.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// The object.
    pub draft: Value,
    /// Such as `unknown field "spec.foo"`; empty unless [`FieldValidation::Warn`] asked for them.
    pub warnings: Vec<String>,
}

/// The kind that a body says it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TypeMeta {
    /// `apiVersion`.
    pub api_version: String,
    /// `kind`.
    pub kind: String,
}

/// Why a body could not be decoded; shown as a 400, in the words of Go's decoders.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// No JSON.
    #[error("{0}")]
    Syntax(String),
    /// A value of the wrong type.
    #[error("json: cannot unmarshal {value} into Go {place} of type {want}")]
    Type {
        /// What was found, such as `string` or `number 1.5`.
        value: String,
        /// Where, such as `struct field PodSpec.spec.containers`.
        place: String,
        /// What was wanted, such as `int32`.
        want: String,
    },
    /// A text that is no time, no quantity, no base64.
    #[error("{0}")]
    Value(String),
    /// Unknown or duplicate fields under [`FieldValidation::Strict`].
    #[error("strict decoding error: {}", .0.join(", "))]
    Strict(Vec<String>),
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("exceeded max depth")]
    Depth,
    /// No YAML, or one that unfolds to more than is sensible.
    #[error("error converting YAML to JSON: yaml: {0}")]
    Yaml(String),
    /// No protobuf, or not in upstream's envelope.
    #[error("proto: {0}")]
    Protobuf(String),
}

// === impl DecodeError ===

impl DecodeError {
    /// The 400 that upstream answers when a body of this kind cannot be read
    /// (k8s.io/apiserver/pkg/endpoints/handlers, transformDecodeError).
    pub fn status(&self, kind: &str, version: &str) -> Status {
        Status::bad_request(format!("{kind} in version \"{version}\" cannot be handled as a {kind}: {self}"))
    }
}

fn finish(draft: Value, reported: Vec<String>, validation: FieldValidation) -> Result<Decoded, DecodeError> {
    match validation {
        FieldValidation::Strict if !reported.is_empty() => Err(DecodeError::Strict(reported)),
        _ => Ok(Decoded { draft, warnings: reported }),
    }
}
