//! ConfigMap: plain data (k8s.io/kubernetes/pkg/registry/core/configmap).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::Cause;
use crate::kinds::strategies::checks;
use crate::kinds::strategies::rules::{Causes, Place, equal};
use crate::kinds::strategy::{Strategy, Verb};
use crate::value::Value;

/// The most bytes that a ConfigMap or a Secret holds.
const BYTES_MAX: usize = 1024 * 1024;

/// ConfigMap: plain data.
pub struct ConfigMap;

impl Strategy for ConfigMap {
    fn validate(&self, new: &Value, old: Option<&Value>, _verb: Verb) -> Vec<Cause> {
        let (map, mut out) = (Place::root(new), Vec::new());
        if let Some(old) = old {
            frozen(&map, old, &["data", "binaryData"], &mut out);
        }
        let (texts, bytes) = (map.field("data"), map.field("binaryData"));
        let mut size = 0;
        for (key, text) in texts.entries() {
            key_of(&text, key, &mut out);
            if bytes.key(key).is_set() {
                out.push(text.invalid_as(key, "duplicate of key present in binaryData"));
            }
            size += text.text().len();
        }
        for (key, data) in bytes.entries() {
            key_of(&data, key, &mut out);
            size += decoded_len(data.text());
        }
        if size > BYTES_MAX {
            out.push(Cause::too_long("[]", BYTES_MAX));
        }
        out
    }
}

/// A key, which is blamed by itself.
pub(super) fn key_of(place: &Place, key: &str, out: &mut Causes) {
    out.extend(checks::config_key(key).iter().map(|why| place.invalid_as(key, why)));
}

/// How many bytes a base64 text stands for.
fn decoded_len(text: &str) -> usize {
    text.len() / 4 * 3 - text.bytes().rev().take_while(|b| *b == b'=').count().min(2)
}

/// Whether data and size of a secret are sound.
pub(super) fn secret_data(data: &Place, out: &mut Causes) {
    let mut size = 0;
    for (key, value) in data.entries() {
        key_of(&value, key, out);
        size += decoded_len(value.text());
    }
    if size > BYTES_MAX {
        out.push(Cause::too_long(data.path(), BYTES_MAX));
    }
}

/// The bytes of a value of a secret.
pub(super) fn decoded(value: &Place) -> Vec<u8> {
    STANDARD.decode(value.text()).unwrap_or_default()
}

/// Once `immutable`, it and `fields` stay as they are.
pub(super) fn frozen(object: &Place, old: &Value, fields: &[&str], out: &mut Causes) {
    const DETAIL: &str = "field is immutable when `immutable` is set";
    if old.get("immutable") != Some(&Value::Bool(true)) {
        return;
    }
    if !object.field("immutable").is_true() {
        out.push(object.field("immutable").forbidden(DETAIL));
    }
    for field in fields {
        if !equal(object.field(field).value, old.get(field).unwrap_or(&Value::Null)) {
            out.push(object.field(field).forbidden(DETAIL));
        }
    }
}
