//! The patches: a change to a draft, in the forms that clients send.

pub mod json;
pub mod merge;
pub mod strategic;

use crate::codec::json as json_codec;
use crate::status::Status;
use crate::value::{Map, Value};

/// Why a patch does not fit its object, in upstream's words.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(crate) enum Refused {
    /// A directive without its form.
    #[error("invalid patch format of {0}")]
    Format(&'static str),
    /// A list of lists where lists are merged.
    #[error("lists of lists are not supported")]
    ListOfLists,
    /// Anything else.
    #[error("{0}")]
    Unfit(String),
}

impl From<Refused> for Status {
    fn from(refused: Refused) -> Status {
        match refused {
            Refused::Format(_) => Status::bad_request(refused.to_string()),
            _ => unprocessable(refused.to_string()),
        }
    }
}

/// 422: a patch that does not fit.
fn unprocessable(why: String) -> Status {
    let mut status = Status::bad_request(why);
    status.code = 422;
    status.reason = "Invalid".into();
    status
}

/// A map as Go prints it: `map[a:1 b:[x y]]`.
fn go_map(map: &Map) -> String {
    let fields: Vec<String> = map.iter().map(|(key, value)| format!("{key}:{}", go_value(value))).collect();
    format!("map[{}]", fields.join(" "))
}

/// A value as Go prints it with `%v`.
pub fn go_value(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::Bool(bool) => bool.to_string(),
        Value::Int(int) => int.to_string(),
        Value::Float(float) => go_float(*float),
        Value::String(text) => text.to_string(),
        Value::List(list) => format!("[{}]", list.iter().map(go_value).collect::<Vec<_>>().join(" ")),
        Value::Map(map) => go_map(map),
    }
}

/// Go's shortest form of a float: exponents from 21 digits on.
fn go_float(float: f64) -> String {
    let mut out = Vec::new();
    json_codec::write_any(&Value::Float(float), &mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// What Go calls the type of a value in a tree.
pub(crate) fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "%!s(<nil>)",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int64",
        Value::Float(_) => "float64",
        Value::String(_) => "string",
        Value::List(_) => "[]interface {}",
        Value::Map(_) => "map[string]interface {}",
    }
}
