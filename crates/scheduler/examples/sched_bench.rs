//! Decisions per second of the pure core: `cargo run --example sched_bench [nodes] [pods]`.

use std::time::Duration;

use decapod_scheduler::core::{Action, Core};
use decapod_scheduler::labels::Selector;
use decapod_scheduler::node::NodeInfo;
use decapod_scheduler::pod::{DEFAULT_SCHEDULER, OwnerKind, PodInfo};
use serde_json::{Value, json};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: usize| arguments.next().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (nodes, pods) = (number(5000), number(10_000));
    let terms =
        |topology: &str| json!([{"topologyKey": topology, "labelSelector": {"matchLabels": {"app": "web"}}}]);
    let cases = [
        ("plain", json!({})),
        ("node affinity", json!({"nodeSelector": {"pool": "a"}})),
        ("of a replica set (system spreading)", json!({"owned": true})),
        (
            "topology spread",
            json!({"topologySpreadConstraints": [{"topologyKey": "topology.kubernetes.io/zone", "maxSkew": 5,
                "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": "web"}}}]}),
        ),
        (
            "pod affinity",
            json!({"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
                terms("topology.kubernetes.io/zone")}}}),
        ),
        (
            "pod anti-affinity",
            json!({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
                terms("kubernetes.io/hostname")}}}),
        ),
    ];
    println!("{nodes} nodes");
    for (name, spec) in cases {
        run(name, nodes, if name == "pod anti-affinity" { pods.min(nodes) } else { pods }, spec);
    }
}

fn node(i: usize) -> NodeInfo {
    let pool = if i.is_multiple_of(2) { "a" } else { "b" };
    let node = json!({
        "metadata": {"name": format!("node-{i}"), "labels": {"kubernetes.io/hostname": format!("node-{i}"),
            "topology.kubernetes.io/zone": format!("zone-{}", i % 10), "pool": pool}},
        "status": {"allocatable": {"cpu": "32", "memory": "256Gi", "pods": "110"}},
    });
    NodeInfo::new(&serde_json::from_value(node).expect("a node"))
}

fn pod(i: usize, extra: &Value) -> PodInfo {
    let mut spec = json!({"containers": [{"name": "c", "image": "web", "resources":
        {"requests": {"cpu": "100m", "memory": "500Mi"}}}]});
    let mut owners = json!([]);
    for (key, value) in extra.as_object().into_iter().flatten() {
        match key.as_str() {
            "owned" => {
                owners = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "u",
                "controller": true}])
            }
            key => spec[key] = value.clone(),
        }
    }
    let pod = json!({
        "metadata": {"name": format!("pod-{i}"), "namespace": "default", "uid": format!("uid-{i}"),
            "labels": {"app": "web"}, "ownerReferences": owners},
        "spec": spec,
    });
    PodInfo::new(&serde_json::from_value(pod).expect("a pod"))
}

fn run(name: &str, nodes: usize, pods: usize, extra: Value) {
    let mut core = Core::new(DEFAULT_SCHEDULER);
    (0..nodes).for_each(|i| {
        let node = node(i);
        core.set_node(&node.name.clone(), Some(node), Duration::ZERO);
    });
    let selector = serde_json::from_value(json!({"matchLabels": {"app": "web"}})).expect("a selector");
    let selector = Some(Selector::new(Some(&selector)));
    core.snapshot_mut().workloads_mut().set_owner(OwnerKind::ReplicaSet, "default", "web", selector);
    (0..pods).for_each(|i| core.set_pod(pod(i, &extra), Duration::ZERO));
    let mut seed = 1u64;
    let mut chance = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) % below.max(1)
    };
    let began = tokio::time::Instant::now();
    let mut bound = 0;
    while let Some(action) = core.next(Duration::ZERO, &mut chance) {
        bound += usize::from(matches!(action, Action::Bind(_)));
    }
    let seconds = began.elapsed().as_secs_f64();
    let each_us = seconds * 1e6 / pods as f64;
    println!(
        "{name:36} {bound:6} of {pods} placed, {:9.0} decisions/s, {each_us:7.1} µs each",
        pods as f64 / seconds
    );
}
