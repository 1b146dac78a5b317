//! A document of OpenAPI 2 as one of version 3, for servers that only have the former
//! (k8s.io/kube-openapi/pkg/openapiconv).

use serde_json::{Map, Value as Json, json};

const METHODS: [&str; 7] = ["get", "put", "post", "delete", "options", "head", "patch"];
const JSON: &str = "application/json";

/// The document in version 3. What version 2 cannot say is not said.
pub fn to_v3(document: &Json) -> Json {
    let schemas: Map<String, Json> =
        fields(&document["definitions"]).map(|(name, schema)| (name.clone(), moved(schema))).collect();
    let paths: Map<String, Json> =
        fields(&document["paths"]).map(|(path, item)| (path.clone(), path_item(item))).collect();
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "1.36"},
        "paths": paths,
        "components": {"schemas": schemas},
    })
}

fn fields(json: &Json) -> impl Iterator<Item = (&String, &Json)> {
    json.as_object().into_iter().flatten()
}

fn list(json: &Json) -> impl Iterator<Item = &Json> {
    json.as_array().into_iter().flatten()
}

/// With references to where schemas are in version 3.
fn moved(json: &Json) -> Json {
    match json {
        Json::Object(map) => {
            let one = |(name, value): (&String, &Json)| match (name.as_str(), value.as_str()) {
                ("$ref", Some(text)) => {
                    (name.clone(), text.replace("#/definitions/", "#/components/schemas/").into())
                }
                _ => (name.clone(), moved(value)),
            };
            Json::Object(map.iter().map(one).collect())
        }
        Json::Array(items) => items.iter().map(moved).collect(),
        other => other.clone(),
    }
}

fn path_item(item: &Json) -> Json {
    let mut out = Map::new();
    for (name, value) in fields(item) {
        let new = match name.as_str() {
            "parameters" => list(value).map(parameter).collect(),
            method if METHODS.contains(&method) => operation(value),
            _ => value.clone(),
        };
        out.insert(name.clone(), new);
    }
    out.into()
}

fn operation(operation: &Json) -> Json {
    let mut out = Map::new();
    for (name, value) in fields(operation) {
        if !matches!(name.as_str(), "parameters" | "consumes" | "produces" | "schemes" | "responses") {
            out.insert(name.clone(), value.clone());
        }
    }
    let is_body = |parameter: &&Json| parameter["in"] == "body";
    let others: Vec<Json> =
        list(&operation["parameters"]).filter(|other| !is_body(other)).map(parameter).collect();
    if !others.is_empty() {
        out.insert("parameters".to_owned(), others.into());
    }
    if let Some(body) = list(&operation["parameters"]).find(is_body) {
        let content = content(&operation["consumes"], &body["schema"]);
        let mut request = json!({"content": content});
        if body["required"] == true {
            request["required"] = true.into();
        }
        out.insert("requestBody".to_owned(), request);
    }
    let responses = fields(&operation["responses"]).map(|(code, response)| {
        let mut answer = json!({"description": response["description"]});
        if !response["schema"].is_null() {
            answer["content"] = content(&operation["produces"], &response["schema"]);
        }
        (code.clone(), answer)
    });
    out.insert("responses".to_owned(), Json::Object(responses.collect()));
    out.into()
}

/// A schema under each media type.
fn content(media: &Json, schema: &Json) -> Json {
    let schema = json!({"schema": moved(schema)});
    let named: Vec<&str> = list(media).filter_map(Json::as_str).collect();
    // What says nothing, or anything, is JSON.
    let named = if named.is_empty() || named == ["*/*"] { vec![JSON] } else { named };
    Json::Object(named.into_iter().map(|media| (media.to_owned(), schema.clone())).collect())
}

/// A parameter that is no body: what it is is a schema.
fn parameter(parameter: &Json) -> Json {
    const SCHEMA: [&str; 6] = ["type", "format", "items", "default", "enum", "uniqueItems"];
    let (mut out, mut schema) = (Map::new(), Map::new());
    for (name, value) in fields(parameter) {
        let into = if SCHEMA.contains(&name.as_str()) { &mut schema } else { &mut out };
        into.insert(name.clone(), value.clone());
    }
    out.insert("schema".to_owned(), schema.into());
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_parameters_and_answers_find_their_places() {
        let duck = json!({"$ref": "#/definitions/Duck"});
        let document = json!({
            "definitions": {"Duck": {"properties": {"parent": duck}}},
            "paths": {"/ducks/{name}": {
                "parameters": [{"name": "name", "in": "path", "required": true, "type": "string"}],
                "post": {"operationId": "make", "consumes": ["*/*"], "produces": ["application/json"],
                    "parameters": [{"name": "body", "in": "body", "required": true, "schema": duck}],
                    "responses": {"200": {"description": "OK", "schema": duck}}},
            }},
        });
        let duck = json!({"application/json": {"schema": {"$ref": "#/components/schemas/Duck"}}});
        let new = to_v3(&document);
        assert_eq!(
            new["paths"]["/ducks/{name}"],
            json!({
                "parameters": [{"name": "name", "in": "path", "required": true, "schema": {"type": "string"}}],
                "post": {"operationId": "make", "requestBody": {"required": true, "content": duck},
                    "responses": {"200": {"description": "OK", "content": duck}}},
            })
        );
        let parent = &new["components"]["schemas"]["Duck"]["properties"]["parent"]["$ref"];
        assert_eq!(parent, "#/components/schemas/Duck");
    }
}
