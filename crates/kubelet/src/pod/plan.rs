//! What to do about a pod next: a pure function of what it should be, what the runtime has, what the probes say and
//! what has failed before (pkg/kubelet/kuberuntime computePodActions).

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Container as Spec;

use super::backoff::Backoffs;
use super::observed::{Container, PodRuntime, State};
use super::{NodePod, Slot, hash, is_sidecar, resize};

/// Which probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProbeKind {
    /// Restarts a container that hangs.
    Liveness,
    /// Keeps traffic from a container that is not ready.
    Readiness,
    /// Holds the other probes back until the container has started.
    Startup,
}

/// The last word of each probe, by container id: whether it succeeded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdicts(pub BTreeMap<(String, ProbeKind), bool>);

/// What a worker remembers of a pod, that neither the API nor the runtime knows.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// Of restarts, by container and image.
    pub crashes: Backoffs,
    /// Why containers are not started, by name.
    pub failures: BTreeMap<String, Failure>,
}

/// Why a container is not started.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// Such as `ErrImagePull`.
    pub reason: String,
    /// The whole story.
    pub message: String,
    /// When to try again.
    pub retry_at: Timestamp,
}

/// All that a decision needs.
pub struct Situation<'a> {
    /// What it should be.
    pub pod: &'a NodePod,
    /// What it is.
    pub runtime: &'a PodRuntime,
    /// What the probes say.
    pub verdicts: &'a Verdicts,
    /// What has failed before.
    pub memory: &'a Memory,
    /// The time.
    pub now: Timestamp,
}

/// What to do, in this order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Stop all of the pod: containers first, then sandboxes.
    pub kill_pod: bool,
    /// Stop these containers.
    pub kill: Vec<Kill>,
    /// Make the how-manieth sandbox.
    pub create_sandbox: Option<u32>,
    /// Give these running containers the resources that they were granted.
    pub resize: Vec<Slot>,
    /// Start these containers.
    pub start: Vec<Slot>,
    /// These wait for the end of their back-off from crashes.
    pub backing_off: Vec<BackingOff>,
    /// Remove these dead containers.
    pub remove: Vec<String>,
    /// Remove these dead sandboxes.
    pub remove_sandboxes: Vec<String>,
    /// Nothing will be started again: the pod has come to its end.
    pub finished: bool,
    /// When to look again if nothing happens before.
    pub again_at: Option<Timestamp>,
}

/// A container to stop.
#[derive(Clone, Debug, PartialEq)]
pub struct Kill {
    /// The runtime's id of it.
    pub id: String,
    /// Its place in the pod.
    pub slot: Slot,
    /// What its event says.
    pub message: String,
    /// How long it may take; `None` for the pod's own time.
    pub grace_seconds: Option<i64>,
}

/// A container that has crashed too often to be started again yet.
#[derive(Clone, Debug, PartialEq)]
pub struct BackingOff {
    /// Its place in the pod.
    pub slot: Slot,
    /// Until when.
    pub until: Timestamp,
}

/// Decides what to do.
pub fn plan(situation: &Situation) -> Plan {
    let mut plan = Plan::default();
    match new_sandbox(situation.pod, situation.runtime) {
        Some(attempt) => from_the_start(situation, attempt, &mut plan),
        None => within_sandbox(situation, &mut plan),
    }
    hold_back(situation, &mut plan);
    collect_garbage(situation, &mut plan);
    plan
}

/// The attempt of the sandbox that is needed, if one is (pkg/kubelet/kuberuntime/util PodSandboxChanged).
pub fn new_sandbox(pod: &NodePod, runtime: &PodRuntime) -> Option<u32> {
    let Some(newest) = runtime.sandboxes.first() else { return Some(0) };
    let ready = runtime.sandboxes.iter().filter(|sandbox| sandbox.ready).count();
    let host_network = pod.is_host_network();
    let usable = newest.ready
        && ready == 1
        && newest.host_network == host_network
        && (host_network || !newest.ips.is_empty());
    (!usable).then_some(newest.attempt + 1)
}

/// Whether the container at its newest is to be started (pkg/kubelet/container ShouldContainerBeRestarted).
pub fn should_start(pod: &NodePod, container: &Spec, runtime: &PodRuntime) -> bool {
    if pod.is_deleted() {
        return false;
    }
    match runtime.container(&container.name) {
        None => true,
        Some(status) => match status.state {
            State::Running => false,
            State::Created | State::Unknown => true,
            State::Exited => pod.should_restart(container, status.exit_code),
        },
    }
}

/// By what a container's restarts are counted.
pub fn backoff_key(container: &Spec) -> String {
    format!("{}/{:x}", container.name, hash(container))
}

fn from_the_start(situation: &Situation, attempt: u32, plan: &mut Plan) {
    let Situation { pod, runtime, .. } = *situation;
    plan.kill_pod = runtime.alive().next().is_some() || runtime.sandboxes.iter().any(|sandbox| sandbox.ready);
    if pod.is_deleted() || (!pod.restarts_on_failure() && attempt != 0 && !runtime.containers.is_empty()) {
        plan.finished = true;
        return;
    }
    let starting: Vec<Slot> = pod
        .regular()
        .iter()
        .enumerate()
        .filter(|(_, container)| !ran_once(pod, container, runtime))
        .map(|(index, _)| Slot::Regular(index))
        .collect();
    let some_ran = pod.regular().iter().any(|container| runtime.container(&container.name).is_some());
    if starting.is_empty() && some_ran {
        plan.finished = true;
        return;
    }
    plan.create_sandbox = Some(attempt);
    plan.start = if pod.init().is_empty() { starting } else { vec![Slot::Init(0)] };
}

/// Whether a container that is to succeed once has done so.
fn ran_once(pod: &NodePod, container: &Spec, runtime: &PodRuntime) -> bool {
    let status = runtime.container(&container.name);
    status.is_some_and(|s| s.state == State::Exited && s.exit_code == 0 && !pod.should_restart(container, 0))
}

fn within_sandbox(situation: &Situation, plan: &mut Plan) {
    let Situation { pod, runtime, .. } = *situation;
    for (index, container) in pod.ephemeral().iter().enumerate() {
        if runtime.container(&container.name).is_none() {
            plan.start.push(Slot::Ephemeral(index));
        }
    }
    let initialized = plan_init(situation, plan);
    if plan.kill_pod || !initialized {
        plan.finished |= plan.kill_pod;
        return;
    }
    let mut kept = 0;
    let mut starting = Vec::new();
    for (index, container) in pod.regular().iter().enumerate() {
        let slot = Slot::Regular(index);
        match runtime.container(&container.name) {
            Some(status) if status.state == State::Running => match why_restart(situation, slot, status) {
                None => {
                    kept += 1;
                    plan.resize.extend(to_resize(pod, slot, status));
                }
                Some(why) => {
                    let restart = why.always || restarts(pod, container);
                    plan.kill.push(why.kill(slot, status, restart));
                    starting.extend(restart.then_some(slot));
                }
            },
            status => {
                if should_start(pod, container, runtime) {
                    starting.push(slot);
                    plan.kill.extend(status.and_then(|status| kill_unknown(slot, status)));
                }
            }
        }
    }
    if kept == 0 && starting.is_empty() {
        plan.kill_pod = true;
        plan.finished = true;
        plan.kill.clear();
        plan.start.clear();
    }
    plan.start.extend(starting);
}

/// Whether a container that failed a probe is started again; its exit code is not known yet.
fn restarts(pod: &NodePod, container: &Spec) -> bool {
    container.restart_policy.as_deref().map_or(pod.restarts_on_failure(), |policy| policy != "Never")
}

/// Plans the init containers; whether the pod is initialized (kuberuntime computeInitContainerActions).
fn plan_init(situation: &Situation, plan: &mut Plan) -> bool {
    let Situation { pod, runtime, .. } = *situation;
    if pod.init().is_empty() {
        return true;
    }
    let begun = |container: &Spec| {
        let status = runtime.container(&container.name);
        status.is_some_and(|status| matches!(status.state, State::Created | State::Running))
    };
    let mut initialized = pod.regular().iter().any(begun);
    // Whether all before the one that is looked at have run.
    let mut past = initialized;
    let mut starting = Vec::new();
    let last = pod.init().len() - 1;
    for (index, container) in pod.init().iter().enumerate().rev() {
        let slot = Slot::Init(index);
        let sidecar = is_sidecar(slot, container);
        let Some(status) = of_newest_sandbox(runtime, &container.name) else {
            if past && sidecar {
                starting.push(slot);
            }
            continue;
        };
        if past && !sidecar {
            continue;
        }
        match init_step(situation, slot, status) {
            Step::Wait => {}
            Step::Start => starting.push(slot),
            Step::Restart(kill) => {
                plan.kill.push(kill);
                starting.push(slot);
            }
            Step::Fail => {
                plan.kill_pod = true;
                plan.kill.clear();
                plan.start.clear();
                return false;
            }
            Step::Done => {
                if index == last {
                    initialized = true;
                } else if !past {
                    starting.push(Slot::Init(index + 1));
                }
                match why_restart(situation, slot, status).filter(|_| sidecar) {
                    Some(why) => {
                        plan.kill.push(why.kill(slot, status, true));
                        starting.push(slot);
                    }
                    None => plan.resize.extend(to_resize(pod, slot, status).filter(|_| sidecar)),
                }
            }
        }
        past = true;
    }
    if !past {
        starting.push(Slot::Init(0));
    }
    starting.reverse();
    plan.start.extend(starting);
    initialized
}

/// How far an init container is.
enum Step {
    Wait,
    Start,
    Restart(Kill),
    Fail,
    Done,
}

fn init_step(situation: &Situation, slot: Slot, status: &Container) -> Step {
    let pod = situation.pod;
    let container = pod.container(slot);
    let sidecar = is_sidecar(slot, container);
    match status.state {
        State::Created => Step::Start,
        State::Running if !sidecar => Step::Wait,
        State::Running if container.startup_probe.is_some() => {
            match situation.verdicts.get(&status.id, ProbeKind::Startup) {
                None => Step::Wait,
                Some(true) => Step::Done,
                Some(false) => match why_restart(situation, slot, status) {
                    Some(why) => Step::Restart(why.kill(slot, status, true)),
                    None => Step::Wait,
                },
            }
        }
        State::Running => Step::Done,
        State::Exited if sidecar => Step::Start,
        State::Exited if status.exit_code == 0 => Step::Done,
        State::Exited if pod.should_restart(container, status.exit_code) => Step::Start,
        State::Exited => Step::Fail,
        State::Unknown if sidecar || pod.restarts_on_failure() => match kill_unknown(slot, status) {
            Some(kill) => Step::Restart(kill),
            None => Step::Start,
        },
        State::Unknown => Step::Fail,
    }
}

/// Init containers of an older sandbox have to run again in the new one.
fn of_newest_sandbox<'a>(runtime: &'a PodRuntime, name: &str) -> Option<&'a Container> {
    let sandbox = runtime.sandboxes.first()?;
    runtime.container(name).filter(|container| container.sandbox_id == sandbox.id)
}

/// The slot of a running container that has other resources than it was granted.
fn to_resize(pod: &NodePod, slot: Slot, status: &Container) -> Option<Slot> {
    (!resize::difference(pod, slot, status).is_none()).then_some(slot)
}

/// Why a running container is to be stopped.
struct Why {
    message: String,
    /// Started again whatever its restart policy says.
    always: bool,
    grace_seconds: Option<i64>,
}

fn why_restart(situation: &Situation, slot: Slot, status: &Container) -> Option<Why> {
    let container = situation.pod.container(slot);
    let what = if matches!(slot, Slot::Init(_)) { "Init container" } else { "Container" };
    if status.hash.is_some_and(|made_from| made_from != hash(container)) {
        let message = format!("{what} {} definition changed", container.name);
        return Some(Why { message, always: true, grace_seconds: None });
    }
    if resize::difference(situation.pod, slot, status).restarts(container) {
        let message = format!("{what} {} resize requires restart", container.name);
        return Some(Why { message, always: true, grace_seconds: None });
    }
    let probes = [
        (ProbeKind::Liveness, &container.liveness_probe, "liveness"),
        (ProbeKind::Startup, &container.startup_probe, "startup"),
    ];
    probes.into_iter().find_map(|(kind, probe, name)| {
        let failed = situation.verdicts.get(&status.id, kind) == Some(false);
        let probe = probe.as_ref().filter(|_| failed)?;
        let message = format!("{what} {} failed {name} probe", container.name);
        Some(Why { message, always: false, grace_seconds: probe.termination_grace_period_seconds })
    })
}

impl Why {
    fn kill(self, slot: Slot, status: &Container, restart: bool) -> Kill {
        let message = if restart { format!("{}, will be restarted", self.message) } else { self.message };
        Kill { id: status.id.clone(), slot, message, grace_seconds: self.grace_seconds }
    }
}

/// Of a container in an unknown state nobody can say that it does not run: it must not run twice.
fn kill_unknown(slot: Slot, status: &Container) -> Option<Kill> {
    let message = "Container is in \"unknown\" state, try killing it before restart".to_owned();
    let unknown = status.state == State::Unknown;
    unknown.then(|| Kill { id: status.id.clone(), slot, message, grace_seconds: None })
}

/// Takes what has failed or crashed too lately out of what is to be started.
fn hold_back(situation: &Situation, plan: &mut Plan) {
    let Situation { pod, runtime, memory, now, .. } = *situation;
    let mut starting = std::mem::take(&mut plan.start);
    starting.retain(|slot| {
        let container = pod.container(*slot);
        let failure = memory.failures.get(&container.name).filter(|failure| failure.retry_at > now);
        let crashed = last_exit(runtime, &container.name);
        let until = crashed.and_then(|since| memory.crashes.until(&backoff_key(container), since, now));
        let held = failure.map(|failure| failure.retry_at).into_iter().chain(until).max();
        plan.again_at = plan.again_at.into_iter().chain(held).min();
        plan.backing_off.extend(until.map(|until| BackingOff { slot: *slot, until }));
        held.is_none()
    });
    plan.start = starting;
}

/// When the container of that name ended last.
pub fn last_exit(runtime: &PodRuntime, name: &str) -> Option<Timestamp> {
    let of_name = |container: &&Container| container.name == name && container.state == State::Exited;
    let exited = runtime.containers.iter().find(of_name)?;
    Timestamp::from_nanosecond(exited.finished_at_ns.into()).ok()
}

/// Of each container one dead instance is kept, for its exit code and log; of sandboxes only those with containers.
fn collect_garbage(situation: &Situation, plan: &mut Plan) {
    let runtime = situation.runtime;
    let mut dead: BTreeMap<&str, u32> = BTreeMap::new();
    for container in runtime.containers.iter().filter(|container| container.state == State::Exited) {
        let count = dead.entry(&container.name).or_default();
        *count += 1;
        if *count > 1 {
            plan.remove.push(container.id.clone());
        }
    }
    for sandbox in runtime.sandboxes.iter().skip(1).filter(|sandbox| !sandbox.ready) {
        let mut within = runtime.containers.iter().filter(|container| container.sandbox_id == sandbox.id);
        if within.all(|container| plan.remove.contains(&container.id)) {
            plan.remove_sandboxes.push(sandbox.id.clone());
        }
    }
}

// === impl Verdicts ===

impl Verdicts {
    /// The last word of a probe; `None` before its first.
    pub fn get(&self, container_id: &str, kind: ProbeKind) -> Option<bool> {
        self.0.get(&(container_id.to_owned(), kind)).copied()
    }
}
