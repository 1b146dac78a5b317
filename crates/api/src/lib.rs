//! The types of the Kubernetes API: what every kind looks like, how it is written, and its rules.
//!
//! **Architecture Invariant:** no IO, no clock, no randomness, no tokio here. Everything is a function of its input.
//!
//! Two forms of an object, never mixed: [`value::Value`], the mutable tree ("draft") that decoding makes and that
//! defaulting, admission and patches change; and [`object::Object`], the immutable encoding that a commit makes.
#![forbid(unsafe_code)]

pub mod codec;
pub mod cron;
pub mod custom;
pub mod defaults;
pub mod encodings;
pub mod kinds;
pub mod managed;
pub mod meta;
pub mod names;
pub mod object;
pub mod patch;
pub mod quantity;
pub mod quota;
pub mod raw;
pub mod schema;
pub mod selector;
pub mod status;
pub mod value;

pub use encodings::Encodings;
pub use object::{Encoded, Object, Revision};
pub use status::{Cause, Status};
pub use value::{Map, Str, Value};
