//! Tables of situations and what is planned in them.

mod plans;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use super::NodePod;
use super::observed::{Container, PodRuntime, Sandbox, State};

/// A moment `seconds` after the start of all tests.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).unwrap()
}

/// A pod whose `spec` is JSON.
pub fn pod(spec: serde_json::Value) -> NodePod {
    pod_of("u1", spec)
}

/// A pod by its UID and spec.
pub fn pod_of(uid: &str, spec: serde_json::Value) -> NodePod {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": { "name": "web", "namespace": "default", "uid": uid }, "spec": spec,
    }))
    .unwrap();
    NodePod::new(pod)
}

/// What the runtime has, from lines such as `sandbox s0 ready`, `a c1 running s0`, `a c0 exited:1@5 s0`, newest first.
pub fn runtime(text: &str) -> PodRuntime {
    let mut runtime = PodRuntime::default();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if words[0] == "sandbox" {
            let attempt = words[1].trim_start_matches('s').parse().unwrap();
            let ips = vec!["10.1.0.1".to_owned()];
            runtime.sandboxes.push(Sandbox {
                id: words[1].into(),
                attempt,
                ready: words[2] == "ready",
                ips,
                ..Sandbox::default()
            });
            continue;
        }
        let (state, exit) = words[2].split_once(':').unwrap_or((words[2], "0@0"));
        let (code, when) = exit.split_once('@').unwrap_or((exit, "0"));
        let state = match state {
            "running" => State::Running,
            "created" => State::Created,
            "exited" => State::Exited,
            _ => State::Unknown,
        };
        runtime.containers.push(Container {
            name: words[0].into(),
            id: words[1].into(),
            sandbox_id: words[3].into(),
            state,
            exit_code: code.parse().unwrap(),
            finished_at_ns: at(when.parse().unwrap()).as_nanosecond() as i64,
            ..Container::default()
        });
    }
    runtime
}
