//! What the API is told of pods.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{ContainerStatus, PodStatus};
use serde_json::json;

use super::{Facts, generate};
use crate::pod::NodePod;
use crate::pod::plan::{Failure, ProbeKind, Verdicts};
use crate::pod::tests::{at, pod, runtime};

/// A pod's status from what there is, all else empty.
fn status(
    pod: &NodePod,
    text: &str,
    verdicts: &[(&str, ProbeKind, bool)],
    failures: &[(&str, &str)],
    terminal: bool,
) -> PodStatus {
    let runtime = runtime(text);
    let verdicts = Verdicts(verdicts.iter().map(|(id, kind, ok)| (((*id).to_owned(), *kind), *ok)).collect());
    let failure = |(name, reason): &(&str, &str)| {
        (
            (*name).to_owned(),
            Failure { reason: (*reason).to_owned(), message: "why".to_owned(), retry_at: at(200) },
        )
    };
    generate(&Facts {
        pod,
        runtime: &runtime,
        verdicts: &verdicts,
        failures: &failures.iter().map(failure).collect(),
        messages: &BTreeMap::new(),
        in_post_start: &BTreeSet::new(),
        old: &PodStatus::default(),
        host_ips: &["10.0.0.9".to_owned()],
        resize: &super::conditions::Resize::default(),
        terminal,
        verdict: None,
        now: at(100),
    })
}

/// `Phase; condition conditions that hold; container: state`.
fn show(status: &PodStatus) -> String {
    let state = |status: &ContainerStatus| {
        let state = status.state.clone().unwrap_or_default();
        let word = match (state.running, state.terminated, state.waiting) {
            (Some(_), ..) => "running".to_owned(),
            (_, Some(ended), _) => format!("exited {}", ended.exit_code),
            (.., Some(waiting)) => waiting.reason.unwrap_or_else(|| "waiting".to_owned()),
            _ => "unknown".to_owned(),
        };
        format!("{}={word}{}", status.name, if status.ready { "+" } else { "" })
    };
    let all =
        status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten());
    let holding = status.conditions.iter().flatten().filter(|condition| condition.status == "True");
    let holding = holding.map(|condition| match condition.type_.as_str() {
        "PodReadyToStartContainers" => "S",
        "Initialized" => "I",
        "ContainersReady" => "C",
        "Ready" => "R",
        _ => "",
    });
    let phase = status.phase.clone().unwrap_or_default();
    format!("{phase} {} {}", holding.collect::<String>(), all.map(state).collect::<Vec<_>>().join(" "))
}

#[test]
fn phases_and_conditions() {
    let two = |policy: &str| {
        pod(json!({ "restartPolicy": policy, "containers": [{ "name": "a" }, { "name": "b" }] }))
    };
    let cases = [
        ("Always", "", false, "Pending I a=ContainerCreating b=ContainerCreating"),
        ("Always", "sandbox s0 ready\na c1 running s0", false, "Pending SI a=running+ b=ContainerCreating"),
        (
            "Always",
            "sandbox s0 ready\na c1 running s0\nb c2 running s0",
            false,
            "Running SIRC a=running+ b=running+",
        ),
        (
            "Always",
            "sandbox s0 ready\na c1 exited:0 s0\nb c2 running s0",
            false,
            "Running SI a=exited 0 b=running+",
        ),
        (
            "Always",
            "sandbox s0 ready\na c1 exited:0 s0\nb c2 exited:0 s0",
            false,
            "Running SI a=exited 0 b=exited 0",
        ),
        (
            "Always",
            "sandbox s0 dead\na c1 exited:0 s0\nb c2 exited:0 s0",
            true,
            "Succeeded I a=exited 0 b=exited 0",
        ),
        (
            "Never",
            "sandbox s0 ready\na c1 exited:0 s0\nb c2 exited:0 s0",
            false,
            "Succeeded SI a=exited 0 b=exited 0",
        ),
        (
            "Never",
            "sandbox s0 ready\na c1 exited:3 s0\nb c2 exited:0 s0",
            false,
            "Failed SI a=exited 3 b=exited 0",
        ),
        (
            "OnFailure",
            "sandbox s0 ready\na c1 exited:3 s0\nb c2 exited:0 s0",
            false,
            "Running SI a=exited 3 b=exited 0",
        ),
    ];
    for (policy, runtime, terminal, expected) in cases {
        assert_eq!(show(&status(&two(policy), runtime, &[], &[], terminal)), expected, "{policy}: {runtime}");
    }
}

#[test]
fn init_containers_probes_and_failures() {
    let probe = json!({ "exec": { "command": ["true"] } });
    let pod = pod(json!({
        "restartPolicy": "Always",
        "initContainers": [{ "name": "i" }, { "name": "s", "restartPolicy": "Always", "startupProbe": probe }],
        "containers": [{ "name": "a", "readinessProbe": probe }],
    }));
    let started = ("c2", ProbeKind::Startup, true);
    let ready = ("c3", ProbeKind::Readiness, true);
    let running = "sandbox s0 ready\na c3 running s0\ns c2 running s0\ni c1 exited:0 s0";
    let cases = [
        (
            "sandbox s0 ready\ni c1 running s0",
            vec![],
            vec![],
            "Pending S i=running s=PodInitializing a=PodInitializing",
        ),
        (
            "sandbox s0 ready\ns c2 running s0\ni c1 exited:0 s0",
            vec![],
            vec![],
            "Pending S i=exited 0+ s=running a=PodInitializing",
        ),
        (
            "sandbox s0 ready\ns c2 running s0\ni c1 exited:0 s0",
            vec![started],
            vec![("a", "ErrImagePull")],
            "Pending SI i=exited 0+ s=running+ a=ErrImagePull",
        ),
        (running, vec![started], vec![], "Running SI i=exited 0+ s=running+ a=running"),
        (running, vec![started, ready], vec![], "Running SIRC i=exited 0+ s=running+ a=running+"),
        (
            "sandbox s0 ready\na c3 exited:1@9 s0\ns c2 running s0\ni c1 exited:0 s0",
            vec![started],
            vec![("a", "CrashLoopBackOff")],
            "Running SI i=exited 0+ s=running+ a=CrashLoopBackOff",
        ),
    ];
    for (runtime, verdicts, failures, expected) in cases {
        assert_eq!(show(&status(&pod, runtime, &verdicts, &failures, false)), expected, "{runtime}");
    }
}

#[test]
fn a_crash_is_remembered_and_addresses_are_told() {
    let pod = pod(json!({ "restartPolicy": "Always", "containers": [{ "name": "a" }] }));
    let status = status(&pod, "sandbox s0 ready\na c2 running s0\na c1 exited:7@5 s0", &[], &[], false);
    let container = &status.container_statuses.as_ref().unwrap()[0];
    let last = container.last_state.as_ref().unwrap().terminated.as_ref().unwrap();
    assert_eq!((last.exit_code, last.container_id.as_deref()), (7, Some("containerd://c1")));
    assert_eq!((status.pod_ip.as_deref(), status.host_ip.as_deref()), (Some("10.1.0.1"), Some("10.0.0.9")));
    assert_eq!(status.qos_class.as_deref(), Some("BestEffort"));
}
