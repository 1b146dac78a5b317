//! Several documents of OpenAPI 2 as one (k8s.io/kube-openapi/pkg/aggregator).

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

const DEFINITIONS: &str = "#/definitions/";

/// What a document says of the paths below `prefix`, and the definitions that it takes to say it (upstream's
/// `FilterSpecByPaths`).
pub fn filtered(document: &Json, prefix: &str) -> Json {
    let paths = document["paths"].as_object().into_iter().flatten();
    let paths: Map<String, Json> = paths
        .filter(|(path, _)| path.starts_with(prefix) || format!("{path}/") == prefix)
        .map(|(path, item)| (path.clone(), item.clone()))
        .collect();
    let mut definitions = Map::new();
    let mut wanted = Vec::new();
    paths.values().for_each(|item| references(item, &mut wanted));
    while let Some(name) = wanted.pop() {
        let Some(definition) = document["definitions"].get(&name) else { continue };
        if !definitions.contains_key(&name) {
            references(definition, &mut wanted);
            definitions.insert(name, definition.clone());
        }
    }
    json!({"paths": paths, "definitions": definitions})
}

/// Adds what `other` says to `document`. Paths that are there stay; a definition of the same name that says something
/// else gets another (upstream's `MergeSpecsIgnorePathConflictRenamingDefinitionsAndParameters`).
pub fn merge(document: &mut Json, other: &Json) {
    let empty = Map::new();
    let theirs = other["definitions"].as_object().unwrap_or(&empty);
    let ours = document["definitions"].as_object().unwrap_or(&empty);
    let mut renamed: BTreeMap<String, String> = BTreeMap::new();
    for (name, definition) in theirs {
        let differs = ours.get(name).is_some_and(|own| essence(own) != essence(definition));
        if differs {
            let free = (2..).map(|n| format!("{name}_v{n}")).find(|other| !ours.contains_key(other));
            renamed.extend(free.map(|other| (name.clone(), other)));
        }
    }
    let mut theirs = theirs.clone();
    let paths = other["paths"].as_object().unwrap_or(&empty);
    let mut paths = Json::Object(paths.clone());
    rename(&mut paths, &renamed);
    theirs.values_mut().for_each(|definition| rename(definition, &renamed));
    if let Some(ours) = document.get_mut("definitions").and_then(Json::as_object_mut) {
        for (name, definition) in theirs {
            let name = renamed.get(&name).cloned().unwrap_or(name);
            match ours.get_mut(&name) {
                Some(own) => add_kinds(own, &definition),
                None => drop(ours.insert(name, definition)),
            }
        }
    }
    if let (Some(ours), Json::Object(paths)) =
        (document.get_mut("paths").and_then(Json::as_object_mut), paths)
    {
        for (path, item) in paths {
            ours.entry(path).or_insert(item);
        }
    }
}

const KINDS: &str = "x-kubernetes-group-version-kind";

/// A definition without what two servers may say of the same in other words.
fn essence(definition: &Json) -> Json {
    match definition {
        Json::Object(fields) => {
            let told = |name: &str, value: &Json| {
                name == KINDS
                    || (name == "description" && value.is_string())
                    || (name == "default" && *value == json!({}))
            };
            let fields = fields.iter().filter(|(name, value)| !told(name, value));
            Json::Object(fields.map(|(name, value)| (name.clone(), essence(value))).collect())
        }
        Json::Array(items) => items.iter().map(essence).collect(),
        other => other.clone(),
    }
}

/// A definition that is used for more kinds.
fn add_kinds(own: &mut Json, other: &Json) {
    let Some(more) = other.get(KINDS).and_then(Json::as_array) else { return };
    let Some(kinds) = own.get_mut(KINDS).and_then(Json::as_array_mut) else { return };
    for kind in more {
        if !kinds.contains(kind) {
            kinds.push(kind.clone());
        }
    }
}

/// The names of the definitions that something refers to.
fn references(json: &Json, names: &mut Vec<String>) {
    match json {
        Json::Object(fields) => {
            let reference = fields.get("$ref").and_then(Json::as_str);
            names.extend(reference.and_then(|text| text.strip_prefix(DEFINITIONS)).map(unescaped));
            fields.values().for_each(|value| references(value, names));
        }
        Json::Array(items) => items.iter().for_each(|value| references(value, names)),
        _ => {}
    }
}

fn rename(json: &mut Json, renamed: &BTreeMap<String, String>) {
    match json {
        Json::Object(fields) => {
            let name = fields.get("$ref").and_then(Json::as_str);
            let name = name.and_then(|text| text.strip_prefix(DEFINITIONS)).map(unescaped);
            if let Some(other) = name.and_then(|name| renamed.get(&name)) {
                fields.insert("$ref".to_owned(), format!("{DEFINITIONS}{other}").into());
            }
            fields.values_mut().for_each(|value| rename(value, renamed));
        }
        Json::Array(items) => items.iter_mut().for_each(|value| rename(value, renamed)),
        _ => {}
    }
}

/// A segment of a JSON pointer.
fn unescaped(segment: &str) -> String {
    segment.replace("~1", "/").replace("~0", "~")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str) -> Json {
        let reference = json!({"$ref": "#/definitions/Meta"});
        json!({
            "paths": {"/apis/a/v1/ducks": {"get": {"schema": {"$ref": "#/definitions/Duck"}}}, "/version/": {}},
            "definitions": {
                "Duck": {"properties": {"metadata": reference}},
                "Meta": {"type": text, "description": text},
                "Unused": {},
            },
        })
    }

    #[test]
    fn only_what_is_asked_for_is_left() {
        let left = filtered(&document("object"), "/apis/a/v1/");
        let keys = |json: &Json| json.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&left["paths"]), ["/apis/a/v1/ducks"]);
        assert_eq!(keys(&left["definitions"]), ["Duck", "Meta"]);
    }

    #[test]
    fn what_differs_gets_another_name() {
        let mut whole =
            json!({"paths": {"/version/": {"get": 1}}, "definitions": {"Meta": {"type": "object"}}});
        merge(&mut whole, &document("object"));
        assert_eq!(whole["definitions"]["Meta"], json!({"type": "object"}));
        assert_eq!(whole["paths"]["/version/"], json!({"get": 1}));
        let mut whole = json!({"paths": {}, "definitions": {"Meta": {"type": "string"}}});
        merge(&mut whole, &document("object"));
        assert_eq!(whole["definitions"]["Meta"], json!({"type": "string"}));
        assert_eq!(whole["definitions"]["Meta_v2"]["type"], "object");
        let duck = &whole["definitions"]["Duck"]["properties"]["metadata"];
        assert_eq!(*duck, json!({"$ref": "#/definitions/Meta_v2"}));
    }
}
