//! The conditions of a pod that the kubelet owns (pkg/kubelet/status/generate.go).

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::pod::resize::Pending;
use crate::pod::{NodePod, Slot, is_sidecar};

/// Those that nobody else writes (pkg/kubelet/types PodConditionByKubelet).
pub const OWNED: [&str; 7] = [
    "PodScheduled",
    "Ready",
    "Initialized",
    "ContainersReady",
    "PodReadyToStartContainers",
    "PodResizePending",
    "PodResizeInProgress",
];

/// How far a change of the pod's resources is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resize {
    /// Why it is not granted.
    pub pending: Option<Pending>,
    /// Whether containers do not have yet what was granted.
    pub in_progress: bool,
    /// Why they could not be given it.
    pub error: Option<String>,
}

/// What a condition says, without when it began to say so.
struct Verdict {
    holds: bool,
    reason: &'static str,
    message: String,
}

/// The kubelet's conditions, in upstream's order. `others` are the conditions of others, for readiness gates.
pub fn owned(
    pod: &NodePod,
    statuses: &[&ContainerStatus],
    phase: &str,
    has_sandbox: bool,
    old: &[PodCondition],
    others: &[PodCondition],
    now: Timestamp,
) -> Vec<PodCondition> {
    let ready = containers_ready(pod, statuses, phase);
    let pod_ready = pod_ready(pod, &ready, others);
    let verdicts = [
        ("PodReadyToStartContainers", Verdict { holds: has_sandbox, reason: "", message: String::new() }),
        ("Initialized", initialized(pod, statuses, phase)),
        ("Ready", pod_ready),
        ("ContainersReady", ready),
        ("PodScheduled", Verdict { holds: true, reason: "", message: String::new() }),
    ];
    verdicts.into_iter().map(|(name, verdict)| condition(pod, name, verdict, old, now)).collect()
}

/// The conditions of a change of resources: there only while it lasts.
pub fn resize(pod: &NodePod, resize: &Resize, old: &[PodCondition], now: Timestamp) -> Vec<PodCondition> {
    let says = |reason, message: &str| Verdict { holds: true, reason, message: message.to_owned() };
    let pending =
        resize.pending.as_ref().map(|why| ("PodResizePending", says(why.reason, why.message.as_str())));
    let progress = resize.in_progress.then(|| match &resize.error {
        Some(error) => ("PodResizeInProgress", says("Error", error.as_str())),
        None => ("PodResizeInProgress", says("", "")),
    });
    let verdicts = pending.into_iter().chain(progress);
    verdicts.map(|(name, verdict)| condition(pod, name, verdict, old, now)).collect()
}

fn condition(
    pod: &NodePod,
    name: &str,
    verdict: Verdict,
    old: &[PodCondition],
    now: Timestamp,
) -> PodCondition {
    let before = old.iter().find(|condition| condition.type_ == name);
    let status = if verdict.holds { "True" } else { "False" };
    let since = before
        .filter(|before| before.status == status)
        .and_then(|before| before.last_transition_time.clone());
    PodCondition {
        type_: name.to_owned(),
        status: status.to_owned(),
        reason: (!verdict.reason.is_empty()).then(|| verdict.reason.to_owned()),
        message: (!verdict.message.is_empty()).then_some(verdict.message),
        last_transition_time: Some(since.unwrap_or(Time(now))),
        last_probe_time: None,
        observed_generation: pod.pod.metadata.generation,
    }
}

fn find<'a>(statuses: &[&'a ContainerStatus], name: &str) -> Option<&'a ContainerStatus> {
    statuses.iter().find(|status| status.name == name).copied()
}

/// Names as Go prints a list of them.
fn list(names: &[&str]) -> String {
    format!("[{}]", names.join(" "))
}

fn complaint(unknown: &[&str], bad: &[&str], how: &str) -> String {
    let mut parts = Vec::new();
    if !unknown.is_empty() {
        parts.push(format!("containers with unknown status: {}", list(unknown)));
    }
    if !bad.is_empty() {
        parts.push(format!("containers with {how} status: {}", list(bad)));
    }
    parts.join(", ")
}

fn containers_ready(pod: &NodePod, statuses: &[&ContainerStatus], phase: &str) -> Verdict {
    let init = pod.init().iter().enumerate();
    let sidecars = init
        .filter(|(index, container)| is_sidecar(Slot::Init(*index), container))
        .map(|(_, container)| container);
    let (mut unknown, mut unready) = (Vec::new(), Vec::new());
    for container in sidecars.chain(pod.regular()) {
        match find(statuses, &container.name) {
            None => unknown.push(container.name.as_str()),
            Some(status) if !status.ready => unready.push(container.name.as_str()),
            Some(_) => {}
        }
    }
    let not = |reason, message| Verdict { holds: false, reason, message };
    match phase {
        "Succeeded" if unknown.is_empty() => not("PodCompleted", String::new()),
        "Failed" => not("PodFailed", String::new()),
        _ if unknown.is_empty() && unready.is_empty() => {
            Verdict { holds: true, reason: "", message: String::new() }
        }
        _ => not("ContainersNotReady", complaint(&unknown, &unready, "unready")),
    }
}

fn pod_ready(pod: &NodePod, containers: &Verdict, others: &[PodCondition]) -> Verdict {
    if !containers.holds {
        return Verdict { holds: false, reason: containers.reason, message: containers.message.clone() };
    }
    let mut messages = Vec::new();
    for gate in pod.spec().readiness_gates.iter().flatten() {
        let name = &gate.condition_type;
        match others.iter().find(|condition| condition.type_ == *name) {
            None => messages
                .push(format!("corresponding condition of pod readiness gate {name:?} does not exist.")),
            Some(condition) if condition.status != "True" => messages.push(format!(
                "the status of pod readiness gate {name:?} is not \"True\", but {}",
                condition.status
            )),
            Some(_) => {}
        }
    }
    let reason = if messages.is_empty() { "" } else { "ReadinessGatesNotReady" };
    Verdict { holds: messages.is_empty(), reason, message: messages.join(", ") }
}

fn initialized(pod: &NodePod, statuses: &[&ContainerStatus], phase: &str) -> Verdict {
    let (mut unknown, mut incomplete) = (Vec::new(), Vec::new());
    for (index, container) in pod.init().iter().enumerate() {
        let done = |status: &ContainerStatus| match is_sidecar(Slot::Init(index), container) {
            true => status.started == Some(true),
            false => status.ready,
        };
        match find(statuses, &container.name) {
            None => unknown.push(container.name.as_str()),
            Some(status) if !done(status) => incomplete.push(container.name.as_str()),
            Some(_) => {}
        }
    }
    let yes = |reason| Verdict { holds: true, reason, message: String::new() };
    if phase == "Succeeded" && unknown.is_empty() {
        return yes("PodCompleted");
    }
    let begun = |container: &k8s_openapi::api::core::v1::Container| {
        find(statuses, &container.name).is_some_and(has_started)
    };
    if pod.regular().iter().any(begun) || (unknown.is_empty() && incomplete.is_empty()) {
        return yes("");
    }
    let message = complaint(&unknown, &incomplete, "incomplete");
    Verdict { holds: false, reason: "ContainersNotInitialized", message }
}

/// Whether an instance of the container runs or has run.
fn has_started(status: &ContainerStatus) -> bool {
    let ran = |state: &k8s_openapi::api::core::v1::ContainerState| {
        state.running.is_some() || state.terminated.is_some()
    };
    status.state.as_ref().is_some_and(ran)
        || status.last_state.as_ref().is_some_and(|last| last.terminated.is_some())
}
