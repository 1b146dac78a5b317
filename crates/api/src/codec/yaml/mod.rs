//! YAML, by way of JSON, as upstream does it (sigs.k8s.io/yaml).

mod duplicates;
mod write;

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::json::{self, write_any, write_text};
use super::{DecodeError, Decoded, FieldValidation, MAX_DEPTH, TypeMeta};
use crate::schema::TypeRef;
use crate::value::Value;

/// What a document may unfold to: aliases can make a small text very large.
const MAX_UNFOLDED_BYTES: usize = 16 << 20;

/// Decodes an object of a known type.
pub fn decode(body: &[u8], ty: TypeRef, validation: FieldValidation) -> Result<Decoded, DecodeError> {
    json::decode(&to_json(body)?, ty, validation).map(|decoded| in_lines(decoded, body))
}

/// Decodes any YAML, without a schema; duplicate keys are reported.
pub fn decode_any(body: &[u8], validation: FieldValidation) -> Result<Decoded, DecodeError> {
    json::decode_any(&to_json(body)?, validation).map(|decoded| in_lines(decoded, body))
}

/// With duplicate keys told of by their lines, as upstream does it for YAML.
fn in_lines(mut decoded: Decoded, body: &[u8]) -> Decoded {
    let is_duplicate = |warning: &String| warning.starts_with("duplicate field ");
    if decoded.warnings.iter().any(is_duplicate)
        && let Some(told) = duplicates::told(body)
    {
        decoded.warnings.retain(|warning| !is_duplicate(warning));
        decoded.warnings.insert(0, told);
    }
    decoded
}

/// Reads the kind that a body says it is.
pub fn type_meta(body: &[u8]) -> Result<TypeMeta, DecodeError> {
    json::type_meta(&to_json(body)?)
}

/// The same document as JSON, duplicate keys kept.
pub fn to_json(body: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut out = Vec::with_capacity(body.len());
    Node { out: &mut out, depth: 0 }
        .deserialize(serde_norway::Deserializer::from_slice(body))
        .map_err(|error| DecodeError::Yaml(error.to_string()))?;
    Ok(out)
}

/// YAML from JSON, keys sorted.
pub fn from_json(json: &[u8]) -> Result<String, DecodeError> {
    encode(&json::decode_any(json, FieldValidation::Ignore)?.draft)
}

/// YAML from a value, keys sorted.
pub fn encode(value: &Value) -> Result<String, DecodeError> {
    let mut out = String::with_capacity(1024);
    write::block(value, 0, &mut out);
    Ok(out)
}

/// Writes a YAML node as JSON while it is read.
struct Node<'o> {
    out: &'o mut Vec<u8>,
    depth: usize,
}

/// The same of a key, which JSON wants to be a text.
struct Key<'o>(&'o mut Vec<u8>);

// === impl Node ===

impl Node<'_> {
    fn inner(&mut self) -> Node<'_> {
        Node { out: self.out, depth: self.depth + 1 }
    }

    fn check<E: serde::de::Error>(&self) -> Result<(), E> {
        if self.out.len() > MAX_UNFOLDED_BYTES {
            return Err(E::custom("document contains excessive aliasing"));
        }
        if self.depth > MAX_DEPTH {
            return Err(E::custom("exceeded max depth"));
        }
        Ok(())
    }

    fn scalar<E: serde::de::Error>(self, value: &Value) -> Result<(), E> {
        self.check()?;
        write_any(value, self.out);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("any YAML value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.scalar(&Value::Null)
    }

    /// A document without anything.
    fn visit_none<E: serde::de::Error>(self) -> Result<(), E> {
        self.scalar(&Value::Null)
    }

    fn visit_bool<E: serde::de::Error>(self, bool: bool) -> Result<(), E> {
        self.scalar(&Value::Bool(bool))
    }

    fn visit_i64<E: serde::de::Error>(self, int: i64) -> Result<(), E> {
        self.scalar(&Value::Int(int))
    }

    fn visit_u64<E: serde::de::Error>(self, int: u64) -> Result<(), E> {
        self.scalar(&i64::try_from(int).map_or(Value::Float(int as f64), Value::Int))
    }

    fn visit_f64<E: serde::de::Error>(self, float: f64) -> Result<(), E> {
        if !float.is_finite() {
            return Err(E::custom(format!("json: unsupported value: {float}")));
        }
        self.scalar(&Value::Float(float))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        self.check()?;
        write_text(text, self.out);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        self.check()?;
        self.out.push(b'[');
        while seq.next_element_seed(self.inner())?.is_some() {
            self.out.push(b',');
        }
        close(self.out, b']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        self.check()?;
        self.out.push(b'{');
        while map.next_key_seed(Key(self.out))?.is_some() {
            self.out.push(b':');
            map.next_value_seed(self.inner())?;
            self.out.push(b',');
        }
        close(self.out, b'}');
        Ok(())
    }
}

/// Ends a list or map, in place of the comma after its last item.
fn close(out: &mut Vec<u8>, bracket: u8) {
    if out.last() == Some(&b',') {
        out.pop();
    }
    out.push(bracket);
}

// === impl Key ===

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Key<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a scalar key")
    }

    fn visit_bool<E: serde::de::Error>(self, bool: bool) -> Result<(), E> {
        write_text(if bool { "true" } else { "false" }, self.0);
        Ok(())
    }

    fn visit_i64<E: serde::de::Error>(self, int: i64) -> Result<(), E> {
        write_text(itoa::Buffer::new().format(int), self.0);
        Ok(())
    }

    fn visit_u64<E: serde::de::Error>(self, int: u64) -> Result<(), E> {
        write_text(itoa::Buffer::new().format(int), self.0);
        Ok(())
    }

    fn visit_f64<E: serde::de::Error>(self, float: f64) -> Result<(), E> {
        let mut text = Vec::new();
        write_any(&Value::Float(float), &mut text);
        write_text(&String::from_utf8_lossy(&text), self.0);
        Ok(())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        write_text(text, self.0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Schema;

    #[test]
    fn documents_become_drafts() {
        let pod = Schema::builtin().named("io.k8s.api.core.v1.Pod").unwrap();
        let text = b"apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  labels: {x: \"1\"}\nspec:\n  containers:\n  - name: c\n    ports: [{containerPort: 80}]\n";
        let decoded = decode(text, pod, FieldValidation::Strict).unwrap();
        assert_eq!(decoded.draft.str_at(&["metadata", "labels", "x"]), Some("1"));
        let again = decode(encode(&decoded.draft).unwrap().as_bytes(), pod, FieldValidation::Strict).unwrap();
        assert_eq!(again.draft, decoded.draft);
        assert_eq!(type_meta(text).unwrap(), TypeMeta { api_version: "v1".into(), kind: "Pod".into() });
    }

    #[test]
    fn duplicate_and_odd_keys_are_kept() {
        assert_eq!(
            to_json(b"{a: 1, a: 2, 3: [], true: {}, 1.5: ~}").unwrap(),
            br#"{"a":1,"a":2,"3":[],"true":{},"1.5":null}"#
        );
        let decoded = decode_any(b"{a: {b: 1, b: 2}}", FieldValidation::Warn).unwrap();
        assert_eq!(decoded.warnings, ["yaml: unmarshal errors:\n  line 1: key \"b\" already set in map"]);
    }

    #[test]
    fn what_other_readers_take_for_something_else_is_quoted() {
        let value = crate::value!({
            "a": "n", "b": "Yes", "c": "1", "d": "0x1", "e": "~", "f": "", "g": "a: b", "h": "- x", "i": "1:30",
            "j": " a", "k": "a\n\u{7f}\u{85}é😀", "l": [], "m": {}, "n": [[1, {"y": 2, "z": [3]}], "-"], "o": null, "p": "=",
            "q": "web.example-1/x", "r": ".5", "s": "1e3", "t": -0.5, "u": "a #b", "v": "2026-01-02", "w": "10Mi",
        });
        let text = encode(&value).unwrap();
        assert_eq!(decode_any(text.as_bytes(), FieldValidation::Strict).unwrap().draft, value, "{text}");
        for line in [
            r#"a: "n""#,
            r#"b: "Yes""#,
            r#"i: "1:30""#,
            "q: web.example-1/x",
            r#"r: ".5""#,
            r#""n":"#,
            r#"w: 10Mi"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }

    #[test]
    fn alias_bombs_are_refused() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let inner = format!("*a{}, ", level - 1).repeat(10);
            bomb += &format!("a{level}: &a{level} [{inner}]\n");
        }
        assert!(matches!(to_json(bomb.as_bytes()), Err(DecodeError::Yaml(_))));
        assert!(to_json(b"a: [").is_err());
    }
}
