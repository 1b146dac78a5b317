//! The aggregated form: everything in one document (KEP-3352).

use decapod_api::kinds::{Resource, Version};
use http::StatusCode;
use http::header::{ETAG, HeaderValue};
use serde_json::{Value as Json, json};

use crate::aggregation::Remote;
use crate::http::{Response, respond};
use crate::server::Server;

/// `/api` or `/apis`, whole.
pub fn answer(server: &Server, core: bool, version: &'static str) -> Response {
    let (rows, known) = (server.registry.kinds().all(), server.aggregator.known());
    let of_version = |group: &str, version: &str| {
        let other = known.get(group, version).and_then(|other| other.remote.as_ref());
        match other {
            Some(remote) => of_remote(remote, version),
            None => document(&rows, group, version),
        }
    };
    let items: Vec<Json> = super::groups(server)
        .iter()
        .filter(|(group, _)| group.is_empty() == core)
        .map(|(group, versions)| {
            let versions: Vec<Json> = versions.iter().map(|version| of_version(group, version)).collect();
            let metadata = if core {
                json!({"creationTimestamp": null})
            } else {
                json!({"name": group, "creationTimestamp": null})
            };
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    let body = json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": format!("apidiscovery.k8s.io/{version}"), "metadata": {}, "items": items,
    })
    .to_string();
    let digest = ring::digest::digest(&ring::digest::SHA512, body.as_bytes());
    let tag: String = digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    let content_type = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let mut response = respond::bytes(StatusCode::OK, content_type, body);
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{tag}\"")) {
        response.headers_mut().insert(ETAG, tag);
    }
    response.headers_mut().insert("vary", HeaderValue::from_static("Accept"));
    response
}

/// What another server has said; nothing, and that this is stale, if it could not be asked.
fn of_remote(remote: &Remote, version: &str) -> Json {
    match &remote.documents().discovery {
        Some(said) => {
            let mut said = (*said.json).clone();
            said["freshness"] = "Current".into();
            said
        }
        None => json!({"version": version, "freshness": "Stale"}),
    }
}

fn document(rows: &[std::sync::Arc<Resource>], group: &str, version: &str) -> Json {
    let of_version = rows.iter().filter(|row| row.group == group);
    let mut resources: Vec<Json> =
        of_version.filter_map(|row| row.version(version).map(|version| resource(row, version))).collect();
    resources.sort_by(|a, b| a["resource"].as_str().cmp(&b["resource"].as_str()));
    json!({"version": version, "resources": resources, "freshness": "Current"})
}

fn resource(row: &Resource, version: &Version) -> Json {
    let kind =
        |group: &str, version: &str, kind: &str| json!({"group": group, "version": version, "kind": kind});
    let subresources: Vec<Json> = version
        .subresources
        .iter()
        .map(|sub| {
            // Upstream leaves out what the document already says.
            let own = sub.kind.group == row.group && sub.kind.version == version.name;
            let (group, version) = if own { ("", "") } else { (&*sub.kind.group, &*sub.kind.version) };
            json!({"subresource": sub.name, "responseKind": kind(group, version, &sub.kind.kind), "verbs": sub.verbs})
        })
        .collect();
    let mut document = json!({
        "resource": row.plural, "responseKind": kind("", "", &row.kind),
        "scope": if row.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": row.singular, "verbs": row.verbs,
    });
    if !row.short_names.is_empty() {
        document["shortNames"] = json!(row.short_names);
    }
    if !row.categories.is_empty() {
        document["categories"] = json!(row.categories);
    }
    if !subresources.is_empty() {
        document["subresources"] = json!(subresources);
    }
    document
}
