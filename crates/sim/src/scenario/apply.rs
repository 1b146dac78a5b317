//! What a person does, patiently: a server that does not answer is asked again.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use decapod_api::Status;
use decapod_api::kinds::{BUILT_IN, Resource};
use decapod_client::{PatchType, Reply, Request, Verb};
use serde::Deserialize;
use serde_json::Value;

use crate::cluster::Cluster;

/// How long a person waits before asking again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The resource of this plural.
pub(super) fn resource(plural: &str) -> Result<&'static Arc<Resource>, String> {
    BUILT_IN.iter().find(|row| row.plural == plural).ok_or_else(|| format!("{plural} are not served"))
}

/// Creates the objects in `yaml`, or changes those that are there.
pub(super) async fn apply(cluster: &Cluster, yaml: &str) -> Result<(), String> {
    for document in serde_norway::Deserializer::from_str(yaml) {
        let object = Value::deserialize(document).map_err(|error| error.to_string())?;
        let (kind, version) = (object["kind"].as_str(), object["apiVersion"].as_str().unwrap_or_default());
        let group = version.split_once('/').map_or("", |(group, _)| group);
        let row = BUILT_IN.iter().find(|row| Some(row.kind.as_ref()) == kind && row.group == group);
        let row = row.ok_or_else(|| format!("{version} {kind:?} is not served"))?;
        let name = object["metadata"]["name"].as_str().ok_or("an object needs a name")?;
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or("default");
        let mut create = Request::new(Verb::Create, row.preferred());
        create.namespace = if row.namespaced { namespace.to_owned() } else { String::new() };
        create.body = body(&object)?;
        let patch = Request {
            verb: Verb::Patch,
            name: name.to_owned(),
            patch_type: PatchType::Merge,
            ..create.clone()
        };
        match ask(cluster, create).await {
            Err(status) if status.is_already_exists() => ask(cluster, patch).await.map(drop),
            created => created.map(drop),
        }
        .map_err(|status| status.to_string())?;
    }
    Ok(())
}

/// Merges the JSON in `patch` into an object.
pub(super) async fn patch(cluster: &Cluster, plural: &str, name: &str, patch: &str) -> Result<(), String> {
    let patch: Value = serde_json::from_str(patch).map_err(|error| error.to_string())?;
    let request =
        Request { patch_type: PatchType::Merge, body: body(&patch)?, ..on(Verb::Patch, plural, name)? };
    ask(cluster, request).await.map(drop).map_err(|status| status.to_string())
}

/// Deletes an object; one that is gone already is fine.
pub(super) async fn delete(cluster: &Cluster, plural: &str, name: &str) -> Result<(), String> {
    match ask(cluster, on(Verb::Delete, plural, name)?).await {
        Err(status) if !status.is_not_found() => Err(status.to_string()),
        _ => Ok(()),
    }
}

fn on(verb: Verb, plural: &str, name: &str) -> Result<Request, String> {
    let row = resource(plural)?;
    let namespace = if row.namespaced { "default" } else { "" };
    let request = Request::new(verb, row.preferred());
    Ok(Request { name: name.to_owned(), namespace: namespace.to_owned(), ..request })
}

async fn ask(cluster: &Cluster, request: Request) -> Result<Reply, Status> {
    loop {
        match cluster.user().call(request.clone()).await {
            Err(status) if status.code == 503 && cluster.failure().is_none() => {
                tokio::time::sleep(AGAIN_AFTER).await;
            }
            reply => return reply,
        }
    }
}

fn body(value: &Value) -> Result<Bytes, String> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|error| error.to_string())
}
