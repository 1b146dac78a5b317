//! What a simulated kubelet does next about a pod: a pure function of the pod and of how long it has been there
//! (pkg/kubelet kubelet_pods.go, status/generate.go, status/status_manager.go).

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStatus, HostIP, Pod,
    PodCondition, PodIP, PodSpec, PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

/// How long things take on simulated nodes.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// From being bound to running, at least and at most.
    pub start: (Duration, Duration),
    /// From being asked to end to the end, at most the grace that the pod has.
    pub stop: (Duration, Duration),
    /// How long the pods of a Job run.
    pub job: Duration,
}

/// A pod at one moment.
pub struct Look<'a> {
    /// The pod, as the API has it.
    pub pod: &'a Pod,
    /// The address of its node.
    pub node_ip: String,
    /// Its own address, if it has a network of its own.
    pub pod_ip: String,
    /// For how long its node has known it.
    pub age: Duration,
    /// For how long its node has known that it is to end.
    pub ending: Option<Duration>,
    /// How long it takes this pod to start, and to stop.
    pub start: Duration,
    /// See `start`.
    pub stop: Duration,
    /// How long the pods of a Job run.
    pub job: Duration,
    /// The time.
    pub now: Timestamp,
}

/// What comes next.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// Nothing, until the pod changes.
    Rest,
    /// Nothing, for so long.
    Wait(Duration),
    /// To patch its status.
    Report(Value),
    /// To take it away for good.
    Remove,
}

/// What has become of the containers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Running,
    Done,
}

/// What to do next.
pub fn step(look: &Look) -> Step {
    let status = look.pod.status.clone().unwrap_or_default();
    let phase = status.phase.as_deref().unwrap_or_default();
    let is_over = matches!(phase, "Succeeded" | "Failed");
    if let Some(ending) = look.ending {
        return match (phase, look.stop.saturating_sub(ending)) {
            (_, left) if !left.is_zero() && !is_over => Step::Wait(left),
            ("Running", _) => Step::Report(report(look, &status, Stage::Done)),
            _ => Step::Remove,
        };
    }
    if is_over {
        return Step::Rest;
    }
    let left = look.start.saturating_sub(look.age);
    if phase != "Running" && !left.is_zero() {
        return Step::Wait(left);
    }
    let wanted = wanted(look, &status, Stage::Running);
    if !is_told(&status, &wanted) {
        return Step::Report(patch(look, &wanted));
    }
    if !runs_to_an_end(look.pod) {
        return Step::Rest;
    }
    let ran = started_at(&status).map(|since| look.now.duration_since(since).unsigned_abs());
    match look.job.saturating_sub(ran.unwrap_or_default()) {
        left if left.is_zero() => Step::Report(report(look, &status, Stage::Done)),
        left => Step::Wait(left),
    }
}

/// Whether what the API has is what we would say, times aside.
fn is_told(status: &PodStatus, wanted: &PodStatus) -> bool {
    let names = |status: &PodStatus| -> Vec<(String, Option<String>, bool)> {
        let all = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
        all.map(|one| (one.name.clone(), one.container_id.clone(), one.ready)).collect()
    };
    let holds = |wanted: &PodCondition| {
        let told = status.conditions.iter().flatten().find(|told| told.type_ == wanted.type_);
        told.is_some_and(|told| told.status == wanted.status)
    };
    status.phase == wanted.phase
        && status.observed_generation == wanted.observed_generation
        && names(status) == names(wanted)
        && wanted.conditions.iter().flatten().all(holds)
}

fn report(look: &Look, status: &PodStatus, stage: Stage) -> Value {
    patch(look, &wanted(look, status, stage))
}

fn patch(look: &Look, status: &PodStatus) -> Value {
    json!({"metadata": {"uid": look.pod.metadata.uid}, "status": status})
}

/// The pods of Jobs do their work and end.
fn runs_to_an_end(pod: &Pod) -> bool {
    let owners = pod.metadata.owner_references.iter().flatten();
    let policy = pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref());
    policy.is_some_and(|policy| policy != "Always") && owners.into_iter().any(|owner| owner.kind == "Job")
}

/// Since when its containers run.
fn started_at(status: &PodStatus) -> Option<Timestamp> {
    let first = status.container_statuses.as_ref()?.first()?;
    first.state.as_ref()?.running.as_ref()?.started_at.as_ref().map(|time| time.0)
}

/// The status at `stage`; what holds already keeps the time since when it does.
fn wanted(look: &Look, old: &PodStatus, stage: Stage) -> PodStatus {
    let empty = PodSpec::default();
    let spec = look.pod.spec.as_ref().unwrap_or(&empty);
    let now = Timestamp::from_second(look.now.as_second()).unwrap_or(look.now);
    let since = started_at(old).unwrap_or(now);
    let ip = if spec.host_network == Some(true) { &look.node_ip } else { &look.pod_ip };
    let ip = old.pod_ip.as_ref().filter(|ip| !ip.is_empty()).unwrap_or(ip).clone();
    let status = |container: &Container| container_status(look.pod, container, stage, since, now);
    let init = spec.init_containers.iter().flatten().map(|container| {
        let is_sidecar = container.restart_policy.as_deref() == Some("Always");
        match is_sidecar {
            true => status(container),
            false => ContainerStatus {
                ready: true,
                ..container_status(look.pod, container, Stage::Done, since, now)
            },
        }
    });
    let init: Vec<ContainerStatus> = init.collect();
    PodStatus {
        phase: Some(if stage == Stage::Running { "Running" } else { "Succeeded" }.to_owned()),
        conditions: Some(conditions(look, spec, old, stage, now)),
        host_ip: Some(look.node_ip.clone()),
        host_ips: Some(vec![HostIP { ip: look.node_ip.clone() }]),
        pod_ip: Some(ip.clone()),
        pod_ips: Some(vec![PodIP { ip }]),
        start_time: Some(old.start_time.clone().unwrap_or(Time(now))),
        container_statuses: Some(spec.containers.iter().map(status).collect()),
        init_container_statuses: (!init.is_empty()).then_some(init),
        observed_generation: look.pod.metadata.generation,
        ..PodStatus::default()
    }
}

fn container_status(
    pod: &Pod,
    container: &Container,
    stage: Stage,
    since: Timestamp,
    now: Timestamp,
) -> ContainerStatus {
    let id = format!("simulated://{}/{}", pod.metadata.uid.as_deref().unwrap_or_default(), container.name);
    let image = container.image.clone().unwrap_or_default();
    let is_running = stage == Stage::Running;
    let state = match stage {
        Stage::Running => ContainerState {
            running: Some(ContainerStateRunning { started_at: Some(Time(since)) }),
            ..ContainerState::default()
        },
        Stage::Done => ContainerState {
            terminated: Some(ContainerStateTerminated {
                container_id: Some(id.clone()),
                exit_code: 0,
                reason: Some("Completed".to_owned()),
                started_at: Some(Time(since)),
                finished_at: Some(Time(now)),
                ..ContainerStateTerminated::default()
            }),
            ..ContainerState::default()
        },
    };
    ContainerStatus {
        name: container.name.clone(),
        container_id: Some(id),
        image_id: image.clone(),
        image,
        ready: is_running,
        started: Some(is_running),
        restart_count: 0,
        state: Some(state),
        ..ContainerStatus::default()
    }
}

fn conditions(
    look: &Look,
    spec: &PodSpec,
    old: &PodStatus,
    stage: Stage,
    now: Timestamp,
) -> Vec<PodCondition> {
    let before = |kind: &str| old.conditions.iter().flatten().find(|condition| condition.type_ == kind);
    let runs = stage == Stage::Running;
    let gates = spec.readiness_gates.iter().flatten();
    let open = |kind: &str| before(kind).is_some_and(|condition| condition.status == "True");
    let are_gates_open = gates.into_iter().all(|gate| open(&gate.condition_type));
    let done = if runs { "" } else { "PodCompleted" };
    let gated = if runs && !are_gates_open { "ReadinessGatesNotReady" } else { done };
    let all = [
        ("PodReadyToStartContainers", runs, ""),
        ("Initialized", true, done),
        ("Ready", runs && are_gates_open, gated),
        ("ContainersReady", runs, done),
        ("PodScheduled", true, ""),
    ];
    let condition = |(kind, holds, reason): (&str, bool, &str)| {
        let status = if holds { "True" } else { "False" };
        let since = before(kind)
            .filter(|before| before.status == status)
            .and_then(|before| before.last_transition_time.clone());
        PodCondition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: (!reason.is_empty()).then(|| reason.to_owned()),
            last_transition_time: Some(since.unwrap_or(Time(now))),
            observed_generation: look.pod.metadata.generation,
            ..PodCondition::default()
        }
    };
    all.map(condition).into()
}
