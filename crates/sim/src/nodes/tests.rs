//! What simulated kubelets do next, as text.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::node::{Duty, NodeState, RENEW_EVERY, heartbeat};
use super::pod::{Look, Step, step};
use super::{Config, node};

fn pod(spec: Value, owner: &str) -> Value {
    json!({
        "metadata": {"name": "p", "namespace": "x", "uid": "u", "generation": 1,
            "ownerReferences": [{"apiVersion": "v1", "kind": owner, "name": "o", "uid": "o"}]},
        "spec": spec,
    })
}

fn containers() -> Value {
    json!({"containers": [{"name": "a", "image": "a:1"}, {"name": "b", "image": "b:1"}],
        "initContainers": [{"name": "i", "image": "i:1"}, {"name": "s", "image": "s:1", "restartPolicy": "Always"}]})
}

/// What comes next at `second` for a pod that takes 2 s to start, 1 s to stop, and 5 s if it is a Job's.
fn at(pod: &Value, second: u64, ending: Option<u64>) -> Step {
    let pod: Pod = serde_json::from_value(pod.clone()).unwrap();
    step(&Look {
        pod: &pod,
        node_ip: "172.16.0.1".into(),
        pod_ip: "10.0.0.2".into(),
        age: Duration::from_secs(second),
        ending: ending.map(Duration::from_secs),
        start: Duration::from_secs(2),
        stop: Duration::from_secs(1),
        job: Duration::from_secs(5),
        now: Timestamp::from_second(i64::try_from(second).unwrap()).unwrap(),
    })
}

/// Lets the API take the report; a line about it.
fn told(pod: &mut Value, step: Step) -> String {
    let Step::Report(patch) = step else { panic!("{step:?} is no report") };
    assert_eq!(patch["metadata"]["uid"], "u");
    // Nobody else's conditions are in these pods, so that all of them are replaced.
    let gates = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let others = gates.into_iter().filter(|one| one["type"] == "gate");
    pod["status"] = patch["status"].clone();
    pod["status"]["conditions"].as_array_mut().unwrap().extend(others);
    let status = &pod["status"];
    let conditions = status["conditions"].as_array().unwrap().iter();
    let holding = conditions.filter(|one| one["status"] == "True").filter_map(|one| one["type"].as_str());
    let states = |list: &str| -> String {
        let state = |one: &Value| {
            let state = one["state"].as_object().unwrap().keys().next().unwrap().clone();
            format!("{} {state}", one["name"].as_str().unwrap())
        };
        status[list].as_array().into_iter().flatten().map(state).collect::<Vec<_>>().join(", ")
    };
    format!(
        "{} {} [{}] {} | {}",
        status["phase"].as_str().unwrap(),
        status["podIP"].as_str().unwrap(),
        holding.collect::<Vec<_>>().join(" "),
        states("initContainerStatuses"),
        states("containerStatuses"),
    )
}

const READY: &str = "PodReadyToStartContainers Initialized Ready ContainersReady PodScheduled";

#[test]
fn a_pod_starts_stays_and_goes() {
    let mut pod = pod(containers(), "ReplicaSet");
    assert_eq!(at(&pod, 0, None), Step::Wait(Duration::from_secs(2)));
    let running = format!("Running 10.0.0.2 [{READY}] i terminated, s running | a running, b running");
    let report = at(&pod, 2, None);
    assert_eq!(told(&mut pod, report), running);
    assert_eq!(at(&pod, 3, None), Step::Rest);
    // Somebody took the node for dead.
    pod["status"]["conditions"][2]["status"] = json!("False");
    let report = at(&pod, 60, None);
    assert_eq!(told(&mut pod, report), running);
    assert_eq!(pod["status"]["startTime"], "1970-01-01T00:00:02Z", "what holds keeps its time");
    // It is changed in place.
    pod["metadata"]["generation"] = json!(2);
    let report = at(&pod, 61, None);
    assert_eq!((told(&mut pod, report), &pod["status"]["observedGeneration"]), (running, &json!(2)));

    assert_eq!(at(&pod, 70, Some(0)), Step::Wait(Duration::from_secs(1)));
    let report = at(&pod, 71, Some(1));
    assert_eq!(
        told(&mut pod, report),
        "Succeeded 10.0.0.2 [Initialized PodScheduled] i terminated, s terminated | a terminated, b terminated"
    );
    assert_eq!(at(&pod, 72, Some(2)), Step::Remove);
}

#[test]
fn a_pod_that_never_ran_goes_without_a_word() {
    assert_eq!(at(&pod(containers(), "ReplicaSet"), 1, Some(1)), Step::Remove);
}

#[test]
fn the_pods_of_a_job_end() {
    let mut pod = pod(json!({"restartPolicy": "Never", "containers": [{"name": "a"}]}), "Job");
    let report = at(&pod, 2, None);
    assert_eq!(told(&mut pod, report), format!("Running 10.0.0.2 [{READY}]  | a running"));
    assert_eq!(at(&pod, 3, None), Step::Wait(Duration::from_secs(4)));
    let report = at(&pod, 7, None);
    assert_eq!(told(&mut pod, report), "Succeeded 10.0.0.2 [Initialized PodScheduled]  | a terminated");
    assert_eq!(at(&pod, 8, None), Step::Rest);
}

#[test]
fn a_readiness_gate_is_waited_for_and_the_hosts_network_is_used() {
    let mut pod = pod(
        json!({"hostNetwork": true, "containers": [{"name": "a"}], "readinessGates": [{"conditionType": "gate"}]}),
        "ReplicaSet",
    );
    let report = at(&pod, 2, None);
    let but_ready = READY.replace(" Ready", "");
    assert_eq!(told(&mut pod, report), format!("Running 172.16.0.1 [{but_ready}]  | a running"));
    assert_eq!(at(&pod, 3, None), Step::Rest);
    pod["status"]["conditions"].as_array_mut().unwrap().push(json!({"type": "gate", "status": "True"}));
    let report = at(&pod, 4, None);
    assert_eq!(told(&mut pod, report), format!("Running 172.16.0.1 [{READY} gate]  | a running"));
}

#[tokio::test(start_paused = true)]
async fn a_node_registers_then_renews_and_reports() {
    let config = Config::new(3);
    assert_eq!((config.name(2), config.index("n3"), config.index("n4")), ("n3".into(), Some(2), None));
    let mut node = NodeState::new(&config, 2, Instant::now());
    assert_eq!(node.duty(Instant::now()), Duty::Register);
    node.uid = "u".into();
    assert_eq!(node.duty(Instant::now()), Duty::Renew);
    node.renew_at += RENEW_EVERY;
    assert_eq!(node.duty(Instant::now()), Duty::Report);
    node.report_at += node::REPORT_EVERY;
    assert_eq!(node.duty(Instant::now()), Duty::Rest(RENEW_EVERY));
}

#[tokio::test(start_paused = true)]
async fn pods_have_addresses_of_their_own_while_there_are_any() {
    let mut node = NodeState::new(&Config::new(3), 2, Instant::now());
    assert_eq!(node.take_address().to_string(), "100.64.2.2");
    node.give_back("100.64.2.2".parse().unwrap());
    node.adopt_range("10.42.7.0/24");
    node.hold_address("10.42.7.4".parse().unwrap());
    let taken: Vec<String> = (0..3).map(|_| node.take_address().to_string()).collect();
    assert_eq!(taken, ["10.42.7.3", "10.42.7.5", "10.42.7.6"]);
    let all: std::collections::BTreeSet<_> = (0..250).map(|_| node.take_address()).collect();
    assert_eq!(all.len(), 250);
}

#[test]
fn a_heartbeat_keeps_the_time_of_what_holds() {
    let second = |second: i64| Timestamp::from_second(second).unwrap();
    let first = heartbeat(&[], second(1));
    let before: Vec<k8s_openapi::api::core::v1::NodeCondition> =
        serde_json::from_value(first["status"]["conditions"].clone()).unwrap();
    let next = heartbeat(&before, second(2))["status"]["conditions"][3].clone();
    assert_eq!(next["type"], "Ready");
    assert_eq!(next["lastHeartbeatTime"], "1970-01-01T00:00:02Z");
    assert_eq!(next["lastTransitionTime"], "1970-01-01T00:00:01Z");
}
