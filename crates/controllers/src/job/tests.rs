//! Whole Jobs against a small server.

use std::time::Duration;

use decapod_client::Kind;
use serde_json::{Value, json};

use super::*;
use crate::testing::cluster::Cluster;

async fn started(spec: Value) -> Cluster {
    let mut whole = json!({
        "parallelism": 1, "completions": 1, "backoffLimit": 6,
        "selector": {"matchLabels": {"job": "j"}},
        "template": {"metadata": {"labels": {"job": "j"}}, "spec": {"restartPolicy": "Never", "containers": [{"name": "c"}]}},
    });
    crate::testing::merge(&mut whole, &spec);
    let cluster = Cluster::new();
    cluster
        .server
        .put(&Job::resource(), json!({"metadata": {"name": "work", "namespace": "a"}, "spec": whole}));
    cluster.start(start);
    cluster.settle().await;
    cluster
}

fn pods(cluster: &Cluster) -> Vec<Value> {
    cluster.server.list(&core::Pod::resource())
}

/// The pods that have not ended.
fn active(cluster: &Cluster) -> Vec<String> {
    let pods = pods(cluster);
    let active =
        pods.iter().filter(|pod| !matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed")));
    let active = active.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
    active.map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

/// Ends the pod `name` with `code`.
async fn end(cluster: &Cluster, name: &str, code: i32) {
    let ended = json!({"terminated": {"exitCode": code, "finishedAt": cluster.env.now().to_string()}});
    let phase = if code == 0 { "Succeeded" } else { "Failed" };
    let status = json!({"phase": phase, "containerStatuses": [{"name": "c", "state": ended}]});
    cluster.server.change(
        &core::Pod::resource(),
        "a",
        name,
        json!({"spec": {"nodeName": "n"}, "status": status}),
    );
    cluster.settle().await;
}

fn status(cluster: &Cluster) -> Value {
    cluster.get::<Job>("a", "work")["status"].clone()
}

/// The conditions that hold, in order.
fn conditions(cluster: &Cluster) -> String {
    let status = status(cluster);
    let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    let holding = conditions.iter().filter(|condition| condition["status"] == "True");
    holding
        .map(|condition| {
            format!("{}={}", condition["type"].as_str().unwrap(), condition["reason"].as_str().unwrap())
        })
        .collect::<Vec<_>>()
        .join(" ")
}

#[tokio::test(start_paused = true)]
async fn it_runs_as_many_as_asked_for_and_counts_each_once() {
    let cluster = started(json!({"completions": 3, "parallelism": 2})).await;
    assert_eq!(active(&cluster).len(), 2);
    assert_eq!(pods(&cluster)[0]["metadata"]["finalizers"], json!([FINALIZER]));
    assert_eq!(status(&cluster)["active"], 2);
    for done in 1..=3 {
        let name = active(&cluster)[0].clone();
        end(&cluster, &name, 0).await;
        assert_eq!(status(&cluster)["succeeded"], done);
        assert_eq!(active(&cluster).len(), 2.min(3 - done));
    }
    assert_eq!(conditions(&cluster), "SuccessCriteriaMet=CompletionsReached Complete=CompletionsReached");
    assert!(status(&cluster)["completionTime"].is_string());
    assert!(pods(&cluster).iter().all(|pod| pod["metadata"]["finalizers"] == json!([])));
    assert!(cluster.server.events().contains(&"Normal Completed: Job completed".to_owned()));
    cluster.server.writes();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(cluster.server.writes().is_empty());
    cluster.env.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn failures_are_retried_ever_later_and_not_for_ever() {
    let cluster = started(json!({"backoffLimit": 1})).await;
    let name = active(&cluster)[0].clone();
    end(&cluster, &name, 1).await;
    assert_eq!((active(&cluster).len(), status(&cluster)["failed"].clone()), (0, json!(1)));
    tokio::time::sleep(Duration::from_secs(10)).await;
    let name = active(&cluster)[0].clone();
    end(&cluster, &name, 1).await;
    assert_eq!(conditions(&cluster), "FailureTarget=BackoffLimitExceeded Failed=BackoffLimitExceeded");
    assert!(
        cluster.server.events().contains(
            &"Warning BackoffLimitExceeded: Job has reached the specified backoff limit".to_owned()
        )
    );
    cluster.env.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn each_index_is_done_once() {
    let cluster = started(json!({"completionMode": "Indexed", "completions": 3, "parallelism": 3})).await;
    let indexes: Vec<String> = pods(&cluster)
        .iter()
        .map(|pod| pod["metadata"]["annotations"][sync::INDEX].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(indexes, ["0", "1", "2"]);
    let first = &pods(&cluster)[0];
    assert_eq!(first["spec"]["hostname"], "work-0");
    assert_eq!(first["spec"]["containers"][0]["env"][0]["name"], "JOB_COMPLETION_INDEX");
    let names = active(&cluster);
    end(&cluster, &names[0], 0).await;
    end(&cluster, &names[2], 0).await;
    assert_eq!(status(&cluster)["completedIndexes"], "0,2");
    end(&cluster, &names[1], 1).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let again = active(&cluster);
    assert!(again.len() == 1 && again[0].starts_with("work-1-"), "{again:?}");
    end(&cluster, &again[0], 0).await;
    assert_eq!(
        (status(&cluster)["completedIndexes"].clone(), status(&cluster)["succeeded"].clone()),
        (json!("0-2"), json!(3))
    );
    assert!(conditions(&cluster).ends_with("Complete=CompletionsReached"));
    cluster.env.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn indexes_fail_each_for_itself() {
    let spec = json!({"completionMode": "Indexed", "completions": 2, "parallelism": 2, "backoffLimitPerIndex": 1, "backoffLimit": 2147483647});
    let cluster = started(spec).await;
    let names = active(&cluster);
    end(&cluster, &names[0], 1).await;
    assert_eq!(status(&cluster)["failedIndexes"], "");
    tokio::time::sleep(Duration::from_secs(11)).await;
    let again = active(&cluster).into_iter().find(|name| name.starts_with("work-0-")).expect("another try");
    let pod = cluster.get::<core::Pod>("a", &again);
    assert_eq!(pod["metadata"]["annotations"][sync::INDEX_FAILURES], "1");
    end(&cluster, &again, 1).await;
    assert_eq!(
        (status(&cluster)["failedIndexes"].clone(), status(&cluster)["failed"].clone()),
        (json!("0"), json!(2))
    );
    assert_eq!(conditions(&cluster), "");
    end(&cluster, &names[1], 0).await;
    assert_eq!(conditions(&cluster), "FailureTarget=FailedIndexes Failed=FailedIndexes");
    cluster.env.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_deadline_and_a_policy_end_it() {
    let cluster = started(json!({"activeDeadlineSeconds": 30})).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(conditions(&cluster), "FailureTarget=DeadlineExceeded Failed=DeadlineExceeded");
    assert!(active(&cluster).is_empty());
    cluster.env.shutdown().await;

    let rule = json!({"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}});
    let cluster = started(json!({"podFailurePolicy": {"rules": [rule]}})).await;
    let name = active(&cluster)[0].clone();
    end(&cluster, &name, 42).await;
    assert_eq!(conditions(&cluster), "FailureTarget=PodFailurePolicy Failed=PodFailurePolicy");
    cluster.env.shutdown().await;

    let rule =
        json!({"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]});
    let cluster = started(json!({"backoffLimit": 0, "podFailurePolicy": {"rules": [rule]}})).await;
    let name = active(&cluster)[0].clone();
    let disrupted = json!({"conditions": [{"type": "DisruptionTarget", "status": "True"}]});
    cluster.server.change(&core::Pod::resource(), "a", &name, json!({"status": disrupted}));
    end(&cluster, &name, 1).await;
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!((conditions(&cluster).as_str(), active(&cluster).len()), ("", 1));
    cluster.env.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn it_stops_and_goes_on() {
    let cluster = started(json!({"suspend": true})).await;
    assert_eq!((conditions(&cluster).as_str(), active(&cluster).len()), ("Suspended=JobSuspended", 0));
    cluster.server.change(&Job::resource(), "a", "work", json!({"spec": {"suspend": false}}));
    cluster.settle().await;
    assert_eq!((conditions(&cluster).as_str(), active(&cluster).len()), ("", 1));
    assert!(status(&cluster)["startTime"].is_string());
    cluster.server.change(&Job::resource(), "a", "work", json!({"spec": {"suspend": true}}));
    cluster.settle().await;
    assert_eq!(active(&cluster).len(), 0);
    assert_eq!(status(&cluster).get("failed"), None, "what is cut short has not failed");
    cluster.env.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_success_policy_is_enough_and_orphans_are_let_go() {
    let policy = json!({"rules": [{"succeededIndexes": "1"}]});
    let cluster = started(
        json!({"completionMode": "Indexed", "completions": 2, "parallelism": 2, "successPolicy": policy}),
    )
    .await;
    let names = active(&cluster);
    end(&cluster, &names[1], 0).await;
    assert_eq!(conditions(&cluster), "SuccessCriteriaMet=SuccessPolicy Complete=SuccessPolicy");
    cluster.env.shutdown().await;

    let cluster = started(json!({})).await;
    cluster.server.remove(&Job::resource(), "a", "work");
    cluster.settle().await;
    assert_eq!(pods(&cluster)[0]["metadata"]["finalizers"], json!([]));
    cluster.env.shutdown().await;
}
