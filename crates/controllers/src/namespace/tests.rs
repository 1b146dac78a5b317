//! A namespace goes away, with all that is in it.

use std::sync::Arc;
use std::time::Duration;

use decapod_client::Kind;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use serde_json::json;
use tokio::sync::watch;

use super::*;
use crate::testing::cluster::Cluster;

fn resource<K: Kind>(deletes_many: bool) -> ApiResource {
    let mut verbs = vec!["list".to_owned(), "delete".to_owned()];
    verbs.extend(deletes_many.then(|| "deletecollection".to_owned()));
    ApiResource { resource: K::resource(), kind: K::KIND.to_owned(), is_namespaced: true, verbs }
}

#[tokio::test(start_paused = true)]
async fn pods_go_first_then_the_rest_then_the_namespace() {
    let cluster = Cluster::new();
    let server = &cluster.server;
    let namespace = json!({"metadata": {"name": "a"}, "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}});
    server.put(&Namespace::resource(), namespace);
    for name in ["one", "two"] {
        server.put(&ConfigMap::resource(), json!({"metadata": {"name": name, "namespace": "a"}}));
    }
    server.put(&ConfigMap::resource(), json!({"metadata": {"name": "other", "namespace": "b"}}));
    let pod = json!({"metadata": {"name": "p", "namespace": "a"}, "spec": {"nodeName": "n", "terminationGracePeriodSeconds": 30}});
    server.put(&Pod::resource(), pod);
    let (_sender, resources) =
        watch::channel(Arc::new(vec![resource::<Pod>(true), resource::<ConfigMap>(false)]));
    cluster.start(|wiring| start(wiring, resources));
    cluster.settle().await;
    assert!(server.writes().is_empty(), "it is there to stay");

    server.change(
        &Namespace::resource(),
        "",
        "a",
        json!({"metadata": {"deletionTimestamp": crate::testing::time(0)}}),
    );
    cluster.settle().await;
    assert_eq!(
        server.writes().join(", "),
        "update namespaces/status a, deletecollection pods, update namespaces/status a"
    );
    let status = cluster.get::<Namespace>("", "a")["status"].clone();
    assert_eq!(status["phase"], "Terminating");
    assert_eq!(
        status["conditions"][3]["message"],
        "Some resources are remaining: pods. has 1 resource instances"
    );

    // The kubelet has ended it; nobody had to wait for a timer.
    server.remove(&Pod::resource(), "a", "p");
    cluster.settle().await;
    assert_eq!(
        server.writes().join(", "),
        "delete configmaps one, delete configmaps two, update namespaces/finalize a"
    );
    assert_eq!(cluster.names::<Namespace>(), "");
    assert_eq!(cluster.names::<ConfigMap>(), "other");
    cluster.env.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn what_nobody_can_see_into_may_hold_something() {
    let cluster = Cluster::new();
    let server = &cluster.server;
    server.put(
        &Namespace::resource(),
        json!({
            "metadata": {"name": "a", "deletionTimestamp": crate::testing::time(0)},
            "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Terminating"},
        }),
    );
    let stale = crate::undiscovered("ducks".to_owned(), "v1".to_owned());
    let (sender, resources) = watch::channel(Arc::new(vec![resource::<ConfigMap>(true), stale]));
    cluster.start(|wiring| start(wiring, resources));
    cluster.settle().await;
    let conditions = cluster.get::<Namespace>("", "a")["status"]["conditions"].clone();
    assert_eq!(
        conditions[0]["message"],
        "Discovery failed for some groups, 1 failing: unable to retrieve the complete list of server APIs: \
         ducks/v1: stale GroupVersion discovery: ducks/v1"
    );
    sender.send(Arc::new(vec![resource::<ConfigMap>(true)])).unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(cluster.names::<Namespace>(), "");
    cluster.env.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn finalizers_are_waited_for_and_told_of() {
    let cluster = Cluster::new();
    let server = &cluster.server;
    server.put(
        &Namespace::resource(),
        json!({
            "metadata": {"name": "a", "deletionTimestamp": crate::testing::time(0)},
            "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Terminating"},
        }),
    );
    let held = json!({"metadata": {"name": "one", "namespace": "a", "finalizers": ["example.com/hold"]}});
    server.put(&ConfigMap::resource(), held);
    let (_sender, resources) = watch::channel(Arc::new(vec![resource::<ConfigMap>(true)]));
    cluster.start(|wiring| start(wiring, resources));
    cluster.settle().await;
    let conditions = cluster.get::<Namespace>("", "a")["status"]["conditions"].clone();
    assert_eq!(
        conditions[4]["message"],
        "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances"
    );
    server.change(&ConfigMap::resource(), "a", "one", json!({"metadata": {"finalizers": null}}));
    server.remove(&ConfigMap::resource(), "a", "one");
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(cluster.names::<Namespace>(), "");
    cluster.env.shutdown().await;
}
