//! Decisions, as text.

use decapod_api::Status;
use serde_json::{Value, json};

use super::reconcile::reconcile;
use super::*;
use crate::testing::{at, object, time};

fn set(replicas: i32) -> ReplicaSet {
    serde_json::from_value(json!({
        "metadata": {"name": "web", "namespace": "a", "uid": "set", "generation": 2},
        "spec": {
            "replicas": replicas, "minReadySeconds": 10,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c"}]}},
        },
    }))
    .unwrap()
}

/// A pod of the ReplicaSet, ready since second `since` unless that is negative.
fn pod(name: &str, since: i64, change: Value) -> Pod {
    let mut pod = json!({
        "metadata": {
            "name": name, "namespace": "a", "uid": name, "labels": {"app": "web"}, "creationTimestamp": time(0),
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "set", "controller": true}],
        },
        "spec": {"nodeName": "n1"},
        "status": {"phase": "Running"},
    });
    if since >= 0 {
        pod["status"]["conditions"] =
            json!([{"type": "Ready", "status": "True", "lastTransitionTime": time(since)}]);
    }
    crate::testing::merge(&mut pod, &change);
    serde_json::from_value(pod).unwrap()
}

fn state(replicas: i32, pods: Vec<Pod>) -> State<ReplicaSet> {
    State { original: set(replicas), set: set(replicas), pods, related: Vec::new() }
}

fn decide(state: &State<ReplicaSet>, live: &Live) -> Plan {
    reconcile(state, live, at(100))
}

fn status(plan: &Plan) -> Value {
    let write = plan.writes().find(|write| write.request.subresource == "status").expect("a status");
    write.body()["status"].clone()
}

#[test]
fn it_creates_what_is_missing() {
    let plan = decide(&state(3, vec![pod("one", 50, json!({}))]), &Live::default());
    assert_eq!(
        plan.to_string(),
        "update replicasets.apps/status a/web\ncreate pods a/web-\ncreate pods a/web-\n"
    );
    let created = plan.writes().last().unwrap().body();
    assert_eq!(created["metadata"]["labels"], json!({"app": "web"}));
    assert_eq!(created["metadata"]["ownerReferences"][0]["uid"], "set");
    assert_eq!(created["spec"]["containers"][0]["name"], "c");
    assert_eq!(
        status(&plan),
        json!({"replicas": 1, "fullyLabeledReplicas": 1, "readyReplicas": 1, "availableReplicas": 1,
            "terminatingReplicas": 0, "observedGeneration": 2})
    );
}

#[test]
fn it_deletes_the_least_worth_keeping() {
    let pods = vec![
        pod("old", 10, json!({})),
        pod(
            "dear",
            90,
            json!({"metadata": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": "5"}}}),
        ),
        pod("unready", -1, json!({})),
        pod("pending", -1, json!({"status": {"phase": "Pending"}})),
        pod("unbound", -1, json!({"spec": {"nodeName": ""}})),
        pod("young", 99, json!({})),
        pod("gone", 10, json!({"status": {"phase": "Failed"}})),
        pod("going", 10, json!({"metadata": {"deletionTimestamp": time(99)}})),
    ];
    let names = |replicas: i32| {
        let plan = decide(&state(replicas, pods.clone()), &Live::default());
        let deleted: Vec<String> = plan
            .writes()
            .filter(|write| write.request.verb == decapod_client::Verb::Delete)
            .map(|write| write.request.name.clone())
            .collect();
        deleted.join(" ")
    };
    assert_eq!(names(6), "");
    assert_eq!(names(2), "unbound pending unready young");
    assert_eq!(names(1), "unbound pending unready young old");
}

#[test]
fn pods_on_crowded_nodes_go_first() {
    let on = |name: &str, node: &str| pod(name, 10, json!({"spec": {"nodeName": node}}));
    let mut state = state(2, vec![on("one", "n1"), on("two", "n2"), on("three", "n1")]);
    state.related = vec![on("x", "n2"), on("y", "n2"), on("z", "n1")];
    assert!(decide(&state, &Live::default()).to_string().ends_with("delete pods a/two\n"));
}

#[test]
fn it_looks_again_when_a_pod_becomes_available() {
    let plan = decide(&state(1, vec![pod("one", 95, json!({}))]), &Live::default());
    assert_eq!(plan.again_after.unwrap().as_secs(), 5);
    assert_eq!(status(&plan).get("availableReplicas"), None);
}

#[test]
fn it_adopts_orphans_after_a_look_and_releases_strangers() {
    let orphan = pod("orphan", 10, json!({"metadata": {"ownerReferences": []}}));
    let stranger = pod("stranger", 10, json!({"metadata": {"labels": {"app": "db"}}}));
    let state = state(2, vec![orphan, stranger]);
    let plan = decide(&state, &Live::default());
    assert_eq!(plan.to_string(), "read replicasets.apps a/web\npatch pods a/stranger\n");

    let read = plan.reads[0].clone();
    let mut live = Live::default();
    live.answer(read.clone(), Some(object(json!({"metadata": {"name": "web", "uid": "set"}}))));
    let plan = decide(&state, &live);
    assert_eq!(plan.to_string(), "patch pods a/orphan\npatch pods a/stranger\n");
    let adopt = plan.writes().next().unwrap().body();
    assert_eq!(adopt["metadata"]["uid"], "orphan");
    assert_eq!(adopt["metadata"]["ownerReferences"][0]["controller"], true);

    let mut live = Live::default();
    live.answer(read, Some(object(json!({"metadata": {"uid": "set", "deletionTimestamp": time(99)}}))));
    assert_eq!(decide(&state, &live).to_string(), "patch pods a/stranger\n");
}

#[test]
fn it_says_why_it_cannot() {
    let live = Live::after(Some(Status::bad_request("no room")));
    let plan = decide(&state(1, vec![]), &live);
    let condition = &status(&plan)["conditions"][0];
    assert_eq!(condition["reason"], "FailedCreate");
    assert_eq!(condition["message"], "no room");

    let mut failing = state(1, vec![pod("one", 10, json!({}))]);
    failing.set.status = serde_json::from_value(json!({"replicas": 0, "conditions": [condition]})).unwrap();
    assert_eq!(status(&decide(&failing, &Live::default())).get("conditions"), None);
}

#[test]
fn it_leaves_a_set_alone_that_goes_away() {
    let mut state = state(3, vec![]);
    state.set.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(1)));
    assert_eq!(decide(&state, &Live::default()).to_string(), "update replicasets.apps/status a/web\n");
}

#[tokio::test(start_paused = true)]
async fn a_replication_controller_is_kept_in_the_same_way() {
    let cluster = crate::testing::cluster::Cluster::new();
    let controllers = <ReplicationController as decapod_client::Kind>::resource();
    cluster.server.put(
        &controllers,
        json!({"metadata": {"name": "old", "namespace": "a"}, "spec": {
            "replicas": 2, "selector": {"app": "old"},
            "template": {"metadata": {"labels": {"app": "old"}}, "spec": {"containers": [{"name": "c"}]}},
        }}),
    );
    cluster.start(start);
    cluster.settle().await;
    cluster.run_pods().await;
    let pods = cluster.server.list(&<core::Pod as decapod_client::Kind>::resource());
    assert_eq!(pods.len(), 2);
    let owner = &pods[0]["metadata"]["ownerReferences"][0];
    assert_eq!((&owner["apiVersion"], &owner["kind"]), (&json!("v1"), &json!("ReplicationController")));
    let status = &cluster.get::<ReplicationController>("a", "old")["status"];
    assert_eq!(
        *status,
        json!({"replicas": 2, "fullyLabeledReplicas": 2, "readyReplicas": 2, "availableReplicas": 2,
            "observedGeneration": 1})
    );
    assert!(cluster.server.events()[0].starts_with("Normal SuccessfulCreate: Created pod: old-"));
    cluster.env.shutdown().await;
}
