//! A run.

use decapod_client::Kind;
use serde_json::json;

use super::*;
use crate::testing::cluster::Cluster;

#[tokio::test(start_paused = true)]
async fn claims_are_made_for_pods_and_those_of_others_are_not_taken() {
    let cluster = Cluster::new();
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"accessModes": ["ReadWriteOnce"]}});
    let volumes = json!([{"name": "one", "ephemeral": {"volumeClaimTemplate": template}}, {"name": "two", "emptyDir": {}}]);
    let pod =
        |name: &str| json!({"metadata": {"name": name, "namespace": "x"}, "spec": {"volumes": volumes}});
    let (pods, claims) = (CorePod::resource(), PersistentVolumeClaim::resource());
    cluster.server.put(&claims, json!({"metadata": {"name": "q-one", "namespace": "x"}, "spec": {}}));
    cluster.server.put(&pods, pod("p"));
    cluster.server.put(&pods, pod("q"));
    cluster.start(start);
    cluster.settle().await;
    let claim = cluster.get::<PersistentVolumeClaim>("x", "p-one");
    assert_eq!(claim["metadata"]["ownerReferences"][0]["uid"], "uid-p");
    assert_eq!(
        (&claim["metadata"]["labels"]["a"], &claim["spec"]["accessModes"]),
        (&json!("b"), &json!(["ReadWriteOnce"]))
    );
    assert_eq!(cluster.names::<PersistentVolumeClaim>(), "p-one q-one");
    let events = cluster.server.events();
    assert_eq!(
        events,
        [
            "Warning FailedBinding: ephemeral volume one: PVC x/q-one was not created for pod x/q (pod is not owner)"
        ]
    );
    cluster.server.remove(&claims, "x", "q-one");
    cluster.server.remove(&claims, "x", "p-one");
    cluster.settle().await;
    assert_eq!(cluster.names::<PersistentVolumeClaim>(), "p-one q-one");
    cluster.env.shutdown().await;
}
