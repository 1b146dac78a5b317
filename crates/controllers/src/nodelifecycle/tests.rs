//! Taints, as a table; and nodes that fall silent.

use std::time::Duration;

use decapod_client::Kind;
use serde_json::{Value, json};

use super::*;
use crate::testing::cluster::Cluster;

fn node(name: &str, ready: &str, spec: Value) -> Value {
    let conditions = if ready.is_empty() { json!([]) } else { json!([{"type": "Ready", "status": ready}]) };
    json!({"metadata": {"name": name}, "spec": spec, "status": {"conditions": conditions}})
}

#[test]
fn taints_follow_from_conditions() {
    let foreign = json!({"key": "dedicated", "effect": "NoSchedule"});
    let table = [
        ("True", json!({}), false, ""),
        ("False", json!({}), false, "not-ready:NoSchedule not-ready:NoExecute"),
        ("Unknown", json!({}), false, "unreachable:NoSchedule unreachable:NoExecute"),
        ("Unknown", json!({}), true, "unreachable:NoSchedule"),
        ("True", json!({"unschedulable": true}), false, "unschedulable:NoSchedule"),
        (
            "True",
            json!({"taints": [foreign, {"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"}]}),
            false,
            "dedicated:NoSchedule",
        ),
        (
            "",
            json!({"taints": [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]}),
            false,
            "not-ready:NoSchedule",
        ),
    ];
    for (ready, spec, are_all_down, expected) in table {
        let node: Node = serde_json::from_value(node("n", ready, spec)).unwrap();
        let taints = taints::wanted(&node, are_all_down, crate::testing::at(0));
        let line: Vec<String> = taints
            .iter()
            .map(|taint| format!("{}:{}", taint.key.trim_start_matches("node.kubernetes.io/"), taint.effect))
            .collect();
        assert_eq!(line.join(" "), expected, "{ready}");
    }
}

fn readiness(cluster: &Cluster, name: &str) -> String {
    let node = cluster.get::<core::Node>("", name);
    node["status"]["conditions"][0]["status"].as_str().unwrap_or("none").to_owned()
}

fn renew(cluster: &Cluster, name: &str) {
    let renewal = json!({"renewTime": cluster.env.now().to_string()});
    cluster
        .server
        .put(&Lease::resource(), json!({"metadata": {"name": name, "namespace": LEASES}, "spec": renewal}));
}

#[tokio::test(start_paused = true)]
async fn a_silent_node_is_unreachable_until_it_speaks() {
    let cluster = Cluster::new();
    let nodes = core::Node::resource();
    for name in ["a", "b"] {
        cluster.server.put(&nodes, node(name, "True", json!({})));
    }
    let ready = json!({"conditions": [{"type": "Ready", "status": "True"}], "phase": "Running"});
    cluster.server.put(
        &core::Pod::resource(),
        json!({
            "metadata": {"name": "p", "namespace": "x"}, "spec": {"nodeName": "b"}, "status": ready,
        }),
    );
    cluster.start(start);
    for _ in 0..6 {
        renew(&cluster, "a");
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    assert_eq!((readiness(&cluster, "a"), readiness(&cluster, "b")), ("True".into(), "Unknown".into()));
    assert!(
        cluster
            .server
            .events()
            .contains(&"Normal NodeNotReady: Node b status is now: NodeNotReady".to_owned())
    );
    let taints = cluster.get::<core::Node>("", "b")["spec"]["taints"].clone();
    assert_eq!(taints.as_array().map(Vec::len), Some(2), "{taints}");
    assert_eq!(cluster.get::<core::Pod>("x", "p")["status"]["conditions"][0]["status"], "False");

    let heartbeat = cluster.env.now().to_string();
    cluster.server.change(&nodes, "", "b", json!({"status": {"conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": heartbeat}]}}));
    cluster.settle().await;
    assert_eq!(cluster.get::<core::Node>("", "b")["spec"]["taints"], json!([]));
    cluster.env.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn nobody_is_driven_off_when_all_nodes_are_down() {
    let cluster = Cluster::new();
    for name in ["a", "b"] {
        cluster.server.put(&core::Node::resource(), node(name, "True", json!({})));
    }
    cluster.start(start);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let effects = |name: &str| {
        let taints = cluster.get::<core::Node>("", name)["spec"]["taints"].clone();
        taints
            .as_array()
            .unwrap()
            .iter()
            .map(|taint| taint["effect"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!((effects("a"), effects("b")), (vec!["NoSchedule".to_owned()], vec!["NoSchedule".to_owned()]));
    cluster.env.shutdown().await;
}
