//! Decisions, as text.

use serde_json::{Value, json};

use super::reconcile::{State, reconcile};

fn wanted(service: Value, pods: Vec<Value>, endpoints: Option<Value>) -> State {
    let mut whole = json!({
        "metadata": {"name": "web", "namespace": "a"},
        "spec": {"clusterIP": "10.43.0.9", "selector": {"app": "web"},
            "ports": [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]},
    });
    crate::testing::merge(&mut whole, &service);
    State::Wanted {
        service: Box::new(serde_json::from_value(whole).unwrap()),
        pods: pods.into_iter().map(|pod| serde_json::from_value(pod).unwrap()).collect(),
        endpoints: endpoints.map(|endpoints| serde_json::from_value(endpoints).unwrap()),
    }
}

fn pod(ip: &str, ready: &str) -> Value {
    json!({"metadata": {"name": ip, "namespace": "a", "uid": ip}, "spec": {"nodeName": "n"},
        "status": {"phase": "Running", "podIP": ip, "conditions": [{"type": "Ready", "status": ready}]}})
}

#[test]
fn addresses_are_grouped_by_ports_and_readiness() {
    let plan = reconcile(&wanted(
        json!({}),
        vec![pod("10.0.0.2", "True"), pod("10.0.0.1", "True"), pod("10.0.0.3", "False")],
        None,
    ));
    assert_eq!(plan.to_string(), "create endpoints a/web\n");
    let written = plan.writes().next().unwrap().body();
    let subset = &written["subsets"][0];
    let ips = |field: &str| {
        subset[field]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["ip"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!((ips("addresses"), ips("notReadyAddresses")), ("10.0.0.1 10.0.0.2".into(), "10.0.0.3".into()));
    assert_eq!(subset["ports"], json!([{"name": "http", "port": 8080, "protocol": "TCP"}]));
    assert_eq!(
        written["metadata"]["labels"],
        json!({"endpoints.kubernetes.io/managed-by": "endpoint-controller"})
    );

    let pods = vec![pod("10.0.0.1", "True"), pod("10.0.0.2", "True"), pod("10.0.0.3", "False")];
    assert_eq!(reconcile(&wanted(json!({}), pods.clone(), Some(written.clone()))).to_string(), "");
    let all = json!({"spec": {"publishNotReadyAddresses": true}});
    assert_eq!(reconcile(&wanted(all, pods, Some(written))).to_string(), "update endpoints a/web\n");
}

#[test]
fn too_many_are_cut_and_headless_ones_marked() {
    let pods: Vec<Value> = (0..1100)
        .map(|n| pod(&format!("10.0.{}.{}", n / 200, n % 200), if n < 1050 { "True" } else { "False" }))
        .collect();
    let written = reconcile(&wanted(json!({"spec": {"clusterIP": "None"}}), pods, None))
        .writes()
        .next()
        .unwrap()
        .body();
    assert_eq!(written["subsets"][0]["addresses"].as_array().map(Vec::len), Some(1000));
    assert_eq!(written["subsets"][0].get("notReadyAddresses"), None);
    assert_eq!(written["metadata"]["annotations"]["endpoints.kubernetes.io/over-capacity"], "truncated");
    assert_eq!(written["metadata"]["labels"]["service.kubernetes.io/headless"], "");
}

#[test]
fn leftovers_go_but_locks_stay() {
    let left = |annotations: Value| {
        let endpoints = json!({"metadata": {"name": "web", "namespace": "a", "annotations": annotations}});
        reconcile(&State::Leftover(serde_json::from_value(endpoints).unwrap())).to_string()
    };
    assert_eq!(left(json!({})), "delete endpoints a/web\n");
    assert_eq!(left(json!({"control-plane.alpha.kubernetes.io/leader": "x"})), "");
}
