//! Objects within objects: that they say what they are
//! (k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta).

use super::schema::Structural;
use crate::names;
use crate::status::Cause;
use crate::value::{Map, Value};

/// The faults of embedded objects.
pub fn check(schema: &Structural, object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    walk(schema, object, "", &mut causes);
    causes
}

fn walk(schema: &Structural, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    match value {
        Value::Map(map) => {
            if schema.embedded {
                type_meta(map, path, causes);
            }
            for (name, value) in map.iter() {
                let dot = if path.is_empty() { "" } else { "." };
                match (schema.property(name), schema.field(name)) {
                    (Some(of), _) => walk(of, value, &format!("{path}{dot}{name}"), causes),
                    (None, Some(of)) => walk(of, value, &format!("{path}[{name}]"), causes),
                    _ => {}
                }
            }
        }
        Value::List(list) => {
            let Some(of) = schema.items.as_deref() else { return };
            for (at, item) in list.iter().enumerate() {
                walk(of, item, &format!("{path}[{at}]"), causes);
            }
        }
        _ => {}
    }
}

fn type_meta(map: &Map, path: &str, causes: &mut Vec<Cause>) {
    let dot = if path.is_empty() { "" } else { "." };
    for field in ["apiVersion", "kind"] {
        let place = format!("{path}{dot}{field}");
        match map.get(field) {
            None => causes.push(Cause::required(place, "")),
            Some(value @ Value::String(text)) if text.is_empty() => {
                causes.push(Cause::invalid(place, value, "must not be empty"));
            }
            Some(value @ Value::String(text)) if field == "kind" => {
                let reasons = names::label_1035(&text.to_lowercase());
                if !reasons.is_empty() {
                    let why =
                        format!("may have mixed case, but should otherwise match: {}", reasons.join(","));
                    causes.push(Cause::invalid(place, value, &why));
                }
            }
            Some(value @ Value::String(text)) if text.matches('/').count() > 1 => {
                causes.push(Cause::invalid(place, value, &format!("unexpected GroupVersion string: {text}")));
            }
            Some(Value::String(_)) => {}
            Some(value) => causes.push(Cause::invalid(place, value, "must be a string")),
        }
    }
    let metadata = map.get("metadata").filter(|metadata| !metadata.is_null());
    if let Some(metadata) = metadata {
        let place = format!("{path}{dot}metadata");
        match metadata.get("name") {
            Some(value @ Value::String(name)) if !name.is_empty() => {
                let reasons = names::path_segment(name);
                causes.extend(reasons.iter().map(|why| Cause::invalid(format!("{place}.name"), value, why)));
            }
            _ => {}
        }
        for (key, value) in metadata.get("labels").and_then(Value::as_map).into_iter().flat_map(Map::iter) {
            let reasons = names::qualified_name(key).into_iter();
            let reasons = reasons.chain(names::label_value(value.as_str().unwrap_or_default()));
            causes.extend(
                reasons.map(|why| Cause::invalid(format!("{place}.labels"), &key.as_str().into(), &why)),
            );
        }
    }
}
