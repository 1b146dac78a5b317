//! What is found wrong with a value, and as which cause clients are told.

use crate::status::Cause;
use crate::value::Value;

/// What was found: the faults, and how many checks were passed, by which alternatives are ranked.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    pub faults: Vec<Fault>,
    pub matches: usize,
}

/// One fault.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fault {
    how: How,
    /// Where, as upstream's validators name it; nothing for faults of alternatives, which upstream places nowhere.
    path: Option<String>,
    message: String,
    value: Value,
}

#[derive(Clone, Debug, PartialEq)]
enum How {
    Required,
    NotSupported(Vec<Value>),
    TooLong(i64),
    TooMany(i64, i64),
    Type,
    Other,
}

// === impl Found ===

impl Found {
    /// Adds what else was found; what was said is not said again.
    pub fn merge(&mut self, other: Found) {
        for fault in other.faults {
            if !self.faults.contains(&fault) {
                self.faults.push(fault);
            }
        }
        self.matches += other.matches;
    }
}

// === impl Fault ===

impl Fault {
    fn new(how: How, message: String, path: &str, value: Value) -> Fault {
        Fault { how, path: Some(path.to_owned()), message, value }
    }

    /// It is of another type.
    pub fn kind(message: String, path: String, value: Value) -> Fault {
        Fault::new(How::Type, message, &path, value)
    }

    /// It has to be there.
    pub fn required(path: String) -> Fault {
        Fault::new(How::Required, String::new(), &path, Value::Null)
    }

    /// It is none of the values allowed.
    pub fn value(path: String, value: Value, allowed: &[Value]) -> Fault {
        Fault::new(How::NotSupported(allowed.to_vec()), String::new(), &path, value)
    }

    /// It has more characters than it may.
    pub fn too_long(message: String, path: &str, most: i64) -> Fault {
        Fault::new(How::TooLong(most), message, path, Value::Null)
    }

    /// It has more items or fields than it may.
    pub fn too_many(message: String, path: &str, actual: i64, most: i64) -> Fault {
        Fault::new(How::TooMany(actual, most), message, path, Value::Null)
    }

    /// Anything else.
    pub fn other(message: String, path: &str, value: Value) -> Fault {
        Fault::new(How::Other, message, path, value)
    }

    /// What concerns alternatives as a whole.
    pub fn composite(message: String) -> Fault {
        Fault { how: How::Other, path: None, message, value: "".into() }
    }

    /// As clients are told, of an object of which `prefix` was looked at.
    pub fn cause(self, prefix: &str) -> Cause {
        let nowhere = || if prefix.is_empty() { "<nil>".to_owned() } else { prefix.to_owned() };
        let field = match self.path.as_deref().map(|path| path.strip_prefix('.').unwrap_or(path)) {
            None | Some("") => nowhere(),
            Some(path) if prefix.is_empty() => path.to_owned(),
            Some(path) => format!("{prefix}.{path}"),
        };
        match self.how {
            How::Required => Cause::required(field, ""),
            How::NotSupported(allowed) => not_supported(field, &self.value, &allowed),
            How::TooLong(most) => Cause::too_long(field, usize::try_from(most).unwrap_or(0)),
            How::TooMany(actual, most) => Cause::too_many(
                field,
                usize::try_from(actual).unwrap_or(0),
                usize::try_from(most).unwrap_or(0),
            ),
            How::Type => Cause::type_invalid(field, &self.value, &self.message),
            How::Other => Cause::invalid(field, &self.value, &self.message),
        }
    }
}

fn not_supported(field: String, value: &Value, allowed: &[Value]) -> Cause {
    let shown = |value: &Value| match value {
        Value::String(text) => text.to_string(),
        other => serde_json::to_string(other).unwrap_or_default(),
    };
    let allowed: Vec<String> = allowed.iter().map(shown).collect();
    let allowed: Vec<&str> = allowed.iter().map(String::as_str).collect();
    match value {
        Value::String(text) => Cause::not_supported(field, text, &allowed),
        other => Cause::not_supported_value(field, other, &allowed),
    }
}
