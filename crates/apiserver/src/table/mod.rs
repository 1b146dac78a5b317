//! Tables: the rows that `kubectl get` prints, with upstream's columns (k8s.io/kubernetes/pkg/printers/internalversion).
//!
//! A row is computed from the object's canonical bytes; only what comes in another version than the stored one is decoded. What
//! the columns are is data (`columns.txt`).

mod cell;
mod cluster;
mod columns;
mod custom;
mod duration;
mod functions;
mod json;
mod network;
mod nodes;
mod path;
mod pods;
mod storage;
#[cfg(test)]
mod tests;
mod workloads;

use std::sync::Arc;

use decapod_api::codec::FieldValidation;
use decapod_api::custom::Custom;
use decapod_api::kinds::BUILT_IN;
use decapod_api::meta::GroupVersionKind;
use decapod_api::schema::Schema;
use decapod_api::{Object, codec};
use decapod_client::List;
use jiff::Timestamp;

use self::cell::Row;
use self::columns::Columns;
use self::json::Json;
use crate::http::query::Query;
use crate::http::respond;

/// What a client wants of a table.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Whether the columns are left out: the client has them.
    pub headless: bool,
    /// What each row carries of its object.
    pub include: Include,
    /// The wall clock's time: ages are as of then.
    pub now: Timestamp,
    /// The version of the custom resource that it is of.
    pub custom: Option<Arc<Custom>>,
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

// === impl Request ===

impl Request {
    /// From `includeObject`.
    pub fn from_query(query: &Query, now: Timestamp) -> Request {
        let include = match query.get("includeObject") {
            Some("Object") => Include::Object,
            Some("None") => Include::None,
            _ => Include::Metadata,
        };
        Request { headless: false, include, now, custom: None }
    }
}

// === impl Meta ===

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

    fn to_json(&self) -> String {
        let mut metadata = serde_json::json!({"resourceVersion": self.resource_version});
        if !self.continue_token.is_empty() {
            metadata["continue"] = self.continue_token.as_str().into();
        }
        if let Some(remaining) = self.remaining {
            metadata["remainingItemCount"] = remaining.into();
        }
        metadata.to_string()
    }
}

/// A `Table` of this version of `meta.k8s.io`, with its type.
pub fn render(
    kind: &GroupVersionKind,
    objects: &[Object],
    request: &Request,
    meta: &Meta,
    version: &str,
) -> Vec<u8> {
    let table = GroupVersionKind::new("meta.k8s.io", version.to_owned(), "Table");
    let mut body = respond::typed(&table, &render_body(kind, objects, request, meta, version)).to_vec();
    body.push(b'\n');
    body
}

/// The same without its type.
pub fn render_body(
    kind: &GroupVersionKind,
    objects: &[Object],
    request: &Request,
    meta: &Meta,
    version: &str,
) -> Vec<u8> {
    let columns = Columns::of(kind);
    let custom = request.custom.as_deref().map(custom::Columns::of);
    let mut out = format!("{{\"metadata\":{},\"columnDefinitions\":", meta.to_json()).into_bytes();
    match request.headless {
        true => out.extend_from_slice(b"null"),
        false => match &custom {
            Some(custom) => custom.write(&mut out),
            None => columns.write(&mut out),
        },
    }
    out.extend_from_slice(b",\"rows\":[");
    let carried = match request.include {
        Include::Metadata => {
            GroupVersionKind::new("meta.k8s.io", version.to_owned(), "PartialObjectMetadata")
        }
        _ => kind.clone(),
    };
    for (i, object) in in_order(kind, objects).into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        let stored = in_stored_version(kind, object);
        let row = Row::new(stored.as_ref().unwrap_or(object).body(), request.now);
        out.extend_from_slice(b"{\"cells\":");
        match &custom {
            Some(custom) => custom.write_cells(&row, &mut out),
            None => columns.write_cells(&row, &mut out),
        }
        let conditions =
            if kind.kind == "Pod" && kind.group.is_empty() { pods::row_conditions(&row) } else { None };
        if let Some(conditions) = conditions {
            out.extend_from_slice(b",\"conditions\":");
            out.extend_from_slice(conditions.as_bytes());
        }
        out.extend_from_slice(b",\"object\":");
        match request.include {
            Include::None => out.extend_from_slice(b"null"),
            Include::Object => out.extend_from_slice(&respond::typed(&carried, object.body())),
            Include::Metadata => {
                out.extend_from_slice(&respond::typed(&carried, respond::partial(object).body()))
            }
        }
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
    out
}

/// The object in the version that its columns are written for, if it comes in another one of its group.
fn in_stored_version(kind: &GroupVersionKind, object: &Object) -> Option<Object> {
    let row = BUILT_IN.iter().find(|row| row.group == kind.group && row.kind == kind.kind)?;
    let stored = row.stored_kind();
    if stored.group != kind.group || stored.version == kind.version {
        return None;
    }
    let schema = |kind| Schema::builtin().type_of(kind);
    let mut draft = codec::json::decode(object.body(), schema(kind)?, FieldValidation::Ignore).ok()?.draft;
    let converted = row.strategy.convert(&mut draft, &kind.api_version(), &stored.api_version());
    let body = codec::json::encode(&draft, schema(stored)?).at(object.revision());
    converted.then(|| Object::new(body, object.revision()))
}

/// The objects in the order of their rows: as they come, but flow schemas as they are tried.
fn in_order<'a>(kind: &GroupVersionKind, objects: &'a [Object]) -> Vec<&'a Object> {
    let mut objects: Vec<&Object> = objects.iter().collect();
    if kind.kind == "FlowSchema" && kind.group == "flowcontrol.apiserver.k8s.io" {
        objects.sort_by_cached_key(|object| {
            let precedence = Json::new(Some(object.body())).at("spec.matchingPrecedence").count();
            (precedence, object.name().into_owned())
        });
    }
    objects
}
