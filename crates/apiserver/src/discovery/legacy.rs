//! The old form: a document for the groups and one for each version.

use base64::Engine;
use decapod_api::Status;
use decapod_api::kinds::Resource;
use serde_json::{Value as Json, json};

use crate::server::Server;

fn addresses(server: &Server) -> Json {
    let config = server.config();
    json!([{"clientCIDR": "0.0.0.0/0", "serverAddress": format!("{}:{}", config.advertise, config.listen.port())}])
}

/// `/api`.
pub fn versions(server: &Server) -> Json {
    json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": addresses(server)})
}

/// `/apis`.
pub fn groups(server: &Server) -> Json {
    let groups: Vec<Json> = super::groups(server)
        .iter()
        .filter(|(group, _)| !group.is_empty())
        .map(|(group, versions)| document(group, versions))
        .collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `/apis/<group>`.
pub fn group(server: &Server, name: &str) -> Result<Json, Status> {
    let groups = super::groups(server);
    let (group, versions) =
        groups.iter().find(|(group, _)| group == name).ok_or_else(Status::no_such_path)?;
    let mut document = document(group, versions);
    document["kind"] = "APIGroup".into();
    document["apiVersion"] = "v1".into();
    Ok(document)
}

fn document(group: &str, versions: &[String]) -> Json {
    let version =
        |version: &String| json!({"groupVersion": format!("{group}/{version}"), "version": version});
    json!({
        "name": group,
        "versions": versions.iter().map(version).collect::<Vec<_>>(),
        "preferredVersion": versions.first().map(version),
    })
}

/// `/api/<version>` and `/apis/<group>/<version>`.
pub fn resources(server: &Server, group: &str, version: &str) -> Result<Json, Status> {
    let mut list: Vec<Json> = Vec::new();
    for row in server.registry.kinds().all().iter().filter(|row| row.group == group) {
        list.extend(row.version(version).into_iter().flat_map(|version| entries(row, version)));
    }
    if list.is_empty() {
        return Err(Status::no_such_path());
    }
    list.sort_by(|a, b| a["name"].as_str().cmp(&b["name"].as_str()));
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let mut document = json!({"kind": "APIResourceList", "groupVersion": group_version, "resources": list});
    // The core group's document has no apiVersion, for the sake of very old clients.
    if !group.is_empty() {
        document["apiVersion"] = "v1".into();
    }
    Ok(document)
}

fn entries(row: &Resource, version: &decapod_api::kinds::Version) -> Vec<Json> {
    let mut entry = json!({
        "name": row.plural, "singularName": row.singular, "namespaced": row.namespaced, "kind": row.kind,
        "verbs": row.verbs,
    });
    if !row.short_names.is_empty() {
        entry["shortNames"] = json!(row.short_names);
    }
    if !row.categories.is_empty() {
        entry["categories"] = json!(row.categories);
    }
    if row.prefix().is_some() {
        entry["storageVersionHash"] = storage_version_hash(row).into();
    }
    let mut entries = vec![entry];
    for sub in &version.subresources {
        let mut entry = json!({
            "name": format!("{}/{}", row.plural, sub.name), "singularName": "", "namespaced": row.namespaced,
            "kind": sub.kind.kind, "verbs": sub.verbs,
        });
        if (&sub.kind.group, &sub.kind.version) != (&row.group, &version.name) {
            if !sub.kind.group.is_empty() {
                entry["group"] = json!(sub.kind.group);
            }
            entry["version"] = json!(sub.kind.version);
        }
        entries.push(entry);
    }
    entries
}

/// The first eight bytes of the SHA-256 of the stored kind, in base64
/// (k8s.io/apiserver/pkg/endpoints/discovery, `StorageVersionHash`).
fn storage_version_hash(row: &Resource) -> String {
    let kind = row.stored_kind();
    let text = format!("{}/{}/{}", kind.group, kind.version, kind.kind);
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    base64::engine::general_purpose::STANDARD.encode(&digest.as_ref()[..8])
}
