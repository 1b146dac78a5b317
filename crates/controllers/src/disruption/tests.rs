//! Decisions, as tables; and a run.

use std::collections::BTreeMap;

use decapod_client::Kind;
use serde_json::{Value, json};

use super::reconcile::reconcile;
use super::scale::Scale;
use super::*;
use crate::testing::cluster::Cluster;
use crate::testing::{at, object, time};

fn budget(spec: Value, status: Value) -> Box<PodDisruptionBudget> {
    let budget =
        json!({"metadata": {"name": "b", "namespace": "a", "generation": 3}, "spec": spec, "status": status});
    Box::new(serde_json::from_value(budget).unwrap())
}

/// Pods of the controller `set`, as `name state`.
fn pods(text: &str) -> Vec<Pod> {
    let pod = |text: &str| {
        let (name, state) = text.split_once(' ').unwrap();
        let mut pod = json!({"metadata": {"name": name, "namespace": "a", "uid": name, "ownerReferences": [
            {"apiVersion": "x/v1", "kind": "Set", "name": "set", "uid": "set", "controller": true}]}});
        match state {
            "ready" => pod["status"] = json!({"conditions": [{"type": "Ready", "status": "True"}]}),
            "going" => pod["metadata"]["deletionTimestamp"] = json!(time(0)),
            "alone" => pod["metadata"]["ownerReferences"] = json!([]),
            _ => {}
        }
        serde_json::from_value(pod).unwrap()
    };
    text.split(", ").filter(|text| !text.is_empty()).map(pod).collect()
}

fn scales(scale: Scale) -> BTreeMap<String, Scale> {
    [("set".to_owned(), scale)].into()
}

/// `healthy/desired/expected allowed reason`, as a decision says it.
fn decide(spec: Value, status: Value, text: &str) -> String {
    let scales = scales(Scale::Known("set".into(), 4));
    let state = State::Budget { budget: budget(spec, status), pods: pods(text), scales };
    let plan = reconcile(&state, &Live::default(), at(100));
    let Some(write) = plan.writes().next() else { return String::new() };
    let status = write.body()["status"].clone();
    let number = |field: &str| status[field].as_i64().unwrap_or(0);
    format!(
        "{}/{}/{} {} {}",
        number("currentHealthy"),
        number("desiredHealthy"),
        number("expectedPods"),
        number("disruptionsAllowed"),
        status["conditions"][0]["reason"].as_str().unwrap()
    )
}

#[test]
fn as_many_may_go_as_are_to_spare() {
    let three = "p ready, q ready, r ready";
    let evicted = |seconds: i64| json!({"disruptedPods": {"p": time(seconds)}});
    let table = [
        (json!({"minAvailable": 2}), json!({}), three, "3/2/3 1 SufficientPods"),
        (json!({"minAvailable": 3}), json!({}), three, "3/3/3 0 InsufficientPods"),
        (json!({"minAvailable": 1}), json!({}), "", "0/1/0 0 InsufficientPods"),
        (json!({"minAvailable": 0}), json!({}), "", "0/0/0 0 InsufficientPods"),
        (json!({"minAvailable": "50%"}), json!({}), three, "3/2/4 1 SufficientPods"),
        (json!({"maxUnavailable": 2}), json!({}), three, "3/2/4 1 SufficientPods"),
        (json!({"maxUnavailable": "30%"}), json!({}), three, "3/2/4 1 SufficientPods"),
        (json!({"maxUnavailable": 9}), json!({}), three, "3/0/4 3 SufficientPods"),
        (json!({"minAvailable": 1}), json!({}), "p ready, q -, r going", "1/1/3 0 InsufficientPods"),
        (json!({"minAvailable": 1}), evicted(50), three, "2/1/3 1 SufficientPods"),
        (json!({"minAvailable": 1}), evicted(-50), three, "3/1/3 2 SufficientPods"),
    ];
    for (spec, status, text, expected) in table {
        assert_eq!(decide(spec.clone(), status.clone(), text), expected, "{spec} {status} {text}");
    }
}

#[test]
fn people_are_told_what_cannot_be_counted() {
    let max = json!({"maxUnavailable": 1, "selector": {"matchLabels": {"app": "web"}}});
    let of = |scale: Scale, text: &str, live: &Live| {
        let state =
            State::Budget { budget: budget(max.clone(), json!({})), pods: pods(text), scales: scales(scale) };
        reconcile(&state, live, at(100))
    };
    let plan = of(Scale::Unknown, "p ready", &Live::default()).to_string();
    assert_eq!(
        plan,
        "event Warning CalculateExpectedPodCountFailed: Failed to calculate the number of expected pods: found no controllers for pod \"p\"\nupdate poddisruptionbudgets.policy/status a/b\n"
    );
    let plan = of(Scale::Known("set".into(), 1), "p ready, q alone", &Live::default()).to_string();
    assert!(plan.contains("(selector: &LabelSelector{MatchLabels:map[string]string{app: web,},MatchExpressions:[]LabelSelectorRequirement{},})"), "{plan}");

    let resource = decapod_api::meta::GroupVersionResource::new("x", "v1", "sets");
    let mut live = Live::default();
    let plan = of(Scale::Ask(Some(resource.clone())), "p ready", &live);
    assert_eq!(plan.to_string(), "read sets.x/scale a/set\n");
    live.answer(
        plan.reads[0].clone(),
        Some(object(json!({"metadata": {"uid": "set"}, "spec": {"replicas": 7}}))),
    );
    let plan = of(Scale::Ask(Some(resource.clone())), "p ready", &live);
    assert_eq!(plan.writes().next().unwrap().body()["status"]["expectedPods"], 7);

    let mut live = Live::default();
    for _ in 0..2 {
        let plan = of(Scale::Ask(Some(resource.clone())), "p ready", &live);
        let whole = plan.reads[0].to_string() == "read sets.x a/set";
        live.answer(plan.reads[0].clone(), whole.then(|| object(json!({"metadata": {"uid": "set"}}))));
    }
    let plan = of(Scale::Ask(Some(resource)), "p ready", &live);
    let condition = &plan.writes().next().unwrap().body()["status"]["conditions"][0];
    assert_eq!(condition["reason"], "SyncFailed");
    assert_eq!(condition["message"], "sets.x does not implement the scale subresource");
}

#[test]
fn a_pod_that_stays_is_disrupted_no_longer() {
    let condition = |reason: &str, seconds: i64| {
        json!({"type": "DisruptionTarget", "status": "True", "reason": reason,
        "lastTransitionTime": time(seconds)})
    };
    let table = [
        (json!({"conditions": [condition("EvictionByEvictionAPI", 0)]}), "again after 20s\n"),
        (json!({"conditions": [condition("EvictionByEvictionAPI", -20)]}), "patch pods/status a/p\n"),
        (json!({"conditions": [condition("TerminationByKubelet", -20)]}), ""),
        (json!({"phase": "Failed", "conditions": [condition("x", -20)]}), ""),
    ];
    for (status, expected) in table {
        let pod = json!({"metadata": {"name": "p", "namespace": "a", "uid": "p"}, "status": status});
        let pod = Box::new(serde_json::from_value(pod).unwrap());
        let plan = reconcile(&State::Pod { pod, budgets: Vec::new() }, &Live::default(), at(100));
        assert_eq!(plan.to_string(), expected, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn budgets_follow_pods_and_the_deployment_above_them() {
    let cluster = Cluster::new();
    let owner = |kind: &str, name: &str| {
        json!([{"apiVersion": "apps/v1", "kind": kind, "name": name,
        "uid": format!("uid-{name}"), "controller": true}])
    };
    cluster.server.put(
        &Deployment::resource(),
        json!({"metadata": {"name": "web", "namespace": "a"}, "spec": {"replicas": 5, "selector": {}, "template": {}}}),
    );
    cluster.server.put(
        &ReplicaSet::resource(),
        json!({"metadata": {"name": "web-1", "namespace": "a",
        "ownerReferences": owner("Deployment", "web")}, "spec": {"replicas": 2, "selector": {}}}),
    );
    for name in ["one", "two"] {
        cluster.server.put(
            &core::Pod::resource(),
            json!({"metadata": {"name": name, "namespace": "a",
            "labels": {"app": "web"}, "ownerReferences": owner("ReplicaSet", "web-1")}}),
        );
    }
    let budgets = PodDisruptionBudget::resource();
    let selector = json!({"matchLabels": {"app": "web"}});
    cluster.server.put(
        &budgets,
        json!({"metadata": {"name": "b", "namespace": "a"},
        "spec": {"maxUnavailable": 4, "selector": selector}}),
    );
    let (_resources, watch) = tokio::sync::watch::channel(Default::default());
    cluster.start(|wiring| start(wiring, watch));
    cluster.run_pods().await;
    let status = cluster.get::<PodDisruptionBudget>("a", "b")["status"].clone();
    assert_eq!((&status["expectedPods"], &status["currentHealthy"]), (&json!(5), &json!(2)));
    assert_eq!((&status["desiredHealthy"], &status["disruptionsAllowed"]), (&json!(1), &json!(1)));
    assert_eq!(status["conditions"][0]["status"], "True");
    cluster.server.remove(&core::Pod::resource(), "a", "one");
    cluster.settle().await;
    assert_eq!(cluster.get::<PodDisruptionBudget>("a", "b")["status"]["disruptionsAllowed"], 0);
    cluster.env.shutdown().await;
}
