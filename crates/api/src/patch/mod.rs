//! The patches: a change to a draft, in the forms that clients send.

pub mod json;
pub mod merge;
pub mod strategic;

use crate::codec::text;
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

/// A value as Go prints it with `%#v`.
pub(crate) fn go_sharp(value: &Value) -> String {
    match value {
        Value::Null => "interface {}(nil)".to_owned(),
        Value::String(text) => text::quote(text),
        Value::List(list) => {
            format!("[]interface {{}}{{{}}}", list.iter().map(go_sharp).collect::<Vec<_>>().join(", "))
        }
        Value::Map(map) => {
            let fields: Vec<String> =
                map.iter().map(|(key, value)| format!("{}:{}", text::quote(key), go_sharp(value))).collect();
            format!("map[string]interface {{}}{{{}}}", fields.join(", "))
        }
        scalar => go_value(scalar),
    }
}

/// A float as Go prints it with `%v`: from seven digits before the point on, and from five zeros behind it, with an exponent.
pub(crate) fn go_float(float: f64) -> String {
    let exponential = format!("{float:e}");
    let Some((digits, exponent)) = exponential.split_once('e') else { return exponential };
    match exponent.parse::<i32>() {
        Ok(at) if !(-4..=5).contains(&at) => {
            format!("{digits}e{}{:02}", if at < 0 { '-' } else { '+' }, at.unsigned_abs())
        }
        _ => format!("{float}"),
    }
}

/// What Go calls the type of a value in a tree.
pub fn go_type(value: &Value) -> &'static str {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_shown_as_go_does() {
        let table = [
            (80.0, "80"),
            (999_999.0, "999999"),
            (1e6, "1e+06"),
            (-2_147_483_648.0, "-2.147483648e+09"),
            (1e22, "1e+22"),
            (0.5, "0.5"),
            (0.0001, "0.0001"),
            (1.5e-7, "1.5e-07"),
            (100.25, "100.25"),
        ];
        for (float, shown) in table {
            assert_eq!(go_float(float), shown);
        }
    }
}
