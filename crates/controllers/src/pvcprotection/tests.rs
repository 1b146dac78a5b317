//! Decisions, as a table; and a run.

use serde_json::{Value, json};

use super::*;
use crate::testing::cluster::Cluster;
use crate::testing::{object, time};

fn pod(node: &str, volume: Value, change: Value) -> Value {
    let mut pod = json!({"metadata": {"name": "p", "namespace": "a", "uid": "p"},
        "spec": {"nodeName": node, "volumes": [volume]}});
    crate::testing::merge(&mut pod, &change);
    pod
}

#[test]
fn claims_go_when_no_pod_uses_them() {
    let claim = json!({"metadata": {"name": "p-v", "namespace": "a", "finalizers": [FINALIZER],
        "deletionTimestamp": time(0), "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "p", "controller": true}]}});
    let claim: PersistentVolumeClaim = serde_json::from_value(claim).unwrap();
    let plain = json!({"name": "v", "persistentVolumeClaim": {"claimName": "p-v"}});
    let ephemeral = json!({"name": "v", "ephemeral": {}});
    let shut = json!({"metadata": {"deletionTimestamp": time(0), "deletionGracePeriodSeconds": 0}});
    let (kept, gone) = ("", "update persistentvolumeclaims a/p-v\n");
    let table = [
        (pod("n", plain.clone(), json!({})), kept),
        (pod("n", plain.clone(), json!({"status": {"phase": "Succeeded"}})), kept),
        (pod("n", plain.clone(), shut.clone()), kept),
        (pod("", plain, json!({})), gone),
        (pod("n", ephemeral.clone(), json!({})), kept),
        (pod("n", ephemeral.clone(), json!({"metadata": {"uid": "other"}})), gone),
        (pod("n", ephemeral, shut), gone),
        (pod("n", json!({"name": "v", "emptyDir": {}}), json!({})), gone),
    ];
    for (pod, expected) in table {
        // Whether the informer knows the pod or only the server does makes no difference.
        let known = State { claim: claim.clone(), pods: vec![serde_json::from_value(pod.clone()).unwrap()] };
        let unknown = State { claim: claim.clone(), pods: Vec::new() };
        let mut live = Live::default();
        live.answer_list(LiveRead::list(CorePod::resource(), "a"), vec![object(pod.clone())]);
        assert_eq!(reconcile(&unknown, &live).to_string(), expected, "{pod}");
        assert_eq!(reconcile(&known, &live).to_string(), expected, "{pod}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_waits_for_the_end_of_its_pod() {
    let cluster = Cluster::new();
    let (claims, pods) = (PersistentVolumeClaim::resource(), CorePod::resource());
    cluster.server.put(&claims, json!({"metadata": {"name": "c", "namespace": "a"}, "spec": {}}));
    let volume = json!({"name": "v", "persistentVolumeClaim": {"claimName": "c"}});
    cluster.server.put(&pods, pod("n", volume, json!({})));
    cluster.start(start);
    cluster.settle().await;
    let claim = cluster.get::<PersistentVolumeClaim>("a", "c");
    assert_eq!(claim["metadata"]["finalizers"], json!([FINALIZER]));
    let deleted = json!({"metadata": {"deletionTimestamp": cluster.env.now().to_string()}});
    cluster.server.change(&claims, "a", "c", deleted);
    cluster.settle().await;
    assert_eq!(cluster.names::<PersistentVolumeClaim>(), "c");
    cluster.server.remove(&pods, "a", "p");
    cluster.settle().await;
    assert_eq!(cluster.names::<PersistentVolumeClaim>(), "");
    cluster.env.shutdown().await;
}
