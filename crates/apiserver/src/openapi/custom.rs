//! Schemas of custom resources in OpenAPI: as their definitions write them, with what every object has
//! (k8s.io/apiextensions-apiserver/pkg/controller/openapi/builder). Version 2 cannot say all of it.

use decapod_api::Value;
use decapod_api::meta::GroupVersionKind;
use serde_json::{Map, Value as Json, json};

use super::schemas::Dialect;

const PRESERVES: &str = "x-kubernetes-preserve-unknown-fields";
const EMBEDDED: &str = "x-kubernetes-embedded-resource";
const INT_OR_STRING: &str = "x-kubernetes-int-or-string";

/// What every object has: references and properties of the document that the schema is part of.
pub struct Common {
    /// Its `metadata`.
    pub metadata: Json,
    /// The metadata of a list.
    pub list_metadata: Json,
    /// `apiVersion`.
    pub api_version: Json,
    /// `kind`.
    pub kind: Json,
}

/// The name of the schema of a kind: `com.example.stable.v1.CronTab`.
pub fn name(kind: &GroupVersionKind) -> String {
    let group: Vec<&str> = kind.group.rsplit('.').collect();
    format!("{}.{}.{}", group.join("."), kind.version, kind.kind)
}

/// The schema of a kind, as its definition writes it.
pub fn object(kind: &GroupVersionKind, written: &Value, dialect: Dialect, common: &Common) -> Json {
    let mut schema = serde_json::to_value(written).unwrap_or_default();
    let preserves = schema.get(PRESERVES) == Some(&Json::Bool(true));
    if dialect == Dialect::V2 && preserves || !schema.is_object() {
        // Whatever were said besides, kubectl would take for all there is.
        schema = json!({"type": "object"});
    } else {
        convert(&mut schema, dialect, common);
        let properties = field(&mut schema, "properties");
        properties.insert("metadata".to_owned(), common.metadata.clone());
        properties.insert("apiVersion".to_owned(), common.api_version.clone());
        properties.insert("kind".to_owned(), common.kind.clone());
    }
    schema["x-kubernetes-group-version-kind"] = group_version_kind(kind, &kind.kind);
    schema
}

/// The schema of lists of a kind.
pub fn list(kind: &GroupVersionKind, list_kind: &str, plural: &str, item: Json, common: &Common) -> Json {
    let about = "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md";
    json!({
        "type": "object", "description": format!("{list_kind} is a list of {}", kind.kind), "required": ["items"],
        "properties": {
            "items": {"type": "array", "items": item, "description": format!("List of {plural}. More info: {about}")},
            "metadata": common.list_metadata, "apiVersion": common.api_version, "kind": common.kind,
        },
        "x-kubernetes-group-version-kind": group_version_kind(kind, list_kind),
    })
}

fn group_version_kind(kind: &GroupVersionKind, name: &str) -> Json {
    json!([{"group": kind.group, "version": kind.version, "kind": name}])
}

fn field<'j>(json: &'j mut Json, name: &str) -> &'j mut Map<String, Json> {
    if !json[name].is_object() {
        json[name] = json!({});
    }
    json[name].as_object_mut().expect("it was made one above")
}

fn convert(schema: &mut Json, dialect: Dialect, common: &Common) {
    let is = |schema: &Json, name: &str| schema.get(name) == Some(&Json::Bool(true));
    if is(schema, INT_OR_STRING) {
        int_or_string(schema);
    }
    if dialect == Dialect::V2 {
        simplify(schema);
    }
    if let Some(properties) = schema.get_mut("properties").and_then(Json::as_object_mut) {
        properties.values_mut().for_each(|of| convert(of, dialect, common));
    }
    for inner in ["items", "additionalProperties"] {
        if let Some(of) = schema.get_mut(inner).filter(|of| of.is_object()) {
            convert(of, dialect, common);
        }
    }
    // What preserves unknown fields must not look complete.
    if is(schema, EMBEDDED) && !(dialect == Dialect::V2 && is(schema, PRESERVES)) {
        let properties = field(schema, "properties");
        properties.insert("metadata".to_owned(), common.metadata.clone());
        properties.insert("apiVersion".to_owned(), common.api_version.clone());
        properties.insert("kind".to_owned(), common.kind.clone());
        let mut required = schema["required"].as_array().cloned().unwrap_or_default();
        for name in ["kind", "apiVersion"] {
            if !required.iter().any(|known| known == name) {
                required.push(name.into());
            }
        }
        schema["required"] = required.into();
    }
}

/// Says the two types of an integer or text.
fn int_or_string(schema: &mut Json) {
    let either = json!([{"type": "integer"}, {"type": "string"}]);
    let said = schema["allOf"].get(0).and_then(|first| first.get("anyOf")) == Some(&either);
    if schema.get("allOf") == Some(&Json::Null) {
        remove(schema, &["allOf"]);
    }
    match schema.get("anyOf") {
        _ if said => {}
        Some(any) if *any == either => {}
        None | Some(Json::Null) => schema["anyOf"] = either,
        Some(_) => {
            let mut all = schema["allOf"].as_array().cloned().unwrap_or_default();
            all.insert(0, json!({"anyOf": either}));
            schema["allOf"] = all.into();
        }
    }
}

fn remove(schema: &mut Json, names: &[&str]) {
    if let Some(map) = schema.as_object_mut() {
        names.iter().for_each(|name| drop(map.remove(*name)));
    }
}

/// Leaves out what version 2 has no words for, or kubectl no understanding.
fn simplify(schema: &mut Json) {
    let is = |schema: &Json, name: &str| schema.get(name) == Some(&Json::Bool(true));
    remove(schema, &["allOf", "oneOf", "anyOf", "not"]);
    let preserves = is(schema, PRESERVES);
    if is(schema, "nullable") {
        remove(schema, &["type", "nullable", "items", "properties"]);
    }
    if preserves {
        remove(schema, &["items", "properties"]);
    }
    let kind = schema.get("type").and_then(Json::as_str).unwrap_or_default().to_owned();
    if kind == "array" && schema.get("items").is_none() || kind == "object" && preserves {
        remove(schema, &["type"]);
    }
    // Null would not count as being there.
    let nullable: Vec<String> = schema
        .get("properties")
        .and_then(Json::as_object)
        .into_iter()
        .flatten()
        .filter(|(_, of)| is(of, "nullable"))
        .map(|(name, _)| name.clone())
        .collect();
    let values_are = schema.get("additionalProperties").is_some_and(|of| is(of, "nullable"));
    if let Some(required) = schema.get_mut("required").and_then(Json::as_array_mut) {
        required.retain(|name| !values_are && !nullable.iter().any(|null| name == null));
        if required.is_empty() {
            remove(schema, &["required"]);
        }
    }
}
