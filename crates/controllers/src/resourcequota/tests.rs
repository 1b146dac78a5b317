//! Runs.

use std::sync::Arc;

use decapod_client::Kind;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use serde_json::{Value, json};

use super::*;
use crate::testing::cluster::Cluster;

fn served() -> Vec<ApiResource> {
    let verbs = ["list", "watch", "delete"].map(str::to_owned).to_vec();
    let of = |resource: GroupVersionResource, kind: &str| ApiResource {
        resource,
        kind: kind.to_owned(),
        is_namespaced: true,
        verbs: verbs.clone(),
    };
    vec![of(Pod::resource(), "Pod"), of(ConfigMap::resource(), "ConfigMap")]
}

fn pod(name: &str, cpu: &str, class: &str) -> Value {
    json!({"metadata": {"name": name, "namespace": "a"}, "spec": {"priorityClassName": class,
        "containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]}})
}

fn used(cluster: &Cluster, name: &str) -> Value {
    cluster.get::<ResourceQuota>("a", name)["status"]["used"].clone()
}

#[tokio::test(start_paused = true)]
async fn what_is_there_is_counted_and_what_goes_is_given_back() {
    let cluster = Cluster::new();
    let (quotas, pods) = (ResourceQuota::resource(), Pod::resource());
    let hard = json!({"pods": "5", "requests.cpu": "2", "count/configmaps": "3", "count/x.example.com": "1"});
    cluster
        .server
        .put(&quotas, json!({"metadata": {"name": "all", "namespace": "a"}, "spec": {"hard": hard}}));
    let scope =
        json!({"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}]});
    let spec = json!({"hard": {"pods": "1"}, "scopeSelector": scope});
    cluster.server.put(&quotas, json!({"metadata": {"name": "high", "namespace": "a"}, "spec": spec}));
    cluster.server.put(&pods, pod("one", "300m", "low"));
    cluster.server.put(&pods, pod("two", "700m", "high"));
    cluster.server.put(&ConfigMap::resource(), json!({"metadata": {"name": "c", "namespace": "a"}}));
    cluster.server.put(&ConfigMap::resource(), json!({"metadata": {"name": "c", "namespace": "b"}}));
    let (sender, resources) = tokio::sync::watch::channel(Arc::new(served()));
    cluster.start(|wiring| start(wiring, resources));
    cluster.settle().await;
    assert_eq!(used(&cluster, "all"), json!({"pods": "2", "requests.cpu": "1", "count/configmaps": "1"}));
    assert_eq!(used(&cluster, "high"), json!({"pods": "1"}));
    assert_eq!(cluster.get::<ResourceQuota>("a", "all")["status"]["hard"], hard);

    cluster.server.writes();
    cluster.server.change(&pods, "a", "one", json!({"status": {"phase": "Succeeded"}}));
    cluster.settle().await;
    assert_eq!(used(&cluster, "all")["requests.cpu"], "700m");
    assert_eq!(used(&cluster, "all")["pods"], "1");
    cluster.server.remove(&ConfigMap::resource(), "a", "c");
    cluster.settle().await;
    assert_eq!(used(&cluster, "all")["count/configmaps"], "0");
    cluster.server.change(
        &quotas,
        "a",
        "all",
        json!({"spec": {"hard": {"pods": null, "requests.cpu": "3"}}}),
    );
    cluster.settle().await;
    assert_eq!(used(&cluster, "all").get("pods"), None);
    assert_eq!(cluster.get::<ResourceQuota>("a", "all")["status"]["hard"]["requests.cpu"], "3");
    assert_eq!(cluster.server.writes().len(), 3);
    drop(sender);
    cluster.env.shutdown().await;
}

#[test]
fn an_informer_that_may_be_behind_is_not_believed() {
    let quota = json!({"metadata": {"name": "q", "namespace": "a"}, "spec": {"hard": {"pods": "5"}},
        "status": {"hard": {"pods": "5"}, "used": {"pods": "1"}}});
    let counted = Counted {
        evaluator: Evaluator::Pods,
        resource: Pod::resource(),
        objects: Vec::new(),
        is_behind: true,
    };
    let state = State {
        quota: serde_json::from_value(quota.clone()).unwrap(),
        draft: decapod_api::value::from_json(quota),
        counted: vec![counted],
    };
    let mut live = Live::default();
    let plan = reconcile::reconcile(&state, &live, Timestamp::UNIX_EPOCH);
    assert_eq!(plan.to_string(), "list pods a\n");
    live.answer_list(plan.reads[0].clone(), vec![crate::testing::object(pod("one", "1", ""))]);
    let plan = reconcile::reconcile(&state, &live, Timestamp::UNIX_EPOCH);
    assert_eq!(plan.to_string(), "again after 300s\n");
}
