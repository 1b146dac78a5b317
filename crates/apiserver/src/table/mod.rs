//! Tables: the rows that `kubectl get` prints, with upstream's columns (k8s.io/kubernetes/pkg/printers/internalversion).

use decapod_api::Object;
use decapod_api::meta::GroupVersionKind;
use decapod_client::List;
use serde_json::{Value as Json, json};

use crate::http::query::Query;

/// What a client wants of a table.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Whether the columns are left out: the client has them.
    pub headless: bool,
    /// What each row carries of its object.
    pub include: Include,
}

/// What a row carries of its object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Include {
    /// Its metadata.
    #[default]
    Metadata,
    /// All of it.
    Object,
    /// Nothing.
    None,
}

/// The list metadata of a table.
#[derive(Clone, Debug, Default)]
pub struct Meta {
    resource_version: String,
    continue_token: String,
    remaining: Option<u64>,
}

impl Request {
    /// From `includeObject`.
    pub fn from_query(query: &Query) -> Request {
        let include = match query.get("includeObject") {
            Some("Object") => Include::Object,
            Some("None") => Include::None,
            _ => Include::Metadata,
        };
        Request { headless: false, include }
    }
}

impl Meta {
    /// Of a single object.
    pub fn of_object(object: &Object) -> Meta {
        Meta { resource_version: object.revision().to_string(), ..Meta::default() }
    }

    /// Of a list.
    pub fn of_list(list: &List) -> Meta {
        Meta {
            resource_version: list.revision.to_string(),
            continue_token: list.continue_token.clone(),
            remaining: list.remaining,
        }
    }
}

/// A `Table` with its type.
pub fn render(kind: &GroupVersionKind, objects: &[Object], request: &Request, meta: &Meta, version: &str) -> Vec<u8> {
    let table = GroupVersionKind::new("meta.k8s.io", version.to_owned(), "Table");
    let mut body = crate::http::respond::typed(&table, &render_body(kind, objects, request, meta)).to_vec();
    body.push(b'\n');
    body
}

/// A `Table` without its type.
pub fn render_body(kind: &GroupVersionKind, objects: &[Object], request: &Request, meta: &Meta) -> Vec<u8> {
    let columns: Vec<Json> = if request.headless { vec![] } else { vec![name_column(), created_column()] };
    let rows: Vec<Json> = objects.iter().map(|object| row(kind, object, request)).collect();
    let mut metadata = json!({"resourceVersion": meta.resource_version});
    if !meta.continue_token.is_empty() {
        metadata["continue"] = meta.continue_token.as_str().into();
    }
    if let Some(remaining) = meta.remaining {
        metadata["remainingItemCount"] = remaining.into();
    }
    json!({"metadata": metadata, "columnDefinitions": columns, "rows": rows}).to_string().into_bytes()
}

fn name_column() -> Json {
    json!({"name": "Name", "type": "string", "format": "name", "description": "Name of the object", "priority": 0})
}

fn created_column() -> Json {
    json!({"name": "Created At", "type": "date", "format": "", "description": "When the object was made", "priority": 0})
}

fn row(kind: &GroupVersionKind, object: &Object, request: &Request) -> Json {
    let created = object.text(&["metadata", "creationTimestamp"]).unwrap_or_default();
    json!({"cells": [object.name(), created], "object": carried(kind, object, request)})
}

fn carried(kind: &GroupVersionKind, object: &Object, request: &Request) -> Json {
    let (kind, body) = match request.include {
        Include::None => return Json::Null,
        Include::Object => (kind.clone(), object.clone()),
        Include::Metadata => (
            GroupVersionKind::new("meta.k8s.io", "v1", "PartialObjectMetadata"),
            crate::http::respond::partial(object),
        ),
    };
    serde_json::from_slice(&crate::http::respond::typed(&kind, body.body())).unwrap_or_default()
}
