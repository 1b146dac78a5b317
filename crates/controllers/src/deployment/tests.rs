//! Whole rollouts against a small server, and single decisions.

use decapod_api::Status;
use decapod_client::Kind;
use serde_json::{Value, json};

use super::*;
use crate::testing::cluster::Cluster;

fn deployment(replicas: i32, image: &str, more: Value) -> Value {
    let mut deployment = json!({
        "metadata": {"name": "web", "namespace": "a", "annotations": {"note": "kept"}},
        "spec": {
            "replicas": replicas, "progressDeadlineSeconds": 600, "revisionHistoryLimit": 1,
            "selector": {"matchLabels": {"app": "web"}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": image}]}},
        },
    });
    crate::testing::merge(&mut deployment, &json!({"spec": more}));
    deployment
}

fn resource() -> decapod_api::meta::GroupVersionResource {
    Deployment::resource()
}

fn cluster(deployment: Value) -> Cluster {
    let cluster = Cluster::new();
    cluster.server.put(&resource(), deployment);
    cluster.start(|wiring| {
        start(wiring);
        crate::replicaset::start(wiring);
    });
    cluster
}

/// Sizes of the ReplicaSets by revision: wanted and ready.
fn sizes(cluster: &Cluster) -> String {
    let mut sets = cluster.server.list(&ReplicaSet::resource());
    sets.sort_by_key(|set| {
        set["metadata"]["annotations"]["deployment.kubernetes.io/revision"]
            .as_str()
            .unwrap()
            .parse::<u32>()
            .unwrap()
    });
    let line = |set: &Value| {
        let revision = set["metadata"]["annotations"]["deployment.kubernetes.io/revision"].as_str().unwrap();
        format!(
            "{revision}:{}/{}",
            set["spec"]["replicas"],
            set["status"]["readyReplicas"].as_i64().unwrap_or(0)
        )
    };
    sets.iter().map(line).collect::<Vec<_>>().join(" ")
}

fn set_image(cluster: &Cluster, image: &str) {
    let change = json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}});
    cluster.server.change(&resource(), "a", "web", change);
}

fn progressing(cluster: &Cluster) -> String {
    let status = cluster.get::<Deployment>("a", "web")["status"].clone();
    let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    let progressing =
        conditions.iter().find(|condition| condition["type"] == "Progressing").cloned().unwrap_or_default();
    format!(
        "{} {}",
        progressing["status"].as_str().unwrap_or("none"),
        progressing["reason"].as_str().unwrap_or("none")
    )
}

async fn roll(cluster: &Cluster) -> Vec<String> {
    let mut steps = vec![sizes(cluster)];
    for _ in 0..20 {
        cluster.run_pods().await;
        let now = sizes(cluster);
        if steps.last() == Some(&now) && cluster.server.writes().is_empty() {
            break;
        }
        if steps.last() != Some(&now) {
            steps.push(now);
        }
    }
    steps
}

#[tokio::test(start_paused = true)]
async fn it_rolls_out_within_its_bounds_and_back() {
    let cluster = cluster(deployment(4, "one", json!({})));
    cluster.settle().await;
    assert_eq!(sizes(&cluster), "1:4/0");
    assert_eq!(progressing(&cluster), "True ReplicaSetUpdated");
    assert_eq!(roll(&cluster).await, ["1:4/0", "1:4/4"]);
    assert_eq!(progressing(&cluster), "True NewReplicaSetAvailable");
    let first = cluster.names::<ReplicaSet>();
    assert!(
        cluster
            .server
            .events()
            .contains(&format!("Normal ScalingReplicaSet: Scaled up replica set {first} from 0 to 4"))
    );

    set_image(&cluster, "two");
    cluster.settle().await;
    let steps = roll(&cluster).await;
    assert_eq!(steps, ["1:3/3 2:2/0", "1:1/1 2:4/2", "1:0/0 2:4/4"]);
    assert_eq!(
        cluster.get::<Deployment>("a", "web")["metadata"]["annotations"]["deployment.kubernetes.io/revision"],
        "2"
    );
    let status = cluster.get::<Deployment>("a", "web")["status"].clone();
    assert_eq!(
        (&status["updatedReplicas"], &status["availableReplicas"], &status["observedGeneration"]),
        (&json!(4), &json!(4), &json!(2))
    );

    // Back again: the first ReplicaSet gets the newest revision and remembers its old one.
    set_image(&cluster, "one");
    cluster.settle().await;
    assert_eq!(roll(&cluster).await.last().unwrap(), "2:0/0 3:4/4");
    let set = cluster.get::<ReplicaSet>("a", &first);
    assert_eq!(set["metadata"]["annotations"]["deployment.kubernetes.io/revision-history"], "1");
    assert_eq!(set["metadata"]["annotations"]["note"], "kept");

    // The history is cut to one old ReplicaSet.
    set_image(&cluster, "three");
    cluster.settle().await;
    assert_eq!(roll(&cluster).await.last().unwrap(), "3:0/0 4:4/4");
    cluster.env.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn recreate_ends_the_old_before_the_new() {
    let cluster =
        cluster(deployment(2, "one", json!({"strategy": {"type": "Recreate", "rollingUpdate": null}})));
    cluster.settle().await;
    roll(&cluster).await;
    set_image(&cluster, "two");
    cluster.settle().await;
    // The old pods are going, but are not gone.
    assert_eq!(sizes(&cluster), "1:0/0");
    assert_eq!(roll(&cluster).await, ["1:0/0", "1:0/0 2:2/0", "1:0/0 2:2/2"]);
    cluster.env.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_change_of_size_in_a_rollout_is_shared_in_proportion() {
    let cluster = cluster(deployment(
        10,
        "one",
        json!({"strategy": {"rollingUpdate": {"maxSurge": 3, "maxUnavailable": 2}}}),
    ));
    cluster.settle().await;
    roll(&cluster).await;
    set_image(&cluster, "broken");
    cluster.settle().await;
    assert_eq!(sizes(&cluster), "1:8/8 2:5/0");
    cluster.server.change(&resource(), "a", "web", json!({"spec": {"replicas": 15}}));
    cluster.settle().await;
    assert_eq!(sizes(&cluster), "1:11/8 2:7/0");
    cluster.env.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_paused_rollout_scales_but_does_not_roll() {
    let cluster = cluster(deployment(2, "one", json!({})));
    cluster.settle().await;
    roll(&cluster).await;
    cluster.server.change(&resource(), "a", "web", json!({"spec": {"paused": true}}));
    set_image(&cluster, "two");
    cluster.server.change(&resource(), "a", "web", json!({"spec": {"replicas": 3}}));
    cluster.settle().await;
    assert_eq!(progressing(&cluster), "Unknown DeploymentPaused");
    assert_eq!(roll(&cluster).await.last().unwrap(), "1:3/3");
    cluster.server.change(&resource(), "a", "web", json!({"spec": {"paused": false}}));
    cluster.settle().await;
    assert_eq!(roll(&cluster).await.last().unwrap(), "1:0/0 2:3/3");
    cluster.env.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_rollout_that_stands_still_is_late() {
    let cluster = cluster(deployment(2, "one", json!({})));
    tokio::time::sleep(std::time::Duration::from_secs(599)).await;
    assert_eq!(progressing(&cluster).split(' ').next(), Some("True"));
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    assert_eq!(progressing(&cluster), "False ProgressDeadlineExceeded");
    cluster.settle().await;
    cluster.server.writes();
    tokio::time::sleep(std::time::Duration::from_secs(3600)).await;
    assert!(cluster.server.writes().is_empty(), "nothing polls");
    cluster.env.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_taken_name_is_avoided_and_a_refusal_told() {
    let waiting = deployment(1, "one", json!({}));
    let typed: Deployment = serde_json::from_value(waiting.clone()).unwrap();
    let taken = revision::name_of_next(&typed);
    let cluster = Cluster::new();
    let selector = json!({"matchLabels": {"app": "other"}});
    let other =
        json!({"metadata": {"name": taken, "namespace": "a"}, "spec": {"replicas": 0, "selector": selector}});
    cluster.server.put(&ReplicaSet::resource(), other);
    cluster.server.put(&resource(), waiting);
    cluster.server.refuse("create replicasets.apps", Some(Status::bad_request("no room")));
    cluster.start(start);
    cluster.settle().await;
    let status = cluster.get::<Deployment>("a", "web")["status"].clone();
    assert_eq!(status["collisionCount"], 1);
    assert_eq!(progressing(&cluster), "False ReplicaSetCreateError");
    assert!(
        cluster
            .server
            .events()
            .iter()
            .any(|event| event.starts_with("Warning ReplicaSetCreateError: Failed to create"))
    );
    cluster.server.refuse("create replicasets.apps", None);
    tokio::time::sleep(std::time::Duration::from_secs(30)).await;
    assert_eq!(cluster.count(&ReplicaSet::resource()), 2);
    cluster.env.shutdown().await;
}
