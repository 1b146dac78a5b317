//! Discovery: which groups, versions and resources there are, in the old form and the aggregated one. All of it is read
//! off the registry's rows, and off what aggregated servers have said of theirs.

mod aggregated;
mod legacy;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use decapod_api::Status;
use http::HeaderMap;
use http::header::ACCEPT;
use serde_json::{Value as Json, json};

use crate::aggregation::api_service::{Priority, by_version};
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

/// The groups in discovery's order, each with its versions: those of this server and those of others, by their priorities
/// (upstream's `SortedByGroupAndVersion`).
fn groups(server: &Server) -> Vec<(String, Vec<String>)> {
    let (known, rows) = (server.aggregator.known(), server.registry.kinds().all());
    let own = rows
        .iter()
        .flat_map(|row| row.versions.iter().map(|version| (row.group.to_string(), version.name.to_string())));
    let others = known.remotes().map(|(other, _)| {
        let service = &other.service;
        (service.group.clone(), service.version.clone())
    });
    let mut groups: BTreeMap<String, BTreeMap<String, Priority>> = BTreeMap::new();
    for (group, version) in own.chain(others) {
        let priority = known.priority(&group, &version);
        groups.entry(group).or_default().insert(version, priority);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    let highest = |versions: &BTreeMap<String, Priority>| versions.values().map(|it| it.group).max();
    // Sorting keeps those of one priority in the order of their names.
    groups.sort_by_key(|(_, versions)| Reverse(highest(versions)));
    let sorted = |versions: BTreeMap<String, Priority>| {
        let mut versions: Vec<_> = versions.into_iter().collect();
        versions.sort_by(|(a, left), (b, right)| by_version((a, left.version), (b, right.version)));
        versions.into_iter().map(|(version, _)| version).collect()
    };
    groups.into_iter().map(|(group, versions)| (group, sorted(versions))).collect()
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
