//! Runs against a small server.

use decapod_client::Kind;
use serde_json::{Value, json};

use super::*;
use crate::testing::cluster::Cluster;
use crate::testing::time;

fn put(cluster: &Cluster, name: &str, change: Value) {
    let mut pod =
        json!({"metadata": {"name": name, "namespace": "x"}, "spec": {}, "status": {"phase": "Running"}});
    crate::testing::merge(&mut pod, &change);
    cluster.server.put(&core::Pod::resource(), pod);
}

#[tokio::test(start_paused = true)]
async fn pods_of_lost_nodes_and_unbound_ones_that_are_to_go_are_removed() {
    let cluster = Cluster::new();
    let nodes = core::Node::resource();
    cluster.server.put(&nodes, json!({"metadata": {"name": "n"}}));
    let out = json!({"metadata": {"name": "out"}, "spec": {"taints": [{"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}]}});
    cluster.server.put(&nodes, out);
    let going = json!({"deletionTimestamp": time(0), "finalizers": []});
    put(&cluster, "fine", json!({"spec": {"nodeName": "n"}}));
    put(&cluster, "going", json!({"metadata": going, "spec": {"nodeName": "n"}}));
    put(&cluster, "unbound", json!({"metadata": going, "status": {"phase": "Pending"}}));
    put(&cluster, "lost", json!({"spec": {"nodeName": "nowhere"}}));
    put(&cluster, "stuck", json!({"metadata": going, "spec": {"nodeName": "out"}}));
    cluster.start(|wiring| start(wiring, 0));
    cluster.settle().await;
    assert_eq!(cluster.names::<core::Pod>(), "fine going lost");
    tokio::time::sleep(Duration::from_secs(41)).await;
    assert_eq!(cluster.names::<core::Pod>(), "fine going");
    cluster.server.remove(&nodes, "", "n");
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(cluster.names::<core::Pod>(), "fine going");
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(cluster.names::<core::Pod>(), "");
    cluster.env.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn ended_pods_beyond_the_threshold_go_evicted_and_old_ones_first() {
    let cluster = Cluster::new();
    for (name, created, reason) in
        [("old", 1, ""), ("young", 3, ""), ("evicted", 9, "Evicted"), ("middle", 2, "")]
    {
        let status = json!({"phase": "Failed", "reason": reason});
        put(&cluster, name, json!({"metadata": {"creationTimestamp": time(created)}, "status": status}));
    }
    cluster.start(|wiring| start(wiring, 2));
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(cluster.names::<core::Pod>(), "middle young");
    cluster.env.shutdown().await;
}
