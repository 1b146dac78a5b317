//! What an API server elsewhere serves, as it says itself in aggregated discovery (k8s.io/client-go/discovery).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use decapod_api::Status;
use decapod_api::meta::GroupVersionResource;
use decapod_client::Remote;
use decapod_sys::Env;
use serde::Deserialize;
use tokio::sync::watch;

use crate::resources::{ApiResource, Resources, undiscovered};

/// The form of discovery that says everything at once.
const ACCEPT: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
/// How old what is known may get (upstream's garbage collector and its quota controller ask as often).
const REFRESH_INTERVAL: Duration = Duration::from_secs(30);
/// How soon a server that did not answer is asked again.
const RETRY_DELAY: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
struct Document {
    items: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    versions: Vec<Version>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    name: String,
}

#[derive(Deserialize)]
struct Version {
    version: String,
    #[serde(default)]
    freshness: String,
    #[serde(default)]
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    resource: String,
    #[serde(default)]
    response_kind: Kind,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    verbs: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Kind {
    kind: String,
}

/// Returns when the server has said what it serves, and keeps asking in the scope of `env`.
pub async fn follow(env: &Env, server: Arc<Remote>) -> Resources {
    let first = loop {
        match served(&server).await {
            Ok(found) => break found,
            Err(status) => tracing::warn!(%status, "asking what the API server serves; trying again"),
        }
        tokio::time::sleep(RETRY_DELAY).await;
    };
    let (sender, resources) = watch::channel(Arc::new(first));
    env.spawn("discovery", async move {
        loop {
            tokio::time::sleep(REFRESH_INTERVAL).await;
            match served(&server).await {
                Ok(found) => {
                    sender.send_if_modified(|known| {
                        let is_new = **known != found;
                        if is_new {
                            *known = Arc::new(found);
                        }
                        is_new
                    });
                }
                Err(status) => tracing::debug!(%status, "asking what the API server serves"),
            }
        }
    });
    resources
}

async fn served(server: &Remote) -> Result<Vec<ApiResource>, Status> {
    let mut found = Vec::new();
    for path in ["/api", "/apis"] {
        found.extend(parse(&server.document(path, ACCEPT).await?)?);
    }
    found.sort();
    Ok(found)
}

/// Every resource of a document in the first version that has it, which is the preferred one.
fn parse(document: &[u8]) -> Result<Vec<ApiResource>, Status> {
    let document: Document = serde_json::from_slice(document)
        .map_err(|error| Status::internal(format!("discovery cannot be read: {error}")))?;
    let mut found = Vec::new();
    for group in document.items {
        let mut seen = BTreeSet::new();
        for version in group.versions {
            if version.freshness == "Stale" {
                found.push(undiscovered(group.metadata.name.clone(), version.version.clone()));
            }
            for resource in version.resources {
                if seen.insert(resource.resource.clone()) {
                    found.push(of(&group.metadata.name, &version.version, resource));
                }
            }
        }
    }
    Ok(found)
}

fn of(group: &str, version: &str, resource: Resource) -> ApiResource {
    ApiResource {
        resource: GroupVersionResource {
            group: group.to_owned().into(),
            version: version.to_owned().into(),
            resource: resource.resource.into(),
        },
        kind: resource.response_kind.kind,
        is_namespaced: resource.scope == "Namespaced",
        verbs: resource.verbs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_taken_in_its_preferred_version() {
        let document = r#"{"kind": "APIGroupDiscoveryList", "items": [
            {"metadata": {"name": "example.com"}, "versions": [
                {"version": "v2", "resources": [{"resource": "as", "responseKind": {"kind": "A"}, "scope": "Namespaced", "verbs": ["list"]}]},
                {"version": "v1", "resources": [{"resource": "as", "responseKind": {"kind": "A"}, "scope": "Namespaced", "verbs": ["list"]},
                    {"resource": "bs", "responseKind": {"kind": "B"}, "scope": "Cluster", "verbs": ["get"]}]}]},
            {"metadata": {}, "versions": [{"version": "v1"}]}]}"#;
        let found = parse(document.as_bytes()).unwrap();
        let said: Vec<String> = found
            .iter()
            .map(|one| {
                format!(
                    "{} {} {} {}",
                    one.resource.version, one.resource.resource, one.kind, one.is_namespaced
                )
            })
            .collect();
        assert_eq!(said, ["v2 as A true", "v1 bs B false"]);
        assert!(parse(b"{}").is_err());
    }
}
