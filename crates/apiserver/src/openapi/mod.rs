//! OpenAPI documents, made from the schema and the registry's rows: nothing is registered by hand.
//!
//! Paths, media types and caching are those of k8s.io/kube-openapi (`handler`, `handler3`).

mod cache;
pub(crate) mod convert;
mod custom;
mod document;
pub(crate) mod merge;
mod operation;
mod operations;
mod prose;
mod protobuf;
mod schemas;

use std::sync::Arc;

use decapod_api::Status;
use decapod_api::kinds::Resource;
use http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_ENCODING, ETAG, EXPIRES, HeaderValue, IF_NONE_MATCH, LOCATION, VARY,
};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value as Json, json};

pub use self::cache::Documents;
pub(crate) use self::cache::etag as tag;
use self::cache::{Document, etag};
use crate::aggregation::Tagged;
use crate::http::query::Query;
use crate::http::{Response, negotiate, respond};
use crate::server::Server;

const JSON: &str = "application/json";
const PROTOBUF_V2: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
/// What older clients call it.
const PROTOBUF_V2_OLD: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

/// Answers `/openapi/v2` and `/openapi/v3`.
pub fn answer(server: &Server, rest: &[&str], parts: &Parts) -> Result<Response, Status> {
    match rest {
        ["v2"] => v2(server, &parts.headers),
        ["v3"] => index(server, &parts.headers),
        ["v3", name @ ..] => v3(server, &name.join("/"), parts),
        _ => Err(Status::no_such_path()),
    }
}

/// The names of the documents of version 3, from the rows: `api`, `api/v1`, `apis`, `apis/apps`, `apis/apps/v1`, …
fn names(rows: &[Arc<Resource>]) -> Vec<String> {
    let mut names: Vec<String> = document::OTHERS.map(str::to_owned).to_vec();
    names.extend(["api".to_owned(), "apis".to_owned()]);
    for row in rows {
        let group = if row.group.is_empty() { "api".to_owned() } else { format!("apis/{}", row.group) };
        names.extend(row.versions.iter().map(|version| format!("{group}/{}", version.name)));
        names.push(group);
    }
    names.sort();
    names.dedup();
    names
}

/// The rows that a document of version 3 is about.
fn rows_of(name: &str, rows: &[Arc<Resource>]) -> Vec<Arc<Resource>> {
    let group = match name.split('/').collect::<Vec<_>>().as_slice() {
        ["api", _] => "",
        ["apis", group, _] => group,
        _ => return vec![],
    };
    rows.iter().filter(|row| row.group == group).cloned().collect()
}

fn v3_document(server: &Server, name: &str, rows: &[Arc<Resource>]) -> Result<Arc<Document>, Status> {
    let own = rows_of(name, rows);
    server.openapi.get(name, &own, &[], || {
        let text = document::v3(name, &own).to_string();
        Document::new(text.as_bytes(), etag(text.as_bytes()))
    })
}

/// Where a document is, with the hash that tells its revisions apart.
fn location(name: &str, etag: &str) -> String {
    format!("/openapi/v3/{name}?hash={etag}")
}

/// `/openapi/v3`: where the documents are.
fn index(server: &Server, headers: &HeaderMap) -> Result<Response, Status> {
    let rows = server.registry.kinds().all();
    let mut paths = Map::new();
    for name in names(&rows) {
        let document = v3_document(server, &name, &rows)?;
        paths.insert(name.clone(), json!({"serverRelativeURL": location(&name, &document.etag)}));
    }
    for (other, remote) in server.aggregator.known().remotes() {
        let documents = remote.documents();
        for (name, place) in &documents.openapi_v3 {
            paths.entry(name).or_insert_with(|| place.clone());
        }
        if let Some(converted) = &documents.converted {
            let name = format!("apis/{}/{}", other.service.group, other.service.version);
            let place = json!({"serverRelativeURL": location(&name, &tag_of(converted))});
            paths.entry(name).or_insert(place);
        }
    }
    let text = json!({"paths": paths}).to_string();
    serve(&Document::new(text.as_bytes(), etag(text.as_bytes()))?, JSON, headers)
}

/// `/openapi/v3/<name>`: one document.
fn v3(server: &Server, name: &str, parts: &Parts) -> Result<Response, Status> {
    let rows = server.registry.kinds().all();
    let document = match names(&rows).iter().any(|known| known == name) {
        true => v3_document(server, name, &rows)?,
        false => converted(server, name)?,
    };
    accepted(&parts.headers, &[JSON])?;
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let wanted = query.get("hash").unwrap_or_default();
    if !wanted.is_empty() && wanted != document.etag {
        let mut response = respond::bytes(StatusCode::MOVED_PERMANENTLY, JSON, "");
        let location = HeaderValue::from_str(&location(name, &document.etag)).map_err(Status::internal)?;
        response.headers_mut().insert(LOCATION, location);
        return Ok(response);
    }
    let mut response = serve(&document, JSON, &parts.headers)?;
    if !wanted.is_empty() {
        // What has a hash in its name never changes; a year is the longest that HTTP knows.
        let year = server
            .env()
            .now()
            .saturating_add(jiff::SignedDuration::from_hours(365 * 24))
            .unwrap_or(server.env().now());
        let expires = year.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, immutable"));
        response.headers_mut().insert(EXPIRES, HeaderValue::from_str(&expires).map_err(Status::internal)?);
    }
    Ok(response)
}

/// The document of a server that has none of version 3.
fn converted(server: &Server, name: &str) -> Result<Arc<Document>, Status> {
    let known = server.aggregator.known();
    let mut segments = name.split('/');
    let (_, group, version) = (segments.next(), segments.next(), segments.next());
    let other = known.get(group.unwrap_or_default(), version.unwrap_or_default());
    let documents = other.and_then(|other| other.remote.as_ref()).map(|remote| remote.documents());
    let found = documents.as_ref().and_then(|documents| documents.converted.as_ref());
    let found = found.filter(|_| name.starts_with("apis/") && segments.next().is_none());
    let found = found.ok_or_else(Status::no_such_path)?;
    Document::new(found.json.to_string().as_bytes(), tag_of(found)).map(Arc::new)
}

/// A tag of another server without its quotes.
fn tag_of(tagged: &Tagged) -> String {
    tagged.etag.trim_start_matches("W/").trim_matches('"').to_owned()
}

/// `/openapi/v2`: everything in one document.
fn v2(server: &Server, headers: &HeaderMap) -> Result<Response, Status> {
    let media = accepted(headers, &[JSON, PROTOBUF_V2, PROTOBUF_V2_OLD])?;
    let rows = server.registry.kinds().all();
    let known = server.aggregator.known();
    let others: Vec<_> = known.remotes().map(|(_, remote)| remote.documents()).collect();
    let others: Vec<_> = others.iter().filter_map(|documents| documents.openapi_v2.as_ref()).collect();
    let tags: Vec<String> = others.iter().map(|other| other.etag.clone()).collect();
    let build = || {
        let mut whole = document::v2(&names(&rows), &rows);
        others.iter().for_each(|other| merge::merge(&mut whole, &other.json));
        whole
    };
    if media == JSON {
        let document = server.openapi.get("v2", &rows, &tags, || {
            let text = build().to_string();
            Document::new(text.as_bytes(), etag(text.as_bytes()))
        })?;
        return serve(&document, JSON, headers);
    }
    let document = server.openapi.get("v2 as protobuf", &rows, &tags, || {
        let json: Json = build();
        Document::new(&protobuf::document(&json), etag(json.to_string().as_bytes()))
    })?;
    serve(&document, PROTOBUF_V2, headers)
}

/// The media type among `served` that the client wants first; 406 if it wants none. `served` begins with the usual one.
fn accepted(headers: &HeaderMap, served: &[&'static str]) -> Result<&'static str, Status> {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("*/*");
    for range in accept.split(',') {
        let wanted = range.split(';').next().unwrap_or_default().trim();
        let found =
            served.iter().find(|media| **media == wanted || matches!(wanted, "*/*" | "application/*"));
        if let Some(media) = found {
            return Ok(media);
        }
    }
    Err(Status::not_acceptable(&served.join(", ")))
}

/// The answer: the document, or word that the client has it.
fn serve(document: &Document, media: &'static str, headers: &HeaderMap) -> Result<Response, Status> {
    let tag = HeaderValue::from_str(&format!("\"{}\"", document.etag)).map_err(Status::internal)?;
    let same = headers.get(IF_NONE_MATCH).is_some_and(|known| known == tag);
    let mut response = match (same, negotiate::gzip(headers)) {
        (true, _) => respond::bytes(StatusCode::NOT_MODIFIED, media, ""),
        (false, true) => respond::bytes(StatusCode::OK, media, document.gzip.clone()),
        (false, false) => respond::bytes(StatusCode::OK, media, document.plain()?),
    };
    let own = response.headers_mut();
    if !same && negotiate::gzip(headers) {
        own.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    own.insert(ETAG, tag);
    own.insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use decapod_api::kinds::BUILT_IN;

    use super::*;

    fn v3_of(name: &str) -> Json {
        document::v3(name, &rows_of(name, &BUILT_IN))
    }

    /// Every reference within a document leads somewhere in it.
    fn check_references(document: &Json, json: &Json) {
        match json {
            Json::Object(map) => {
                if let Some(reference) = map.get("$ref").and_then(Json::as_str) {
                    let pointer = reference.trim_start_matches('#');
                    assert!(document.pointer(pointer).is_some_and(|found| !found.is_null()), "{reference}");
                }
                map.values().for_each(|value| check_references(document, value));
            }
            Json::Array(list) => list.iter().for_each(|value| check_references(document, value)),
            _ => {}
        }
    }

    #[test]
    fn every_document_is_whole() {
        for name in names(&BUILT_IN) {
            let document = v3_of(&name);
            check_references(&document, &document);
        }
        let document = document::v2(&names(&BUILT_IN), &BUILT_IN);
        check_references(&document, &document);
        assert!(!protobuf::document(&document).is_empty());
    }

    #[test]
    fn schemas_carry_what_patches_and_apply_go_by() {
        let document = v3_of("apis/apps/v1");
        let schemas = &document["components"]["schemas"];
        let mut containers = schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"].clone();
        let prose = containers.as_object_mut().and_then(|fields| fields.remove("description"));
        assert!(prose.is_some_and(|text| text.as_str().is_some_and(|text| text.contains("containers"))));
        assert_eq!(
            containers,
            json!({
                "type": "array",
                "items": {"default": {}, "allOf": [{"$ref": "#/components/schemas/io.k8s.api.core.v1.Container"}]},
                "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                "x-kubernetes-patch-strategy": "merge", "x-kubernetes-patch-merge-key": "name",
            })
        );
        let kinds = &schemas["io.k8s.api.apps.v1.Deployment"]["x-kubernetes-group-version-kind"];
        assert_eq!(*kinds, json!([{"group": "apps", "version": "v1", "kind": "Deployment"}]));
        assert!(schemas.get("io.k8s.api.core.v1.Node").is_none());
    }

    #[test]
    fn what_all_operations_of_a_path_take_is_said_once() {
        let document = v3_of("apis/apps/v1");
        let path = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"];
        let names = |json: &Json| -> Vec<String> {
            json.as_array()
                .into_iter()
                .flatten()
                .filter_map(|p| p["name"].as_str().map(str::to_owned))
                .collect()
        };
        assert_eq!(names(&path["parameters"]), ["name", "namespace", "pretty"]);
        assert_eq!(
            names(&path["patch"]["parameters"]),
            ["dryRun", "fieldManager", "fieldValidation", "force"]
        );
        assert_eq!(path["get"].get("parameters"), None);
    }

    #[test]
    fn the_media_type_is_the_first_that_is_served() {
        let table = [
            (None, Some(JSON)),
            (Some("application/json"), Some(JSON)),
            (Some("application/com.github.proto-openapi.spec.v2@v1.0+protobuf"), Some(PROTOBUF_V2_OLD)),
            (Some("text/html, application/*;q=0.8"), Some(JSON)),
            (Some("text/html"), None),
        ];
        for (accept, expected) in table {
            let mut headers = HeaderMap::new();
            headers.extend(accept.map(|value| (ACCEPT, HeaderValue::from_static(value))));
            assert_eq!(
                accepted(&headers, &[JSON, PROTOBUF_V2, PROTOBUF_V2_OLD]).ok(),
                expected,
                "{accept:?}"
            );
        }
    }
}
