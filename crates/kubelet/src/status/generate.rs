//! The whole status of a pod (pkg/kubelet kubelet_pods.go generateAPIPodStatus).

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{HostIP, PodIP, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::containers::{Messages, statuses};
use super::{conditions, phase};
use crate::pod::observed::PodRuntime;
use crate::pod::plan::{Failure, Verdicts, new_sandbox};
use crate::pod::qos::Class;
use crate::pod::{NodePod, Slot};

/// All that a status is made of.
pub struct Facts<'a> {
    /// What it should be.
    pub pod: &'a NodePod,
    /// What it is.
    pub runtime: &'a PodRuntime,
    /// What the probes say.
    pub verdicts: &'a Verdicts,
    /// Why containers are not started, by name.
    pub failures: &'a BTreeMap<String, Failure>,
    /// What ended containers say of themselves, by id.
    pub messages: &'a Messages,
    /// Containers whose `postStart` hook still runs, by id.
    pub in_post_start: &'a BTreeSet<String>,
    /// The status as it was published last, or as the API has it.
    pub old: &'a PodStatus,
    /// The node's addresses.
    pub host_ips: &'a [String],
    /// How far a change of its resources is.
    pub resize: &'a conditions::Resize,
    /// Whether nothing is started any more.
    pub terminal: bool,
    /// A phase that is decided without looking at containers: phase, reason, message.
    pub verdict: Option<(&'a str, &'a str, &'a str)>,
    /// The time.
    pub now: Timestamp,
}

/// The status that `facts` make.
pub fn generate(facts: &Facts) -> PodStatus {
    let Facts { pod, old, .. } = *facts;
    let none = Vec::new();
    let of =
        |list: &'_ Option<Vec<k8s_openapi::api::core::v1::ContainerStatus>>| list.clone().unwrap_or_default();
    let regular = statuses(facts, pod.regular(), &of(&old.container_statuses), Slot::Regular);
    let init = statuses(facts, pod.init(), &of(&old.init_container_statuses), Slot::Init);
    let ephemeral = statuses(facts, pod.ephemeral(), &of(&old.ephemeral_container_statuses), Slot::Ephemeral);
    let all: Vec<_> = init.iter().chain(&regular).collect();
    let has_begun = pod.regular().iter().any(|container| facts.runtime.container(&container.name).is_some());
    let mut phase = phase::phase(pod, &all, facts.terminal, has_begun).to_owned();
    let (mut reason, mut message) = (None, None);
    // A pod does not come back from its end.
    let api = pod.status();
    let is_end = |phase: &&str| matches!(*phase, "Failed" | "Succeeded");
    if let Some(end) = api.phase.as_deref().filter(is_end).or(old.phase.as_deref().filter(is_end)) {
        phase = end.to_owned();
    }
    if old.phase.as_deref() == Some(phase.as_str()) {
        reason = old.reason.clone().or(api.reason.clone());
        message = old.message.clone().or(api.message.clone());
    }
    if let Some((decided, why, said)) = facts.verdict {
        (phase, reason, message) = (decided.to_owned(), Some(why.to_owned()), Some(said.to_owned()));
    }
    let old_conditions = old.conditions.as_ref().unwrap_or(&none);
    let owned = |kind: &str| conditions::OWNED.contains(&kind);
    let others: Vec<_> =
        api.conditions.iter().flatten().filter(|condition| !owned(&condition.type_)).cloned().collect();
    let has_sandbox = new_sandbox(pod, facts.runtime).is_none();
    let mut conditions = others.clone();
    conditions.extend(conditions::owned(pod, &all, &phase, has_sandbox, old_conditions, &others, facts.now));
    conditions.extend(conditions::resize(pod, facts.resize, old_conditions, facts.now));
    let ips = addresses(facts);
    PodStatus {
        phase: Some(phase),
        reason,
        message,
        conditions: Some(conditions),
        host_ip: facts.host_ips.first().cloned(),
        host_ips: Some(facts.host_ips.iter().map(|ip| HostIP { ip: ip.clone() }).collect()),
        pod_ip: ips.first().cloned(),
        pod_ips: (!ips.is_empty()).then(|| ips.into_iter().map(|ip| PodIP { ip }).collect()),
        start_time: old.start_time.clone().or_else(|| Some(Time(whole_second(facts.now)))),
        qos_class: Some(api.qos_class.clone().unwrap_or_else(|| Class::of(pod).as_str().to_owned())),
        container_statuses: (!regular.is_empty()).then_some(regular),
        init_container_statuses: (!init.is_empty()).then_some(init),
        ephemeral_container_statuses: (!ephemeral.is_empty()).then_some(ephemeral),
        observed_generation: pod.pod.metadata.generation,
        ..PodStatus {
            nominated_node_name: api.nominated_node_name.clone(),
            resource_claim_statuses: api.resource_claim_statuses.clone(),
            resize: api.resize.clone(),
            ..PodStatus::default()
        }
    }
}

/// The pod's addresses: its sandbox's, on the node's network the node's; those it had once its sandbox is gone.
fn addresses(facts: &Facts) -> Vec<String> {
    if facts.pod.is_host_network() {
        return facts.host_ips.to_vec();
    }
    let now = facts.runtime.ips();
    if !now.is_empty() || !facts.terminal {
        return now.to_vec();
    }
    facts.old.pod_ips.iter().flatten().map(|ip| ip.ip.clone()).collect()
}

/// The API's times have whole seconds.
pub fn whole_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}
