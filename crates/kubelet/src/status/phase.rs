//! The phase of a pod (pkg/kubelet kubelet_pods.go getPhase).

use k8s_openapi::api::core::v1::{Container, ContainerStatus};

use crate::pod::{NodePod, Slot, is_sidecar};

/// Where a container is in its life, as its status tells.
enum Life {
    Unknown,
    Waiting,
    Running {
        started: bool,
    },
    Stopped {
        exit_code: i32,
    },
    /// Waiting to be started again.
    Restarting {
        exit_code: i32,
    },
}

#[derive(Default)]
struct Counts {
    unknown: usize,
    running: usize,
    waiting: usize,
    stopped: usize,
    stopped_for_good: usize,
    succeeded: usize,
}

/// The phase of `pod` with container statuses `statuses`, init containers among them. `terminal`: nothing is started
/// any more; `has_begun`: a regular container has started before.
pub fn phase(pod: &NodePod, statuses: &[&ContainerStatus], terminal: bool, has_begun: bool) -> &'static str {
    let (mut init_pending, mut sidecars_pending, mut init_failed) = (0, 0, 0);
    let mut counts = Counts::default();
    for (index, container) in pod.init().iter().enumerate() {
        let life = life(container, statuses);
        if is_sidecar(Slot::Init(index), container) {
            sidecars_pending += count_sidecar(&life, &mut counts);
            continue;
        }
        match life {
            Life::Stopped { exit_code } | Life::Restarting { exit_code } if exit_code != 0 => {
                init_failed += usize::from(!pod.should_restart(container, exit_code));
            }
            Life::Stopped { .. } => {}
            Life::Restarting { .. } => {}
            _ => init_pending += 1,
        }
    }
    for container in pod.regular() {
        count_regular(pod, container, &life(container, statuses), &mut counts);
    }
    if init_failed > 0 {
        return "Failed";
    }
    if init_pending > 0 || (sidecars_pending > 0 && !has_begun) || counts.waiting > 0 {
        return "Pending";
    }
    if counts.unknown > 0 {
        return "Pending";
    }
    if counts.running > 0 {
        return "Running";
    }
    if counts.stopped == 0 {
        return "Pending";
    }
    let ended = if counts.stopped == counts.succeeded { "Succeeded" } else { "Failed" };
    if terminal && !pod.is_static() {
        return ended;
    }
    if counts.stopped != counts.stopped_for_good { "Running" } else { ended }
}

/// Whether the sidecar keeps the pod from having begun; a stopped one says nothing about the pod.
fn count_sidecar(life: &Life, counts: &mut Counts) -> usize {
    match life {
        Life::Running { started } => {
            counts.running += 1;
            usize::from(!started)
        }
        Life::Stopped { .. } | Life::Restarting { .. } => 0,
        Life::Waiting => {
            counts.waiting += 1;
            1
        }
        Life::Unknown => {
            counts.unknown += 1;
            1
        }
    }
}

fn count_regular(pod: &NodePod, container: &Container, life: &Life, counts: &mut Counts) {
    match life {
        Life::Unknown => counts.unknown += 1,
        Life::Waiting => counts.waiting += 1,
        Life::Running { .. } => counts.running += 1,
        Life::Stopped { exit_code } | Life::Restarting { exit_code } => {
            counts.stopped += 1;
            counts.stopped_for_good += usize::from(!pod.should_restart(container, *exit_code));
            counts.succeeded += usize::from(*exit_code == 0 && matches!(life, Life::Stopped { .. }));
        }
    }
}

fn life(container: &Container, statuses: &[&ContainerStatus]) -> Life {
    let Some(status) = statuses.iter().find(|status| status.name == container.name) else {
        return Life::Unknown;
    };
    let Some(state) = &status.state else { return Life::Unknown };
    if state.running.is_some() {
        return Life::Running { started: status.started == Some(true) };
    }
    if let Some(ended) = &state.terminated {
        return Life::Stopped { exit_code: ended.exit_code };
    }
    let before = status.last_state.as_ref().and_then(|last| last.terminated.as_ref());
    match (state.waiting.is_some(), before) {
        (true, Some(ended)) => Life::Restarting { exit_code: ended.exit_code },
        (true, None) => Life::Waiting,
        (false, _) => Life::Unknown,
    }
}
