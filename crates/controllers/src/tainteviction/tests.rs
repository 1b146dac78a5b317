//! Decisions, as a table; and one run.

use std::time::Duration;

use decapod_client::Kind;
use serde_json::{Value, json};

use super::*;
use crate::testing::at;
use crate::testing::cluster::Cluster;

fn taint() -> Value {
    json!({"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"})
}

fn tolerating(seconds: Option<i64>) -> Value {
    let mut toleration =
        json!({"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute"});
    if let Some(seconds) = seconds {
        toleration["tolerationSeconds"] = json!(seconds);
    }
    json!([toleration])
}

#[test]
fn pods_go_when_they_tolerate_it_no_longer() {
    let gone = "event Normal TaintManagerEviction: Marking for deletion Pod x/p\npatch pods/status x/p\ndelete pods x/p\n";
    let table = [
        (json!([]), json!([taint()]), gone),
        (tolerating(Some(300)), json!([taint()]), "again after 200s\n"),
        (tolerating(Some(100)), json!([taint()]), gone),
        (tolerating(None), json!([taint()]), ""),
        (tolerating(None), json!([taint(), {"key": "k", "effect": "NoExecute"}]), gone),
        (tolerating(None), json!([]), "event Normal TaintManagerEviction: Cancelling deletion of Pod x/p\n"),
    ];
    for (tolerations, taints, expected) in table {
        let pod = json!({"metadata": {"name": "p", "namespace": "x", "uid": "u"}, "spec": {"tolerations": tolerations}});
        let (pod, taints) = (serde_json::from_value(pod).unwrap(), serde_json::from_value(taints).unwrap());
        assert_eq!(reconcile::reconcile(&State { pod, taints, since: at(0) }, at(100)).to_string(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_taint_that_is_taken_off_in_time_spares_the_pod() {
    let cluster = Cluster::new();
    let nodes = core::Node::resource();
    cluster.server.put(&nodes, json!({"metadata": {"name": "n"}, "spec": {"taints": [taint()]}}));
    for name in ["one", "two"] {
        cluster.server.put(&core::Pod::resource(), json!({
            "metadata": {"name": name, "namespace": "x"}, "spec": {"nodeName": "n", "tolerations": tolerating(Some(300))},
        }));
    }
    cluster.start(start);
    tokio::time::sleep(Duration::from_secs(299)).await;
    assert_eq!(cluster.server.writes().len(), 0);
    cluster.server.change(&nodes, "", "n", json!({"spec": {"taints": []}}));
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(cluster.server.writes().len(), 0);
    cluster.server.change(&nodes, "", "n", json!({"spec": {"taints": [taint()]}}));
    tokio::time::sleep(Duration::from_secs(301)).await;
    let two = cluster.get::<core::Pod>("x", "two");
    assert_eq!(two["status"]["conditions"][0]["reason"], "DeletionByTaintManager");
    assert!(two["metadata"]["deletionTimestamp"].is_string());
    cluster.env.shutdown().await;
}
