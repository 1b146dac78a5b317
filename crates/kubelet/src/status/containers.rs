//! The statuses of a pod's containers (pkg/kubelet kubelet_pods.go convertToAPIContainerStatuses, prober
//! UpdatePodStatus).

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container as Spec, ContainerState, ContainerStateRunning, ContainerStateTerminated,
    ContainerStateWaiting, ContainerStatus, ContainerUser, LinuxContainerUser, ResourceRequirements,
    VolumeMountStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::generate::Facts;
use crate::pod::observed::{Container, State};
use crate::pod::plan::{ProbeKind, should_start};
use crate::pod::{Slot, is_sidecar, resize};

/// With what containerd's ids are prefixed.
pub const RUNTIME: &str = "containerd";

/// The statuses of the containers `specs`, whose statuses were `old`; `slot` tells where each is.
pub fn statuses(
    facts: &Facts,
    specs: &[Spec],
    old: &[ContainerStatus],
    slot: fn(usize) -> Slot,
) -> Vec<ContainerStatus> {
    let status = |(index, spec): (usize, &Spec)| {
        let old = old.iter().find(|status| status.name == spec.name);
        let mut status = status(facts, spec, old, slot(index));
        mark_ready(facts, slot(index), spec, &mut status);
        status
    };
    specs.iter().enumerate().map(status).collect()
}

fn status(facts: &Facts, spec: &Spec, old: Option<&ContainerStatus>, slot: Slot) -> ContainerStatus {
    let mut status = match facts.runtime.container(&spec.name) {
        Some(container) => {
            let mut status = convert(facts, spec, container, old);
            let before = facts.runtime.previous(&spec.name).filter(|before| before.state == State::Exited);
            if let Some(before) = before {
                status.last_state = Some(ContainerState {
                    terminated: Some(terminated(facts, before)),
                    ..Default::default()
                });
            }
            status
        }
        None => without_container(facts, spec, old),
    };
    status.volume_mounts = volume_mounts(spec);
    let failure = facts.failures.get(&spec.name);
    let ephemeral = matches!(slot, Slot::Ephemeral(_));
    if let Some(failure) = failure.filter(|_| {
        (!ephemeral || status.container_id.is_none()) && should_start(facts.pod, spec, facts.runtime)
    }) {
        let state = status.state.take();
        if let Some(ended @ ContainerState { terminated: Some(_), .. }) = state {
            status.last_state = Some(ended);
        }
        status.state = Some(waiting(&failure.reason, &failure.message));
    }
    status
}

/// The status of a container that the runtime has.
fn convert(
    facts: &Facts,
    spec: &Spec,
    container: &Container,
    old: Option<&ContainerStatus>,
) -> ContainerStatus {
    let state = match container.state {
        State::Running => ContainerState {
            running: Some(ContainerStateRunning { started_at: time(container.started_at_ns) }),
            ..Default::default()
        },
        State::Exited => {
            ContainerState { terminated: Some(terminated(facts, container)), ..Default::default() }
        }
        State::Created | State::Unknown => {
            ContainerState { waiting: Some(ContainerStateWaiting::default()), ..Default::default() }
        }
    };
    let running = container.state == State::Running;
    ContainerStatus {
        name: spec.name.clone(),
        state: Some(state),
        last_state: old.and_then(|old| old.last_state.clone()).or_else(|| Some(ContainerState::default())),
        restart_count: i32::try_from(container.restart_count).unwrap_or(i32::MAX),
        image: container.image.clone(),
        image_id: container.image_ref.clone(),
        container_id: Some(id(container)),
        allocated_resources: spec.resources.as_ref().and_then(|resources| resources.requests.clone()),
        resources: if running { resize::actual(spec, container) } else { resources(spec) },
        user: container.user.as_ref().filter(|_| running).map(|user| ContainerUser {
            linux: Some(LinuxContainerUser {
                uid: user.uid,
                gid: user.gid,
                supplemental_groups: (!user.supplemental_groups.is_empty())
                    .then(|| user.supplemental_groups.clone()),
            }),
        }),
        ..ContainerStatus::default()
    }
}

fn resources(spec: &Spec) -> Option<ResourceRequirements> {
    Some(spec.resources.clone().unwrap_or_default())
}

/// The container's id as the API writes it.
pub fn id(container: &Container) -> String {
    format!("{RUNTIME}://{}", container.id)
}

fn terminated(facts: &Facts, container: &Container) -> ContainerStateTerminated {
    let said = facts.messages.get(&container.id).cloned().unwrap_or_else(|| container.message.clone());
    ContainerStateTerminated {
        exit_code: container.exit_code,
        reason: (!container.reason.is_empty()).then(|| container.reason.clone()),
        message: (!said.is_empty()).then_some(said),
        started_at: time(container.started_at_ns),
        finished_at: time(container.finished_at_ns),
        container_id: Some(id(container)),
        signal: None,
    }
}

fn time(ns: i64) -> Option<Time> {
    // The API's times have whole seconds.
    (ns > 0).then(|| Timestamp::from_second(ns / 1_000_000_000).ok()).flatten().map(Time)
}

fn waiting(reason: &str, message: &str) -> ContainerState {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let waiting = ContainerStateWaiting { reason: some(reason), message: some(message) };
    ContainerState { waiting: Some(waiting), ..Default::default() }
}

/// The status of a container that the runtime does not have: not yet, or no longer.
fn without_container(facts: &Facts, spec: &Spec, old: Option<&ContainerStatus>) -> ContainerStatus {
    let reason = if facts.pod.init().is_empty() { "ContainerCreating" } else { "PodInitializing" };
    let mut status = ContainerStatus {
        name: spec.name.clone(),
        image: spec.image.clone().unwrap_or_default(),
        state: Some(waiting(reason, "")),
        last_state: Some(ContainerState::default()),
        allocated_resources: spec.resources.as_ref().and_then(|resources| resources.requests.clone()),
        resources: resources(spec),
        ..ContainerStatus::default()
    };
    let Some(old) = old else { return status };
    let state = old.state.clone().unwrap_or_default();
    if state.terminated.is_some() {
        return old.clone();
    }
    status.restart_count = old.restart_count;
    status.last_state = old.last_state.clone();
    let ended_before = old.last_state.as_ref().is_some_and(|last| last.terminated.is_some());
    if state.running.is_some() && !ended_before {
        // It ran, and nobody knows how it ended.
        let lost = ContainerStateTerminated {
            exit_code: 137,
            reason: Some("ContainerStatusUnknown".to_owned()),
            message: Some("The container could not be located when the pod was deleted.  The container used to be Running".to_owned()),
            ..Default::default()
        };
        status.last_state = Some(ContainerState { terminated: Some(lost), ..Default::default() });
        status.restart_count += i32::from(!facts.pod.is_deleted());
    }
    status
}

fn volume_mounts(spec: &Spec) -> Option<Vec<VolumeMountStatus>> {
    let convert = |mount: &k8s_openapi::api::core::v1::VolumeMount| VolumeMountStatus {
        name: mount.name.clone(),
        mount_path: mount.mount_path.clone(),
        read_only: mount.read_only,
        recursive_read_only: (mount.read_only == Some(true)).then(|| "Disabled".to_owned()),
        ..VolumeMountStatus::default()
    };
    spec.volume_mounts
        .as_ref()
        .filter(|mounts| !mounts.is_empty())
        .map(|mounts| mounts.iter().map(convert).collect())
}

/// Says whether the container has started and is ready, by its probes.
fn mark_ready(facts: &Facts, slot: Slot, spec: &Spec, status: &mut ContainerStatus) {
    let state = status.state.clone().unwrap_or_default();
    if matches!(slot, Slot::Init(_)) && !is_sidecar(slot, spec) {
        let done = state.terminated.is_some_and(|ended| ended.exit_code == 0);
        status.ready = done;
        status.started = Some(state.running.is_some());
        return;
    }
    let running = state.running.is_some();
    let id = facts.runtime.container(&spec.name).map(|container| container.id.as_str()).unwrap_or_default();
    let passed = |kind, probe: bool| !probe || facts.verdicts.get(id, kind) == Some(true);
    let hooked = !facts.in_post_start.contains(id);
    let started = running && hooked && passed(ProbeKind::Startup, spec.startup_probe.is_some());
    status.started = Some(started);
    if !matches!(slot, Slot::Ephemeral(_)) {
        status.ready = started && passed(ProbeKind::Readiness, spec.readiness_probe.is_some());
    }
}

/// What ended containers say of themselves, by id.
pub type Messages = BTreeMap<String, String>;
