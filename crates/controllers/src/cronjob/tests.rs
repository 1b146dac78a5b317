//! Decisions, as text; and a run.

use std::time::Duration;

use decapod_client::Kind;
use serde_json::{Value, json};

use super::reconcile::reconcile;
use super::*;
use crate::testing::cluster::Cluster;
use crate::testing::{at, merge, time};

/// Made 100 seconds before the beginning, which is at 22:13:20 UTC; every five minutes.
fn cron(change: Value) -> CronJob {
    let mut cron = json!({
        "metadata": {"name": "c", "namespace": "a", "uid": "c", "creationTimestamp": time(-100)},
        "spec": {"schedule": "*/5 * * * *", "concurrencyPolicy": "Allow", "successfulJobsHistoryLimit": 1,
            "failedJobsHistoryLimit": 1, "jobTemplate": {"metadata": {"labels": {"x": "y"}}, "spec": {"template": {}}}},
    });
    merge(&mut cron, &change);
    serde_json::from_value(cron).unwrap()
}

/// Jobs, each as `name start end`, end being `-`, `Complete` or `Failed`.
fn jobs(text: &str) -> Vec<Job> {
    let job = |text: &str| {
        let words: Vec<&str> = text.split(' ').collect();
        let mut job = json!({"metadata": {"name": words[0], "namespace": "a", "uid": words[0]},
            "status": {"startTime": time(words[1].parse().unwrap())}});
        if words[2] != "-" {
            job["status"]["conditions"] = json!([{"type": words[2], "status": "True"}]);
            job["status"]["completionTime"] = json!(time(900));
        }
        serde_json::from_value(job).unwrap()
    };
    text.split(", ").filter(|text| !text.is_empty()).map(job).collect()
}

fn active(names: &[&str]) -> Value {
    names.iter().map(|name| json!({"name": name, "namespace": "a", "uid": name})).collect()
}

fn decide(change: Value, text: &str, seconds: i64) -> String {
    let state = State { cron: cron(change), jobs: jobs(text) };
    let mut live = Live::default();
    loop {
        let plan = reconcile(&state, &live, at(seconds));
        if plan.reads.is_empty() {
            return plan.to_string();
        }
        plan.reads.into_iter().for_each(|read| live.answer(read, None));
    }
}

#[test]
fn jobs_are_made_when_they_are_due() {
    let create = "create jobs.batch a/c-28333335\nagain after 300.1s\n";
    let table = [
        ("before", json!({}), "", 50, "again after 50.1s\n"),
        ("due", json!({}), "", 100, create),
        ("late", json!({}), "", 350, "create jobs.batch a/c-28333335\nagain after 50.1s\n"),
        ("suspended", json!({"spec": {"suspend": true}}), "", 100, ""),
        ("done", json!({"status": {"lastScheduleTime": time(100)}}), "", 110, "again after 290.1s\n"),
        ("too late", json!({"spec": {"startingDeadlineSeconds": 30}}), "", 350, "again after 50.1s\n"),
        (
            "an invalid zone",
            json!({"spec": {"timeZone": "Nowhere"}}),
            "",
            100,
            "event Warning UnknownTimeZone: invalid timeZone: \"Nowhere\": unknown time zone Nowhere\n",
        ),
        (
            "an invalid schedule",
            json!({"spec": {"schedule": "x"}}),
            "",
            100,
            "event Warning UnparseableSchedule: unparseable schedule: \"x\" : expected exactly 5 fields, found 1: [x]\n",
        ),
        (
            "many missed",
            json!({}),
            "",
            100 + 300 * 200,
            "event Warning TooManyMissedTimes: too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew\ncreate jobs.batch a/c-28334335\nagain after 300.1s\n",
        ),
    ];
    for (what, change, before, seconds, expected) in table {
        assert_eq!(decide(change, before, seconds), expected, "{what}");
    }
}

#[test]
fn what_runs_is_minded() {
    let status = json!({"active": active(&["one"]), "lastScheduleTime": time(-200)});
    let forbid = json!({"spec": {"concurrencyPolicy": "Forbid"}, "status": status});
    let replace = json!({"spec": {"concurrencyPolicy": "Replace"}, "status": status});
    let table = [
        (
            forbid,
            "one 0 -",
            "event Normal JobAlreadyActive: Not starting job because prior execution is running and concurrency policy is Forbid\nagain after 300.1s\n",
        ),
        (
            replace,
            "one 0 -",
            "update cronjobs.batch/status a/c\ndelete jobs.batch a/one\ncreate jobs.batch a/c-28333335\nagain after 300.1s\n",
        ),
        (
            json!({"spec": {"suspend": true}, "status": {"active": active(&["one"])}}),
            "one 0 Complete",
            "event Normal SawCompletedJob: Saw completed job: one, condition: Complete\nupdate cronjobs.batch/status a/c\n",
        ),
        (
            json!({"spec": {"suspend": true}, "status": {"active": active(&["gone"])}}),
            "",
            "event Normal MissingJob: Active job went missing: gone\nupdate cronjobs.batch/status a/c\n",
        ),
        (
            json!({"spec": {"suspend": true}}),
            "other 0 -",
            "event Warning UnexpectedJob: Saw a job that the controller did not create or forgot: other\n",
        ),
        (
            json!({"spec": {"suspend": true}, "status": {"lastSuccessfulTime": time(900)}}),
            "a 3 Complete, b 1 Complete, c 2 Complete, d 1 Failed, e 2 Failed",
            "delete jobs.batch a/b\ndelete jobs.batch a/c\ndelete jobs.batch a/d\n",
        ),
    ];
    for (change, before, expected) in table {
        assert_eq!(decide(change.clone(), before, 100), expected, "{change}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_is_made_each_time_and_noted() {
    let cluster = Cluster::new();
    let crons = CronJob::resource();
    cluster.server.put(
        &crons,
        json!({"metadata": {"name": "c", "namespace": "a"}, "spec": {
        "schedule": "* * * * *", "timeZone": "Asia/Kolkata", "successfulJobsHistoryLimit": 1,
        "jobTemplate": {"spec": {"template": {}}}}}),
    );
    cluster.start(start);
    tokio::time::sleep(Duration::from_secs(61)).await;
    let jobs = cluster.server.list(&Job::resource());
    assert_eq!(jobs.len(), 1);
    let scheduled =
        jobs[0]["metadata"]["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"].clone();
    assert!(scheduled.as_str().unwrap().ends_with(":00+05:30"), "{scheduled}");
    let status = &cluster.get::<CronJob>("a", "c")["status"];
    assert_eq!(status["active"][0]["uid"], jobs[0]["metadata"]["uid"]);
    assert!(status["lastScheduleTime"].is_string());
    for _ in 0..3 {
        for job in cluster.server.list(&Job::resource()) {
            let done = json!({"conditions": [{"type": "Complete", "status": "True"}],
                "startTime": job["metadata"]["creationTimestamp"], "completionTime": cluster.env.now().to_string()});
            cluster.server.change(
                &Job::resource(),
                "a",
                job["metadata"]["name"].as_str().unwrap(),
                json!({"status": done}),
            );
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    assert_eq!(cluster.count(&Job::resource()), 2, "one that ended and one that runs");
    let status = &cluster.get::<CronJob>("a", "c")["status"];
    assert_eq!(status["active"].as_array().unwrap().len(), 1);
    assert!(status["lastSuccessfulTime"].is_string());
    let events = cluster.server.events();
    assert_eq!(events.iter().filter(|event| event.contains("Created job c-")).count(), 4, "{events:?}");
    assert!(!events.iter().any(|event| event.contains("UnexpectedJob")), "{events:?}");
    cluster.env.shutdown().await;
}
