//! What slices there should be; and a run.

use decapod_client::Kind;
use serde_json::{Value, json};

use super::*;
use crate::testing::cluster::Cluster;

/// One line a slice: its kind, its ports, and its addresses, with `-` before those that are not ready.
fn wanted(subsets: Value) -> Vec<String> {
    let endpoints = json!({"metadata": {"name": "e", "namespace": "a"}, "subsets": subsets});
    let wanted = slices::wanted(&serde_json::from_value(endpoints).unwrap());
    let line = |slice: &EndpointSlice| {
        let ports = slice.ports.iter().flatten().map(|port| port.port.unwrap().to_string());
        let endpoints = slice.endpoints.iter().flatten().map(|one| {
            let ready = one.conditions.as_ref().unwrap().ready == Some(true);
            format!("{}{}", if ready { "" } else { "-" }, one.addresses[0])
        });
        format!(
            "{} {} {}",
            slice.address_type,
            ports.collect::<Vec<_>>().join(","),
            endpoints.collect::<Vec<_>>().join(" ")
        )
    };
    let mut lines: Vec<String> = wanted.slices.iter().map(line).collect();
    lines.sort();
    if wanted.skipped > 0 {
        lines.push(format!("invalid {} skipped {}", wanted.invalid, wanted.skipped));
    }
    lines
}

#[test]
fn subsets_become_slices() {
    let subset = |ready: &[&str], not: &[&str], ports: &[i32]| {
        let addresses = |ips: &[&str]| ips.iter().map(|ip| json!({"ip": ip})).collect::<Vec<_>>();
        let ports: Vec<Value> = ports.iter().map(|port| json!({"port": port, "protocol": "TCP"})).collect();
        json!({"addresses": addresses(ready), "notReadyAddresses": addresses(not), "ports": ports})
    };
    let table = [
        (json!([]), vec![]),
        (
            json!([subset(&["10.0.0.1", "10.0.0.2"], &["10.0.0.3"], &[80])]),
            vec!["IPv4 80 10.0.0.1 10.0.0.2 -10.0.0.3"],
        ),
        (json!([subset(&["10.0.0.1", "fd00::1"], &[], &[80])]), vec!["IPv4 80 10.0.0.1", "IPv6 80 fd00::1"]),
        (
            json!([
                subset(&["10.0.0.1"], &[], &[80]),
                subset(&["10.0.0.1"], &[], &[443]),
                subset(&["10.0.0.2"], &[], &[9])
            ]),
            vec!["IPv4 443,80 10.0.0.1", "IPv4 9 10.0.0.2"],
        ),
        (json!([subset(&["x", "10.0.0.1"], &[], &[])]), vec!["IPv4  10.0.0.1", "invalid 1 skipped 1"]),
    ];
    for (subsets, mut expected) in table {
        let mut found = wanted(subsets.clone());
        found.iter_mut().for_each(|line| *line = line.replace("80,443", "443,80"));
        expected.sort_unstable();
        assert_eq!(found, expected, "{subsets}");
    }
}

#[tokio::test(start_paused = true)]
async fn slices_follow_endpoints_and_go_with_them() {
    let cluster = Cluster::new();
    let (all, services) = (Endpoints::resource(), Service::resource());
    let subsets = |ip: &str| json!([{"addresses": [{"ip": ip}], "ports": [{"port": 80, "protocol": "TCP"}]}]);
    for name in ["mirrored", "skipped", "unserved", "selected"] {
        let labels = if name == "skipped" {
            json!({"endpointslice.kubernetes.io/skip-mirror": "true"})
        } else {
            json!({"app": "x"})
        };
        cluster.server.put(&all, json!({"metadata": {"name": name, "namespace": "a", "labels": labels}, "subsets": subsets("10.0.0.1")}));
    }
    for name in ["mirrored", "skipped", "selected"] {
        let spec = if name == "selected" { json!({"selector": {"a": "b"}}) } else { json!({}) };
        cluster.server.put(&services, json!({"metadata": {"name": name, "namespace": "a"}, "spec": spec}));
    }
    cluster.start(start);
    cluster.settle().await;
    let slices = cluster.server.list(&EndpointSlice::resource());
    assert_eq!(slices.len(), 1);
    assert_eq!(
        slices[0]["metadata"]["labels"],
        json!({"app": "x", "kubernetes.io/service-name": "mirrored",
        "endpointslice.kubernetes.io/managed-by": "endpointslicemirroring-controller.k8s.io"})
    );
    assert_eq!(slices[0]["metadata"]["ownerReferences"][0]["kind"], "Endpoints");
    cluster.server.change(&all, "a", "mirrored", json!({"subsets": subsets("10.0.0.2")}));
    cluster.settle().await;
    let slices = cluster.server.list(&EndpointSlice::resource());
    assert_eq!((slices.len(), &slices[0]["endpoints"][0]["addresses"][0]), (1, &json!("10.0.0.2")));
    cluster.server.remove(&all, "a", "mirrored");
    cluster.settle().await;
    assert_eq!(cluster.count(&EndpointSlice::resource()), 0);
    assert_eq!(cluster.server.writes().len(), 3);
    cluster.env.shutdown().await;
}
