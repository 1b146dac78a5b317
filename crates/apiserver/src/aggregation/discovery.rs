//! What an aggregated server says that it serves, as aggregated discovery has it
//! (k8s.io/kube-aggregator/pkg/apiserver, `fetchFreshDiscoveryForService`).

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value as Json, json};

use super::api_service::ApiService;
use super::fetch::{self, Question};
use super::remote::{Remote, Tagged};
use crate::identity::{MASTERS, User};
use crate::server::Server;

/// The forms that say everything at once, as client-go asks for them.
const ACCEPT: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";

/// Asks what is served of the group and version of `service`; what is `known` is returned if it is so still.
pub async fn fetch(
    server: &Server,
    service: &ApiService,
    remote: &Remote,
    known: Option<&Tagged>,
) -> Result<Tagged, String> {
    let user =
        User { name: "system:kube-aggregator".into(), groups: vec![MASTERS.into()], ..User::default() };
    let etag = known.map_or("", |known| known.etag.as_str());
    let question = Question { path: "/apis", accept: ACCEPT, etag, user: &user };
    let answer = fetch::ask(server, remote, &question).await?;
    let read = |body: &[u8]| serde_json::from_slice::<Json>(body).map_err(|error| error.to_string());
    match (answer.code, known) {
        (StatusCode::NOT_MODIFIED, Some(known)) => return Ok(known.clone()),
        (StatusCode::OK, _) if is_aggregated(&answer.content_type) => {
            let json = of_groups(&read(&answer.body)?, &service.group, &service.version);
            return Ok(Tagged { json: Arc::new(json), etag: answer.etag });
        }
        (StatusCode::SERVICE_UNAVAILABLE, _) => return Err(format!("it answered with {}", answer.code)),
        _ => {}
    }
    // An older server, which says it one version at a time.
    let path = fetch::discovery_path(&service.group, &service.version);
    let question = Question { path: &path, accept: "application/json", etag: "", user: &user };
    let answer = fetch::ask(server, remote, &question).await?;
    if answer.code != StatusCode::OK {
        return Err(format!("it answered with {} to {path}", answer.code));
    }
    let json = of_resources(&read(&answer.body)?, &service.version);
    Ok(Tagged { json: Arc::new(json), etag: String::new() })
}

fn is_aggregated(content_type: &str) -> bool {
    let parts: Vec<&str> = content_type.split(';').map(str::trim).collect();
    let has = |part| parts.contains(&part);
    has("g=apidiscovery.k8s.io") && has("as=APIGroupDiscoveryList") && (has("v=v2") || has("v=v2beta1"))
}

/// The part about a group and version of a document about all groups.
fn of_groups(document: &Json, group: &str, version: &str) -> Json {
    let items = document["items"].as_array().into_iter().flatten();
    let versions = items
        .filter(|item| item["metadata"]["name"].as_str().unwrap_or_default() == group)
        .flat_map(|item| item["versions"].as_array().into_iter().flatten());
    let found = versions.into_iter().find(|item| item["version"] == version).cloned();
    let mut found = found.unwrap_or_else(|| json!({"version": version}));
    // Some clients cannot do without.
    for resource in parts_of(&mut found, "resources") {
        give_kind(resource);
        parts_of(resource, "subresources").for_each(give_kind);
    }
    found
}

fn parts_of<'a>(json: &'a mut Json, field: &str) -> impl Iterator<Item = &'a mut Json> {
    json.get_mut(field).and_then(Json::as_array_mut).into_iter().flatten()
}

fn give_kind(resource: &mut Json) {
    if resource.get("responseKind").is_none_or(Json::is_null) {
        resource["responseKind"] = json!({"group": "", "version": "", "kind": ""});
    }
}

/// An `APIResourceList` in the other form (k8s.io/apiserver/pkg/endpoints, `ConvertGroupVersionIntoToDiscovery`).
fn of_resources(list: &Json, version: &str) -> Json {
    let text = |json: &Json, field: &str| json[field].as_str().unwrap_or_default().to_owned();
    let kind = |json: &Json| json!({"group": text(json, "group"), "version": text(json, "version"), "kind": text(json, "kind")});
    let mut resources: Vec<Json> = Vec::new();
    let listed = || list["resources"].as_array().into_iter().flatten();
    for entry in listed().filter(|entry| !text(entry, "name").contains('/')) {
        let scope = if entry["namespaced"] == true { "Namespaced" } else { "Cluster" };
        let mut resource = json!({"resource": entry["name"], "responseKind": kind(entry), "scope": scope,
            "singularResource": text(entry, "singularName"), "verbs": entry["verbs"]});
        for field in ["shortNames", "categories"] {
            if !entry[field].is_null() {
                resource[field] = entry[field].clone();
            }
        }
        resources.push(resource);
    }
    for entry in listed() {
        let name = text(entry, "name");
        let Some((parent, part)) = name.split_once('/') else { continue };
        let Some(resource) = resources.iter_mut().find(|resource| resource["resource"] == parent) else {
            continue;
        };
        let part = json!({"subresource": part, "responseKind": kind(entry), "verbs": entry["verbs"]});
        match resource.get_mut("subresources").and_then(Json::as_array_mut) {
            Some(parts) => parts.push(part),
            None => resource["subresources"] = json!([part]),
        }
    }
    json!({"version": version, "resources": resources})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_form_says_the_same() {
        let list = json!({"kind": "APIResourceList", "resources": [
            {"name": "ducks", "singularName": "duck", "namespaced": true, "kind": "Duck", "verbs": ["get"],
                "shortNames": ["d"]},
            {"name": "ducks/status", "singularName": "", "namespaced": true, "kind": "Duck", "verbs": ["patch"]},
            {"name": "ducks/scale", "singularName": "", "namespaced": true, "kind": "Scale", "verbs": ["get"],
                "group": "autoscaling", "version": "v1"},
        ]});
        let duck = json!({"group": "", "version": "", "kind": "Duck"});
        let scale = json!({"group": "autoscaling", "version": "v1", "kind": "Scale"});
        assert_eq!(
            of_resources(&list, "v1"),
            json!({"version": "v1", "resources": [{
                "resource": "ducks", "responseKind": duck, "scope": "Namespaced", "singularResource": "duck",
                "verbs": ["get"], "shortNames": ["d"], "subresources": [
                    {"subresource": "status", "responseKind": duck, "verbs": ["patch"]},
                    {"subresource": "scale", "responseKind": scale, "verbs": ["get"]},
                ],
            }]})
        );
    }

    #[test]
    fn a_version_is_found_among_all_groups() {
        let document = json!({"items": [
            {"metadata": {"name": "a"}, "versions": [{"version": "v1", "resources": [{"resource": "x"}]}]},
            {"metadata": {"name": "b"}, "versions": [{"version": "v1", "freshness": "Current"}]},
        ]});
        let kind = json!({"group": "", "version": "", "kind": ""});
        assert_eq!(
            of_groups(&document, "a", "v1"),
            json!({"version": "v1", "resources": [{"resource": "x", "responseKind": kind}]})
        );
        assert_eq!(of_groups(&document, "b", "v1"), json!({"version": "v1", "freshness": "Current"}));
        assert_eq!(of_groups(&document, "c", "v1"), json!({"version": "v1"}));
    }
}
