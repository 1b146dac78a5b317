//! Placement, as a table; and rollouts against a small server.

use decapod_client::Kind;
use serde_json::{Value, json};

use super::*;
use crate::testing::cluster::Cluster;

fn set(change: Value) -> Value {
    let mut set = json!({
        "metadata": {"name": "agent", "namespace": "a"},
        "spec": {
            "selector": {"matchLabels": {"app": "agent"}}, "revisionHistoryLimit": 1,
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}},
            "template": {"metadata": {"labels": {"app": "agent"}}, "spec": {"containers": [{"name": "c", "image": "one"}]}},
        },
    });
    crate::testing::merge(&mut set, &json!({"spec": change}));
    set
}

#[test]
fn nodes_that_fit() {
    let node = |labels: Value, taints: Value| -> Node {
        serde_json::from_value(
            json!({"metadata": {"name": "n", "labels": labels}, "spec": {"taints": taints}}),
        )
        .unwrap()
    };
    let taint = |key: &str, effect: &str| json!([{"key": key, "effect": effect}]);
    let spec = |spec: Value| json!({"template": {"spec": spec}});
    let table = [
        (spec(json!({})), json!({}), json!([]), (true, true)),
        (spec(json!({})), json!({}), taint("dedicated", "NoSchedule"), (false, true)),
        (spec(json!({})), json!({}), taint("dedicated", "NoExecute"), (false, false)),
        (spec(json!({})), json!({}), taint("node.kubernetes.io/not-ready", "NoExecute"), (true, true)),
        (spec(json!({})), json!({}), taint("node.kubernetes.io/unschedulable", "NoSchedule"), (true, true)),
        (
            spec(json!({})),
            json!({}),
            taint("node.kubernetes.io/network-unavailable", "NoSchedule"),
            (false, true),
        ),
        (
            spec(json!({"hostNetwork": true})),
            json!({}),
            taint("node.kubernetes.io/network-unavailable", "NoSchedule"),
            (true, true),
        ),
        (spec(json!({"nodeSelector": {"disk": "ssd"}})), json!({"disk": "ssd"}), json!([]), (true, true)),
        (spec(json!({"nodeSelector": {"disk": "ssd"}})), json!({}), json!([]), (false, false)),
        (spec(json!({"nodeName": "other"})), json!({}), json!([]), (false, false)),
    ];
    for (change, labels, taints, (should_run, may_stay)) in table {
        let set: DaemonSet = serde_json::from_value(set(change.clone())).unwrap();
        let fit = placement::fit(&set, &node(labels, taints.clone()));
        assert_eq!(fit, placement::Fit { should_run, may_stay }, "{change} {taints}");
    }
}

fn put_node(cluster: &Cluster, name: &str) {
    cluster.server.put(&core::Node::resource(), json!({"metadata": {"name": name}, "spec": {}}));
}

async fn started(nodes: &[&str], change: Value) -> Cluster {
    let cluster = Cluster::new();
    nodes.iter().for_each(|name| put_node(&cluster, name));
    cluster.server.put(&DaemonSet::resource(), set(change));
    cluster.start(start);
    cluster.settle().await;
    cluster
}

/// Binds pods to the nodes that they are for, and runs them.
async fn run(cluster: &Cluster) {
    for pod in cluster.server.list(&core::Pod::resource()) {
        if pod["spec"]["nodeName"].is_null() {
            let terms = &pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
                ["nodeSelectorTerms"];
            let node = terms[0]["matchFields"][0]["values"][0].clone();
            let ready = json!({"type": "Ready", "status": "True", "lastTransitionTime": cluster.env.now().to_string()});
            let change =
                json!({"spec": {"nodeName": node}, "status": {"phase": "Running", "conditions": [ready]}});
            cluster.server.change(
                &core::Pod::resource(),
                "a",
                pod["metadata"]["name"].as_str().unwrap(),
                change,
            );
        } else if !pod["metadata"]["deletionTimestamp"].is_null() {
            cluster.server.remove(&core::Pod::resource(), "a", pod["metadata"]["name"].as_str().unwrap());
        }
    }
    cluster.settle().await;
}

/// Pods by image, those that are going left out.
fn images(cluster: &Cluster) -> String {
    let pods = cluster.server.list(&core::Pod::resource());
    let staying = pods.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
    let mut images: Vec<&str> =
        staying.map(|pod| pod["spec"]["containers"][0]["image"].as_str().unwrap()).collect();
    images.sort();
    images.join(" ")
}

fn status(cluster: &Cluster) -> Value {
    cluster.get::<DaemonSet>("a", "agent")["status"].clone()
}

fn set_image(cluster: &Cluster, image: &str) {
    let change = json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}});
    cluster.server.change(&DaemonSet::resource(), "a", "agent", change);
}

#[tokio::test(start_paused = true)]
async fn every_node_gets_one_and_loses_it() {
    let cluster = started(&["n1", "n2"], json!({})).await;
    assert_eq!(cluster.count(&core::Pod::resource()), 2);
    run(&cluster).await;
    let now = status(&cluster);
    assert_eq!(
        (&now["desiredNumberScheduled"], &now["numberAvailable"], &now["updatedNumberScheduled"]),
        (&json!(2), &json!(2), &json!(2))
    );
    put_node(&cluster, "n3");
    cluster.settle().await;
    assert_eq!(cluster.count(&core::Pod::resource()), 3);
    let pod = &cluster.server.list(&core::Pod::resource())[2];
    assert!(pod["metadata"]["labels"]["controller-revision-hash"].is_string());
    assert_eq!(pod["spec"]["tolerations"].as_array().map(Vec::len), Some(6));
    let taint = json!({"spec": {"taints": [{"key": "k", "effect": "NoExecute"}]}});
    cluster.server.change(&core::Node::resource(), "", "n1", taint);
    cluster.settle().await;
    assert_eq!(status(&cluster)["numberMisscheduled"], 1);
    run(&cluster).await;
    assert_eq!(cluster.count(&core::Pod::resource()), 2);
    cluster.env.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn it_rolls_one_node_at_a_time_and_keeps_history() {
    let cluster = started(&["n1", "n2"], json!({})).await;
    run(&cluster).await;
    set_image(&cluster, "two");
    cluster.settle().await;
    assert_eq!(images(&cluster), "one");
    run(&cluster).await;
    run(&cluster).await;
    assert_eq!(images(&cluster), "two");
    for _ in 0..3 {
        run(&cluster).await;
    }
    assert_eq!(images(&cluster), "two two");
    assert_eq!(cluster.count(&ControllerRevision::resource()), 2);
    set_image(&cluster, "one");
    cluster.settle().await;
    let revisions = cluster.server.list(&ControllerRevision::resource());
    let mut numbers: Vec<i64> =
        revisions.iter().map(|revision| revision["revision"].as_i64().unwrap()).collect();
    numbers.sort();
    assert_eq!(numbers, [2, 3], "the old revision is the newest again");
    cluster.env.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_surge_brings_the_new_before_the_old_goes() {
    let surge = json!({"updateStrategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}});
    let cluster = started(&["n1", "n2"], surge).await;
    run(&cluster).await;
    set_image(&cluster, "two");
    cluster.settle().await;
    assert_eq!(images(&cluster), "one one two");
    run(&cluster).await;
    assert_eq!(images(&cluster), "one two two");
    for _ in 0..4 {
        run(&cluster).await;
    }
    assert_eq!(images(&cluster), "two two");
    cluster.env.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn on_delete_waits_and_failed_pods_are_replaced() {
    let cluster =
        started(&["n1"], json!({"updateStrategy": {"type": "OnDelete", "rollingUpdate": null}})).await;
    run(&cluster).await;
    set_image(&cluster, "two");
    cluster.settle().await;
    run(&cluster).await;
    assert_eq!(images(&cluster), "one");
    let name = cluster.names::<core::Pod>();
    cluster.server.change(&core::Pod::resource(), "a", &name, json!({"status": {"phase": "Failed"}}));
    cluster.settle().await;
    assert_eq!(images(&cluster), "two");
    assert!(
        cluster
            .server
            .events()
            .iter()
            .any(|event| event.starts_with("Warning FailedDaemonPod: Found failed daemon pod a/agent-"))
    );
    cluster.env.shutdown().await;
}
