//! Discovery: which groups, versions and resources there are, in the old form and the aggregated one. All of it is read
//! off the registry's rows.

mod aggregated;
mod legacy;

use decapod_api::Status;
use http::HeaderMap;
use http::header::ACCEPT;
use serde_json::{Value as Json, json};

use crate::http::{Response, respond};
use crate::server::Server;

/// The paths that the root lists.
pub fn root(server: &Server) -> Json {
    let mut paths: Vec<String> = ["/.well-known/openid-configuration", "/api", "/api/v1", "/apis", "/apis/"]
        .map(str::to_owned)
        .to_vec();
    for (group, versions) in groups(server).iter().filter(|(group, _)| !group.is_empty()) {
        paths.push(format!("/apis/{group}"));
        paths.extend(versions.iter().map(|version| format!("/apis/{group}/{version}")));
    }
    let others = [
        "/healthz",
        "/livez",
        "/metrics",
        "/openapi/v2",
        "/openapi/v3",
        "/openid/v1/jwks",
        "/readyz",
        "/version",
    ];
    paths.extend(others.map(str::to_owned));
    paths.sort();
    json!({ "paths": paths })
}

/// Answers `/api`, `/apis` and what is below them.
pub fn answer(server: &Server, segments: &[&str], headers: &HeaderMap) -> Result<Response, Status> {
    match segments {
        ["api" | "apis"] => match aggregated_version(headers) {
            Some(version) => Ok(aggregated::answer(server, segments[0] == "api", version)),
            None if segments[0] == "api" => Ok(respond::json(&legacy::versions(server))),
            None => Ok(respond::json(&legacy::groups(server))),
        },
        ["api", version] => legacy::resources(server, "", version).map(|list| respond::json(&list)),
        ["apis", group] => legacy::group(server, group).map(|group| respond::json(&group)),
        ["apis", group, version] => {
            legacy::resources(server, group, version).map(|list| respond::json(&list))
        }
        _ => Err(Status::no_such_path()),
    }
}

/// The groups in discovery's order, each with its versions.
fn groups(server: &Server) -> Vec<(String, Vec<String>)> {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for row in server.registry.kinds().all().iter() {
        let versions = row.versions.iter().map(|version| version.name.to_string());
        match groups.iter_mut().find(|(group, _)| *group == row.group) {
            Some((_, known)) => {
                for version in versions {
                    if !known.contains(&version) {
                        known.push(version);
                    }
                }
            }
            None => groups.push((row.group.to_string(), versions.collect())),
        }
    }
    // Those of the highest priority first; built-in rows are in that order already.
    for (group, versions) in &mut groups {
        if server.registry.kinds().all().iter().any(|row| row.group == *group && row.custom.is_some()) {
            versions.sort_by(|a, b| decapod_api::custom::by_priority(a, b));
        }
    }
    groups
}

/// The version of the aggregated form that the client wants first, if it wants it.
fn aggregated_version(headers: &HeaderMap) -> Option<&'static str> {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    for range in accept.split(',') {
        let parts: Vec<&str> = range.split(';').map(str::trim).collect();
        let has = |part: &str| parts.contains(&part);
        if has("as=APIGroupDiscoveryList") && has("g=apidiscovery.k8s.io") {
            if has("v=v2") {
                return Some("v2");
            }
            continue;
        }
        if matches!(parts.first(), Some(&"application/json" | &"*/*" | &"application/*")) {
            return None;
        }
    }
    None
}
