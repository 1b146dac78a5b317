//! A run.

use std::time::Duration;

use decapod_client::Kind;
use serde_json::json;

use super::*;
use crate::testing::cluster::Cluster;

#[tokio::test(start_paused = true)]
async fn ended_jobs_go_when_their_time_is_up() {
    let cluster = Cluster::new();
    let now = cluster.env.now().to_string();
    let ended = json!({"conditions": [{"type": "Complete", "status": "True", "lastTransitionTime": now}]});
    let spec = |ttl: i32| json!({"ttlSecondsAfterFinished": ttl, "template": {}});
    let jobs = Job::resource();
    cluster.server.put(
        &jobs,
        json!({"metadata": {"name": "soon", "namespace": "a"}, "spec": spec(10), "status": ended}),
    );
    cluster.server.put(
        &jobs,
        json!({"metadata": {"name": "late", "namespace": "a"}, "spec": spec(100), "status": ended}),
    );
    cluster.server.put(&jobs, json!({"metadata": {"name": "runs", "namespace": "a"}, "spec": spec(0)}));
    cluster.server.put(
        &jobs,
        json!({"metadata": {"name": "kept", "namespace": "a"}, "spec": {"template": {}}, "status": ended}),
    );
    cluster.start(start);
    tokio::time::sleep(Duration::from_secs(11)).await;
    let deleted = |name: &str| !cluster.get::<Job>("a", name)["metadata"]["deletionTimestamp"].is_null();
    assert_eq!(["soon", "late", "runs", "kept"].map(deleted), [true, false, false, false]);
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(["soon", "late", "runs", "kept"].map(deleted), [true, true, false, false]);
    cluster.env.shutdown().await;
}
