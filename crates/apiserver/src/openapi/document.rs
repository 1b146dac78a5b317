//! Documents: operations and schemas put together in one of the versions of OpenAPI.

use std::sync::Arc;

use decapod_api::kinds::Resource;
use decapod_api::meta::GroupVersion;
use serde_json::{Map, Value as Json, json};

use super::operation::{Content, Operation, Parameter};
use super::operations::{self, PathItem};
use super::schemas::{Dialect, Schemas};

/// The group version that a document is about; none for those of a group, or of the groups.
fn group_version(name: &str) -> Option<GroupVersion> {
    match name.split('/').collect::<Vec<_>>().as_slice() {
        ["api", gv] => Some(GroupVersion::parse(gv)),
        ["apis", group, version] => Some(GroupVersion::parse(&format!("{group}/{version}"))),
        _ => None,
    }
}

const JSON: &str = "application/json";

/// The documents that are about no resources.
pub const OTHERS: [&str; 3] = [".well-known/openid-configuration", "openid/v1/jwks", "version"];

/// The paths of the document of this name.
fn paths(name: &str, rows: &[Arc<Resource>]) -> Vec<PathItem> {
    if let Some(gv) = group_version(name) {
        return operations::of_group_version(&gv, rows.iter().map(AsRef::as_ref));
    }
    let path = format!("/{name}/");
    vec![match name {
        "api" => operations::document(&path, "getAPIVersions", "APIVersions"),
        "apis" => operations::document(&path, "getAPIVersions", "APIGroupList"),
        "version" => operations::plain(&path, "getCodeVersion", "version", Content::Version, JSON),
        "openid/v1/jwks" => {
            let id = "getServiceAccountIssuerOpenIDKeyset";
            operations::plain(&path, id, "openid", Content::Text, "application/jwk-set+json")
        }
        ".well-known/openid-configuration" => {
            let id = "getServiceAccountIssuerOpenIDConfiguration";
            operations::plain(&path, id, "WellKnown", Content::Text, JSON)
        }
        _ => operations::document(&path, "getAPIGroup", "APIGroup"),
    }]
}

/// A document of version 3: `api`, `apis`, `apis/<group>`, or with a version.
pub fn v3(name: &str, rows: &[Arc<Resource>]) -> Json {
    let mut schemas = Schemas::new(Dialect::V3, group_version(name), rows);
    let item = |item: PathItem| {
        (item.path.clone(), path_item(&item, v3_parameter, |op| v3_operation(op, &mut schemas)))
    };
    let paths: Map<String, Json> = paths(name, rows).into_iter().map(item).collect();
    json!({
        "openapi": "3.0.0",
        "info": info(),
        "paths": paths,
        "components": components(schemas.finish()),
    })
}

fn components(schemas: Json) -> Json {
    match schemas.as_object().is_some_and(Map::is_empty) {
        true => json!({"securitySchemes": security()}),
        false => json!({"schemas": schemas, "securitySchemes": security()}),
    }
}

/// The one document of version 2, with the paths of all those of version 3.
pub fn v2(names: &[String], rows: &[Arc<Resource>]) -> Json {
    let mut schemas = Schemas::new(Dialect::V2, None, rows);
    let item = |item: PathItem| {
        (item.path.clone(), path_item(&item, v2_parameter, |op| v2_operation(op, &mut schemas)))
    };
    let paths: Map<String, Json> = names.iter().flat_map(|name| paths(name, rows)).map(item).collect();
    json!({
        "swagger": "2.0",
        "info": info(),
        "paths": paths,
        "definitions": schemas.finish(),
        "securityDefinitions": security(),
        "security": [{"BearerToken": []}],
    })
}

fn info() -> Json {
    json!({"title": "Kubernetes", "version": "1.36"})
}

fn security() -> Json {
    json!({"BearerToken": {"type": "apiKey", "name": "authorization", "in": "header", "description": "Bearer Token authentication"}})
}

/// What a status code of an answer means.
fn meaning(code: u16) -> &'static str {
    match code {
        201 => "Created",
        202 => "Accepted",
        401 => "Unauthorized",
        _ => "OK",
    }
}

fn content(content: &Content, schemas: &mut Schemas) -> Json {
    match content {
        Content::Kind(kind) => schemas.of_kind(kind),
        Content::Meta(name) => schemas.of_meta(name),
        Content::Text => json!({"type": "string"}),
        Content::Version => schemas.version(),
    }
}

/// A path: the parameters that all its operations have are said once.
fn path_item(
    item: &PathItem,
    parameter: fn(&Parameter) -> Json,
    mut operation: impl FnMut(&Operation) -> Json,
) -> Json {
    let (first, rest) = match item.operations.split_first() {
        Some(operations) => operations,
        None => return json!({}),
    };
    let everywhere = |p: &&Parameter| rest.iter().all(|other| other.parameters.contains(p));
    let common: Vec<&Parameter> = first.parameters.iter().filter(everywhere).collect();
    let mut path = Map::new();
    for one in &item.operations {
        let mut json = operation(one);
        let own = one.parameters.iter().filter(|p| !common.contains(p)).map(parameter);
        // The body is a parameter too in version 2.
        let mut own: Vec<Json> =
            own.chain(json["parameters"].take().as_array().into_iter().flatten().cloned()).collect();
        own.sort_by(|a, b| a["name"].as_str().cmp(&b["name"].as_str()));
        match own.is_empty() {
            true => drop(json.as_object_mut().and_then(|json| json.remove("parameters"))),
            false => json["parameters"] = own.into(),
        }
        path.insert(one.method.to_owned(), json);
    }
    if !common.is_empty() {
        path.insert("parameters".to_owned(), common.into_iter().map(parameter).collect());
    }
    path.into()
}

/// What both versions say of an operation.
fn operation(op: &Operation) -> Json {
    let mut json = json!({"operationId": op.id, "tags": [op.tag]});
    if let Some(action) = op.action {
        json["x-kubernetes-action"] = action.into();
    }
    if let Some(kind) = &op.kind {
        json["x-kubernetes-group-version-kind"] =
            json!({"group": kind.group, "version": kind.version, "kind": kind.kind});
    }
    json
}

// === Version 3 ===

fn v3_parameter(parameter: &Parameter) -> Json {
    let schema = json!({"type": parameter.kind, "uniqueItems": true});
    let mut json = json!({"name": parameter.name, "in": parameter.place, "schema": schema});
    if parameter.place == "path" {
        json["required"] = true.into();
    }
    json
}

fn v3_operation(op: &Operation, schemas: &mut Schemas) -> Json {
    let mut json = operation(op);
    let of = |media: &[&str], schema: &Json| -> Map<String, Json> {
        media.iter().map(|media| ((*media).to_owned(), json!({"schema": schema}))).collect()
    };
    if let Some(body) = &op.body {
        json["requestBody"] = json!({"content": of(&op.consumes, &content(body, schemas))});
        if op.method != "delete" {
            json["requestBody"]["required"] = true.into();
        }
    }
    for (code, answer) in &op.answers {
        let content = of(&op.produces, &content(answer, schemas));
        json["responses"][code.to_string()] = json!({"description": meaning(*code), "content": content});
    }
    json["responses"]["401"] = json!({"description": meaning(401)});
    json
}

// === Version 2 ===

fn v2_parameter(parameter: &Parameter) -> Json {
    let mut json =
        json!({"name": parameter.name, "in": parameter.place, "type": parameter.kind, "uniqueItems": true});
    if parameter.place == "path" {
        json["required"] = true.into();
    }
    json
}

fn v2_operation(op: &Operation, schemas: &mut Schemas) -> Json {
    let mut json = operation(op);
    if !op.consumes.is_empty() {
        json["consumes"] = op.consumes.clone().into();
    }
    json["produces"] = op.produces.clone().into();
    json["schemes"] = json!(["https"]);
    if let Some(body) = &op.body {
        let mut body = json!({"name": "body", "in": "body", "schema": content(body, schemas)});
        if op.method != "delete" {
            body["required"] = true.into();
        }
        json["parameters"] = json!([body]);
    }
    for (code, answer) in &op.answers {
        json["responses"][code.to_string()] =
            json!({"description": meaning(*code), "schema": content(answer, schemas)});
    }
    json["responses"]["401"] = json!({"description": meaning(401)});
    json
}
