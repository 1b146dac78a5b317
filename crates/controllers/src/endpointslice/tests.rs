//! Decisions, as text, and a run.

use decapod_client::Kind;
use serde_json::{Value, json};

use super::reconcile::reconcile;
use super::*;
use crate::testing::cluster::Cluster;

fn service(change: Value) -> core::Service {
    let mut service = json!({
        "metadata": {"name": "web", "namespace": "a", "uid": "svc", "labels": {"x": "y"}},
        "spec": {"clusterIP": "10.43.0.9", "ipFamilies": ["IPv4"], "selector": {"app": "web"},
            "ports": [{"name": "http", "port": 80, "targetPort": "http"}]},
    });
    crate::testing::merge(&mut service, &change);
    serde_json::from_value(service).unwrap()
}

fn pod(number: usize, ready: bool, change: Value) -> Value {
    let ready = if ready { "True" } else { "False" };
    let ip = format!("10.42.{}.{}", number / 200, number % 200);
    let mut pod = json!({
        "metadata": {"name": format!("p{number}"), "namespace": "a", "uid": format!("u{number}"), "labels": {"app": "web"}},
        "spec": {"nodeName": "n", "containers": [{"name": "c", "ports": [{"name": "http", "containerPort": 8080}]}]},
        "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": [{"type": "Ready", "status": ready}]},
    });
    crate::testing::merge(&mut pod, &change);
    pod
}

fn state(service: core::Service, pods: Vec<Value>, slices: Vec<EndpointSlice>) -> State {
    let pods = pods.into_iter().map(|pod| serde_json::from_value(pod).unwrap()).collect();
    State { service, pods, zones: [("n".into(), "z1".into())].into(), slices }
}

/// The slices after `plan`, named by their number.
fn applied(plan: &Plan) -> Vec<EndpointSlice> {
    let written =
        plan.writes().filter(|write| !write.request.body.is_empty() && write.request.name.is_empty());
    let named = written.enumerate().map(|(number, write)| {
        let mut slice: EndpointSlice = serde_json::from_slice(&write.request.body).unwrap();
        slice.metadata.name = Some(format!("s{number}"));
        slice
    });
    named.collect()
}

#[test]
fn endpoints_say_what_readers_need() {
    let going = json!({"metadata": {"deletionTimestamp": crate::testing::time(0)}});
    let named = json!({"spec": {"hostname": "h", "subdomain": "web"}});
    let pods = vec![
        pod(1, true, named),
        pod(2, false, json!({})),
        pod(3, true, going),
        pod(4, true, json!({"status": {"phase": "Succeeded"}})),
        pod(5, true, json!({"spec": {"nodeName": "unknown"}})),
    ];
    let plan =
        reconcile(&state(service(json!({"spec": {"trafficDistribution": "PreferClose"}})), pods, vec![]));
    assert_eq!(plan.to_string(), "create endpointslices.discovery.k8s.io a/web-\n");
    let slice = plan.writes().next().unwrap().body();
    assert_eq!(slice["ports"], json!([{"name": "http", "port": 8080, "protocol": "TCP"}]));
    assert_eq!(slice["metadata"]["labels"]["kubernetes.io/service-name"], "web");
    assert_eq!(slice["metadata"]["labels"]["x"], "y");
    let conditions: Vec<String> =
        slice["endpoints"].as_array().unwrap().iter().map(|one| one["conditions"].to_string()).collect();
    assert_eq!(
        conditions,
        [
            r#"{"ready":true,"serving":true,"terminating":false}"#,
            r#"{"ready":false,"serving":false,"terminating":false}"#,
            r#"{"ready":false,"serving":true,"terminating":true}"#,
        ]
    );
    let first = &slice["endpoints"][0];
    assert_eq!(
        (&first["zone"], &first["nodeName"], &first["hostname"]),
        (&json!("z1"), &json!("n"), &json!("h"))
    );
    assert_eq!(first["hints"], json!({"forZones": [{"name": "z1"}]}));
    assert_eq!(first["targetRef"]["uid"], "u1");
}

#[test]
fn a_service_without_pods_has_an_empty_slice() {
    let plan = reconcile(&state(service(json!({})), vec![], vec![]));
    let slices = applied(&plan);
    assert_eq!((slices.len(), slices[0].endpoints.as_ref().unwrap().len()), (1, 0));
    assert_eq!(reconcile(&state(service(json!({})), vec![], slices.clone())).to_string(), "");
    let plan = reconcile(&state(service(json!({})), vec![pod(1, true, json!({}))], slices));
    assert_eq!(plan.to_string(), "update endpointslices.discovery.k8s.io a/s0\n", "it is written over");
}

#[test]
fn slices_are_filled_and_left_alone() {
    let pods = |count: usize| (0..count).map(|number| pod(number, true, json!({}))).collect::<Vec<_>>();
    let slices = applied(&reconcile(&state(service(json!({})), pods(150), vec![])));
    let sizes: Vec<usize> = slices.iter().map(|slice| slice.endpoints.as_ref().unwrap().len()).collect();
    assert_eq!(sizes, [100, 50]);
    assert_eq!(reconcile(&state(service(json!({})), pods(150), slices.clone())).to_string(), "");
    let plan = reconcile(&state(service(json!({})), pods(160), slices.clone()));
    assert_eq!(plan.to_string(), "update endpointslices.discovery.k8s.io a/s1\n");
    let plan = reconcile(&state(service(json!({"metadata": {"labels": {"x": "z"}}})), pods(150), slices));
    assert_eq!(plan.writes().count(), 2);
}

#[test]
fn families_and_strangers() {
    let both = json!({"status": {"podIPs": [{"ip": "10.42.0.1"}, {"ip": "fd00::1"}]}});
    let dual = service(json!({"spec": {"ipFamilies": ["IPv4", "IPv6"]}}));
    let slices = applied(&reconcile(&state(dual, vec![pod(1, true, both.clone())], vec![])));
    let kinds: Vec<(&str, &str)> = slices
        .iter()
        .map(|one| (one.address_type.as_str(), one.endpoints.as_ref().unwrap()[0].addresses[0].as_str()))
        .collect();
    assert_eq!(kinds, [("IPv4", "10.42.0.1"), ("IPv6", "fd00::1")]);
    let single = reconcile(&state(service(json!({})), vec![pod(1, true, both)], slices));
    assert_eq!(single.to_string(), "delete endpointslices.discovery.k8s.io a/s1\n");
}

#[tokio::test(start_paused = true)]
async fn it_follows_pods_and_nodes() {
    let cluster = Cluster::new();
    let server = &cluster.server;
    server.put(&core::Service::resource(), serde_json::to_value(service(json!({}))).unwrap());
    server.put(&core::Pod::resource(), pod(1, true, json!({})));
    cluster.start(start);
    cluster.settle().await;
    let count = || server.list(&EndpointSlice::resource())[0]["endpoints"].as_array().map_or(0, Vec::len);
    assert_eq!(count(), 0, "the node is not known yet");
    server.put(&core::Node::resource(), json!({"metadata": {"name": "n"}}));
    cluster.settle().await;
    assert_eq!(count(), 1);
    server.change(&core::Pod::resource(), "a", "p1", json!({"metadata": {"labels": {"app": "db"}}}));
    cluster.settle().await;
    assert_eq!(count(), 0);
    let name = server.list(&EndpointSlice::resource())[0]["metadata"]["name"].as_str().unwrap().to_owned();
    server.remove(&EndpointSlice::resource(), "a", &name);
    cluster.settle().await;
    assert_eq!(cluster.count(&EndpointSlice::resource()), 1);
    cluster.env.shutdown().await;
}
