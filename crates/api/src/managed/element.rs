//! The steps of a path, their order and their texts (sigs.k8s.io/structured-merge-diff, fieldpath.PathElement).

use std::cmp::Ordering;
use std::fmt;

use crate::codec::{FieldValidation, json, text};
use crate::patch::go_float;
use crate::value::{Str, Value};

/// One step of a path.
#[derive(Clone, Debug)]
pub enum Element {
    /// A field of a struct, or a key of a map: `f:name`.
    Field(Str),
    /// An item of a list, by its keys, sorted by name: `k:{"name":"web"}`.
    Key(Vec<(Str, Value)>),
    /// An item of a set: `v:"a"`.
    Item(Value),
    /// An item of a list, by its place: `i:0`.
    Index(i64),
}

/// A path as messages show it: `.spec.containers[name="web"].image`.
pub struct Shown<'p>(pub &'p [Element]);

// === impl Element ===

impl Element {
    /// From its form in managed fields. `None` for forms that a later version may know.
    pub(super) fn read(text: &str) -> Result<Option<Element>, String> {
        let Some((kind, rest)) = text.split_at_checked(2) else {
            return Err("key must be 2 characters long:".to_owned());
        };
        if !kind.ends_with(':') {
            return Err(format!("missing colon: {text}"));
        }
        let value = |text: &str| {
            let decoded = json::decode_any(text.as_bytes(), FieldValidation::Ignore);
            decoded.map(|decoded| decoded.draft).map_err(|error| error.to_string())
        };
        Ok(Some(match kind {
            "f:" => Element::Field(rest.into()),
            "v:" => Element::Item(value(rest)?),
            "k:" => match value(rest)? {
                Value::Map(map) => Element::Key(map.into_iter().collect()),
                _ => return Err(format!("no map of keys: {rest}")),
            },
            "i:" => Element::Index(rest.parse().map_err(|_| format!("no index: {rest}"))?),
            _ => return Ok(None),
        }))
    }

    /// The form in managed fields.
    pub(super) fn write(&self) -> Str {
        match self {
            Element::Field(name) => {
                let mut text = Str::with_capacity(2 + name.len());
                text.push_str("f:");
                text.push_str(name);
                text
            }
            Element::Key(keys) => {
                format!("k:{}", escaped(json_text(&Value::Map(keys.iter().cloned().collect())))).into()
            }
            Element::Item(value) => format!("v:{}", escaped(json_text(value))).into(),
            Element::Index(at) => format!("i:{at}").into(),
        }
    }
}

impl Ord for Element {
    fn cmp(&self, other: &Element) -> Ordering {
        match (self, other) {
            (Element::Field(a), Element::Field(b)) => a.cmp(b),
            (Element::Key(a), Element::Key(b)) => {
                let pairs = a.iter().zip(b).map(|(a, b)| a.0.cmp(&b.0).then_with(|| compare(&a.1, &b.1)));
                pairs.fold(Ordering::Equal, Ordering::then).then(a.len().cmp(&b.len()))
            }
            (Element::Item(a), Element::Item(b)) => compare(a, b),
            (Element::Index(a), Element::Index(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl Element {
    fn rank(&self) -> u8 {
        match self {
            Element::Field(_) => 0,
            Element::Key(_) => 1,
            Element::Item(_) => 2,
            Element::Index(_) => 3,
        }
    }
}

impl PartialOrd for Element {
    fn partial_cmp(&self, other: &Element) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Element {
    fn eq(&self, other: &Element) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Element {}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Element::Field(name) => write!(f, ".{name}"),
            Element::Key(keys) => {
                let pairs: Vec<String> =
                    keys.iter().map(|(key, value)| format!("{key}={}", shown(value))).collect();
                write!(f, "[{}]", pairs.join(","))
            }
            Element::Item(value) => write!(f, "[={}]", shown(value)),
            Element::Index(at) => write!(f, "[{at}]"),
        }
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.0.iter().try_for_each(|element| write!(f, "{element}"))
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(bool) => bool.to_string(),
        // Upstream reads all numbers in paths as floats.
        Value::Int(int) => go_float(*int as f64),
        Value::Float(float) => go_float(*float),
        Value::String(text) => text::quote(text),
        Value::List(list) => format!("[{}]", list.iter().map(shown).collect::<Vec<_>>().join(",")),
        Value::Map(map) => map.iter().map(|(key, value)| format!("{key}={}", shown(value))).collect(),
    }
}

/// Upstream writes these texts with another encoder than objects: it has no short escapes for backspace and form feed.
fn escaped(json: String) -> String {
    if !json.contains("\\b") && !json.contains("\\f") {
        return json;
    }
    let mut out = String::with_capacity(json.len() + 8);
    let mut letters = json.chars();
    while let Some(letter) = letters.next() {
        out.push(letter);
        if letter == '\\' {
            match letters.next() {
                Some('b') => out.push_str("u0008"),
                Some('f') => out.push_str("u000c"),
                other => out.extend(other),
            }
        }
    }
    out
}

fn json_text(value: &Value) -> String {
    let mut out = Vec::new();
    json::write_any(value, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// An order over all values. Numbers are compared as such, whatever their kind.
pub(super) fn compare(a: &Value, b: &Value) -> Ordering {
    let float = |value: &Value| match value {
        Value::Int(int) => Some(*int as f64),
        Value::Float(float) => Some(*float),
        _ => None,
    };
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => a.cmp(b),
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::List(a), Value::List(b)) => {
            let pairs = a.iter().zip(b).map(|(a, b)| compare(a, b));
            pairs.fold(Ordering::Equal, Ordering::then).then(a.len().cmp(&b.len()))
        }
        (Value::Map(a), Value::Map(b)) => {
            let pairs = a.iter().zip(b.iter()).map(|(a, b)| a.0.cmp(b.0).then_with(|| compare(a.1, b.1)));
            pairs.fold(Ordering::Equal, Ordering::then).then(a.len().cmp(&b.len()))
        }
        _ => match (float(a), float(b)) {
            (Some(a), Some(b)) => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
            _ => rank(a).cmp(&rank(b)),
        },
    }
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Int(_) | Value::Float(_) => 0,
        Value::String(_) => 1,
        Value::Bool(_) => 2,
        Value::List(_) => 3,
        Value::Map(_) => 4,
        Value::Null => 5,
    }
}

/// Whether two values are the same; numbers are compared as such, whatever their kind.
pub(super) fn equal(a: &Value, b: &Value) -> bool {
    compare(a, b) == Ordering::Equal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_written_as_they_are_read() {
        for text in [
            "f:name",
            r#"k:{"name":"web"}"#,
            r#"k:{"containerPort":80,"protocol":"TCP"}"#,
            r#"v:"a""#,
            "v:1",
            "i:3",
        ] {
            let element = Element::read(text).unwrap().unwrap();
            assert_eq!(element.write(), text);
        }
        assert_eq!(Element::read("x:1"), Ok(None));
        assert!(
            Element::read("name").is_err() && Element::read("k:[").is_err() && Element::read("f").is_err()
        );
    }

    #[test]
    fn paths_are_shown_as_upstream_does() {
        let path: Vec<Element> = ["f:spec", r#"k:{"a":1,"b":"x"}"#, r#"v:true"#, "v:1000000", "i:0"]
            .iter()
            .filter_map(|text| Element::read(text).unwrap())
            .collect();
        assert_eq!(Shown(&path).to_string(), r#".spec[a=1,b="x"][=true][=1e+06][0]"#);
    }
}
