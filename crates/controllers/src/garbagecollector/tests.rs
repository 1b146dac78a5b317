//! Families of objects against a small server.

use std::sync::Arc;

use decapod_client::{Kind, Options, Request, Verb};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::*;
use crate::testing::cluster::Cluster;

fn resource<K: Kind>(is_namespaced: bool) -> ApiResource {
    let verbs = ["list", "watch", "delete"].map(str::to_owned).to_vec();
    ApiResource { resource: K::resource(), kind: K::KIND.to_owned(), is_namespaced, verbs }
}

async fn started() -> (Cluster, watch::Sender<Arc<Vec<ApiResource>>>) {
    let all = vec![
        resource::<Pod>(true),
        resource::<ReplicaSet>(true),
        resource::<Deployment>(true),
        resource::<ConfigMap>(true),
        resource::<Node>(false),
    ];
    let (sender, receiver) = watch::channel(Arc::new(all));
    let cluster = Cluster::new();
    cluster.start(|wiring| start(wiring, receiver));
    (cluster, sender)
}

fn owner<K: Kind>(name: &str) -> Value {
    json!({"apiVersion": K::API_VERSION, "kind": K::KIND, "name": name, "uid": format!("uid-{name}"), "blockOwnerDeletion": true})
}

fn put<K: Kind>(cluster: &Cluster, name: &str, owners: Vec<Value>) {
    let namespace = if K::URL_PATH_SEGMENT == "nodes" { Value::Null } else { json!("a") };
    let mut metadata = json!({"name": name, "ownerReferences": owners});
    if !namespace.is_null() {
        metadata["namespace"] = namespace;
    }
    cluster.server.put(&K::resource(), json!({"metadata": metadata}));
}

/// A Deployment with a ReplicaSet with two pods.
async fn family() -> (Cluster, watch::Sender<Arc<Vec<ApiResource>>>) {
    let (cluster, sender) = started().await;
    put::<Deployment>(&cluster, "d", vec![]);
    put::<ReplicaSet>(&cluster, "r", vec![owner::<Deployment>("d")]);
    put::<Pod>(&cluster, "p1", vec![owner::<ReplicaSet>("r")]);
    put::<Pod>(&cluster, "p2", vec![owner::<ReplicaSet>("r")]);
    cluster.settle().await;
    assert!(cluster.server.writes().is_empty());
    (cluster, sender)
}

async fn delete(cluster: &Cluster, policy: &str) {
    let mut request = Request::new(Verb::Delete, Deployment::resource());
    (request.namespace, request.name, request.options) = ("a".into(), "d".into(), Options::default());
    request.body = serde_json::to_vec(&json!({"propagationPolicy": policy})).unwrap().into();
    cluster.server.client().call(request).await.map(drop).unwrap();
    cluster.settle().await;
}

fn left(cluster: &Cluster) -> String {
    [cluster.names::<Deployment>(), cluster.names::<ReplicaSet>(), cluster.names::<Pod>()].join(",")
}

#[tokio::test(start_paused = true)]
async fn in_the_background_owners_go_first() {
    let (cluster, _sender) = family().await;
    delete(&cluster, "Background").await;
    assert_eq!(left(&cluster), ",,");
    assert_eq!(cluster.server.writes()[..2], ["delete deployments.apps d", "delete replicasets.apps r"]);
    cluster.env.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn in_the_foreground_dependents_go_first() {
    let (cluster, _sender) = family().await;
    let held = json!({"metadata": {"finalizers": ["example.com/hold"]}});
    cluster.server.change(&Pod::resource(), "a", "p1", held);
    delete(&cluster, "Foreground").await;
    assert_eq!(left(&cluster), "d,r,p1", "p1 is held, and holds the others");
    cluster.server.remove(&Pod::resource(), "a", "p1");
    cluster.settle().await;
    assert_eq!(left(&cluster), ",,");
    cluster.env.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn orphans_stay() {
    let (cluster, _sender) = family().await;
    delete(&cluster, "Orphan").await;
    assert_eq!(left(&cluster), ",r,p1 p2");
    assert_eq!(cluster.get::<ReplicaSet>("a", "r")["metadata"]["ownerReferences"], json!([]));
    cluster.env.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn lost_objects_are_found_and_shared_ones_kept() {
    let (cluster, _sender) = started().await;
    put::<Node>(&cluster, "n", vec![]);
    put::<ConfigMap>(&cluster, "lost", vec![owner::<Pod>("nobody")]);
    put::<ConfigMap>(&cluster, "shared", vec![owner::<Pod>("nobody"), owner::<Node>("n")]);
    put::<ConfigMap>(
        &cluster,
        "unknown",
        vec![json!({"apiVersion": "x/v1", "kind": "X", "name": "x", "uid": "x"})],
    );
    put::<ConfigMap>(
        &cluster,
        "other",
        vec![json!({"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "before"})],
    );
    cluster.settle().await;
    assert_eq!(cluster.names::<ConfigMap>(), "shared unknown");
    let owners = cluster.get::<ConfigMap>("a", "shared")["metadata"]["ownerReferences"].clone();
    assert_eq!(owners.as_array().map(Vec::len), Some(1));
    cluster.env.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn resources_come_and_go() {
    let (cluster, sender) = started().await;
    put::<ConfigMap>(&cluster, "owner", vec![]);
    cluster.settle().await;
    let all = sender.borrow().to_vec();
    sender.send(Arc::new(all.iter().filter(|one| one.kind != "Pod").cloned().collect())).unwrap();
    cluster.settle().await;
    put::<Pod>(&cluster, "p", vec![owner::<ConfigMap>("owner")]);
    cluster.server.remove(&ConfigMap::resource(), "a", "owner");
    cluster.settle().await;
    assert_eq!(cluster.names::<Pod>(), "p", "it is not watched");
    sender.send(Arc::new(all)).unwrap();
    cluster.settle().await;
    assert_eq!(cluster.names::<Pod>(), "");
    cluster.env.shutdown().await;
}
