//! What the core plans for pods in every state.

use serde_json::json;

use super::{at, pod, runtime};
use crate::pod::plan::{Memory, Plan, ProbeKind, Situation, Verdicts, backoff_key, plan};
use crate::pod::{NodePod, Slot};

/// The plan as text: only what there is to do.
fn show(pod: &NodePod, plan: &Plan) -> String {
    let mut out = Vec::new();
    let name = |slot: &Slot| pod.container(*slot).name.clone();
    if plan.kill_pod {
        out.push("kill pod".to_owned());
    }
    out.extend(plan.kill.iter().map(|kill| format!("kill {} ({})", kill.id, kill.message)));
    out.extend(plan.create_sandbox.map(|attempt| format!("sandbox {attempt}")));
    out.extend(plan.start.iter().map(|slot| format!("start {}", name(slot))));
    out.extend(plan.backing_off.iter().map(|held| format!("hold {}", name(&held.slot))));
    out.extend(plan.remove.iter().map(|id| format!("remove {id}")));
    out.extend(plan.remove_sandboxes.iter().map(|id| format!("remove {id}")));
    if plan.finished {
        out.push("finished".to_owned());
    }
    out.join("; ")
}

fn planned(
    pod: &NodePod,
    runtime_text: &str,
    verdicts: &[(&str, ProbeKind, bool)],
    memory: &Memory,
) -> String {
    let runtime = runtime(runtime_text);
    let verdicts = Verdicts(verdicts.iter().map(|(id, kind, ok)| (((*id).to_owned(), *kind), *ok)).collect());
    let situation = Situation { pod, runtime: &runtime, verdicts: &verdicts, memory, now: at(100) };
    show(pod, &plan(&situation))
}

#[test]
fn regular_containers() {
    let two = |policy: &str| {
        pod(json!({ "restartPolicy": policy, "containers": [{ "name": "a" }, { "name": "b" }] }))
    };
    let cases = [
        ("Always", "", "sandbox 0; start a; start b"),
        ("Always", "sandbox s0 ready", "start a; start b"),
        ("Always", "sandbox s0 ready\na c1 running s0", "start b"),
        ("Always", "sandbox s0 ready\na c1 running s0\nb c2 running s0", ""),
        ("Always", "sandbox s0 ready\na c1 exited:0 s0\nb c2 running s0", "start a"),
        ("OnFailure", "sandbox s0 ready\na c1 exited:0 s0\nb c2 exited:1 s0", "start b"),
        ("OnFailure", "sandbox s0 ready\na c1 exited:0 s0\nb c2 exited:0 s0", "kill pod; finished"),
        ("Never", "sandbox s0 ready\na c1 exited:1 s0\nb c2 running s0", ""),
        ("Never", "sandbox s0 ready\na c1 exited:1 s0\nb c2 exited:0 s0", "kill pod; finished"),
        // The sandbox has died.
        (
            "Always",
            "sandbox s0 dead\na c1 exited:0 s0\nb c2 running s0",
            "kill pod; sandbox 1; start a; start b",
        ),
        ("Never", "sandbox s0 dead\na c1 exited:1 s0\nb c2 running s0", "kill pod; finished"),
        ("OnFailure", "sandbox s0 dead\na c1 exited:0 s0\nb c2 exited:0 s0", "finished"),
        ("OnFailure", "sandbox s0 dead\na c1 exited:0 s0\nb c2 exited:1 s0", "sandbox 1; start b"),
        // Nobody knows how it is.
        (
            "Always",
            "sandbox s0 ready\na c1 unknown s0\nb c2 running s0",
            "kill c1 (Container is in \"unknown\" state, try killing it before restart); start a",
        ),
        // Only one dead instance is kept.
        (
            "Always",
            "sandbox s1 ready\nsandbox s0 dead\na c3 running s1\nb c4 running s1\na c2 exited:1 s1\na c1 exited:1 s0",
            "remove c1; remove s0",
        ),
    ];
    for (policy, runtime, expected) in cases {
        assert_eq!(planned(&two(policy), runtime, &[], &Memory::default()), expected, "{policy}: {runtime}");
    }
}

#[test]
fn init_containers_run_in_order() {
    let pod = |policy: &str| {
        pod(json!({
            "restartPolicy": policy,
            "initContainers": [{ "name": "i" }, { "name": "s", "restartPolicy": "Always" }, { "name": "j" }],
            "containers": [{ "name": "a" }],
        }))
    };
    let cases = [
        ("Always", "", "sandbox 0; start i"),
        ("Always", "sandbox s0 ready", "start i"),
        ("Always", "sandbox s0 ready\ni c1 running s0", ""),
        ("Always", "sandbox s0 ready\ni c1 exited:1 s0", "start i"),
        ("Never", "sandbox s0 ready\ni c1 exited:1 s0", "kill pod; finished"),
        ("Always", "sandbox s0 ready\ni c1 exited:0 s0", "start s"),
        ("Always", "sandbox s0 ready\ns c2 running s0\ni c1 exited:0 s0", "start j"),
        ("Always", "sandbox s0 ready\nj c3 exited:0 s0\ns c2 running s0\ni c1 exited:0 s0", "start a"),
        // A sidecar that ends is started again, whatever the pod does.
        ("Never", "sandbox s0 ready\nj c3 running s0\ns c2 exited:0 s0\ni c1 exited:0 s0", "start s"),
        (
            "Never",
            "sandbox s0 ready\na c4 running s0\nj c3 exited:0 s0\ns c2 exited:0 s0\ni c1 exited:0 s0",
            "start s",
        ),
        // The regular containers' end is the sidecar's.
        (
            "Never",
            "sandbox s0 ready\na c4 exited:0 s0\nj c3 exited:0 s0\ns c2 running s0\ni c1 exited:0 s0",
            "kill pod; finished",
        ),
        // In a new sandbox all run again.
        (
            "Always",
            "sandbox s1 ready\nsandbox s0 dead\nj c3 exited:0 s0\ns c2 exited:0 s0\ni c1 exited:0 s0",
            "start i",
        ),
    ];
    for (policy, runtime, expected) in cases {
        assert_eq!(planned(&pod(policy), runtime, &[], &Memory::default()), expected, "{policy}: {runtime}");
    }
}

#[test]
fn probes_restart_and_hold() {
    let probe = json!({ "exec": { "command": ["true"] } });
    let web = |policy: &str| {
        pod(json!({
            "restartPolicy": policy,
            "initContainers": [{ "name": "s", "restartPolicy": "Always", "startupProbe": probe }],
            "containers": [{ "name": "a", "livenessProbe": probe }],
        }))
    };
    let running = "sandbox s0 ready\na c2 running s0\ns c1 running s0";
    let cases = [
        ("Always", "sandbox s0 ready\ns c1 running s0", vec![], ""),
        ("Always", "sandbox s0 ready\ns c1 running s0", vec![("c1", ProbeKind::Startup, true)], "start a"),
        (
            "Always",
            "sandbox s0 ready\ns c1 running s0",
            vec![("c1", ProbeKind::Startup, false)],
            "kill c1 (Init container s failed startup probe, will be restarted); start s",
        ),
        (
            "Always",
            running,
            vec![("c1", ProbeKind::Startup, true), ("c2", ProbeKind::Liveness, false)],
            "kill c2 (Container a failed liveness probe, will be restarted); start a",
        ),
        ("Always", running, vec![("c1", ProbeKind::Startup, true), ("c2", ProbeKind::Liveness, true)], ""),
    ];
    for (policy, runtime, verdicts, expected) in cases {
        assert_eq!(
            planned(&web(policy), runtime, &verdicts, &Memory::default()),
            expected,
            "{policy}: {runtime}"
        );
    }
}

#[test]
fn crashes_are_held_back() {
    let pod = pod(json!({ "restartPolicy": "Always", "containers": [{ "name": "a" }] }));
    let mut memory = Memory::default();
    let crashed = "sandbox s0 ready\na c1 exited:1@95 s0";
    assert_eq!(planned(&pod, crashed, &[], &memory), "start a");
    memory.crashes.next(&backoff_key(&pod.regular()[0]), at(80), at(80));
    assert_eq!(planned(&pod, crashed, &[], &memory), "hold a");
    assert_eq!(planned(&pod, "sandbox s0 ready\na c1 exited:1@80 s0", &[], &memory), "start a");
}
