//! Nodes come, get unready and go.

use decapod_client::Kind;
use serde_json::json;

use super::*;
use crate::testing::cluster::Cluster;

#[tokio::test(start_paused = true)]
async fn the_service_follows_the_nodes() {
    let cluster = Cluster::new();
    let nodes = core::Node::resource();
    let put = |name: &str, index: u8, label: &str, ready: &str| {
        let labels = json!({LABEL: label});
        let status = json!({"conditions": [{"type": "Ready", "status": ready}]});
        let spec = json!({"podCIDR": format!("10.42.{index}.0/24")});
        cluster.server.put(
            &nodes,
            json!({"metadata": {"name": name, "labels": labels}, "spec": spec, "status": status}),
        );
    };
    cluster.start(start);
    cluster.settle().await;
    assert_eq!(cluster.count(&EndpointSlice::resource()), 0);
    put("b", 1, "true", "True");
    put("a", 0, "true", "True");
    put("other", 2, "false", "True");
    cluster.settle().await;
    let slice = || {
        let slice = cluster.get::<EndpointSlice>(NAMESPACE, NAME);
        let line = |one: &serde_json::Value| {
            format!(
                "{} {} {}",
                one["addresses"][0], one["conditions"]["ready"], one["hints"]["forNodes"][0]["name"]
            )
        };
        slice["endpoints"].as_array().unwrap().iter().map(line).collect::<Vec<_>>()
    };
    assert_eq!(slice(), [r#""10.42.0.1" true "a""#, r#""10.42.1.1" true "b""#]);
    cluster.server.change(
        &nodes,
        "",
        "b",
        json!({"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}}),
    );
    cluster.settle().await;
    assert_eq!(slice(), [r#""10.42.0.1" true "a""#, r#""10.42.1.1" false "b""#]);
    cluster.server.remove(&nodes, "", "b");
    cluster.settle().await;
    assert_eq!(slice(), [r#""10.42.0.1" true "a""#]);
    cluster.env.shutdown().await;
}
