//! The configuration of a container (pkg/kubelet/kuberuntime/kuberuntime_container.go).

use std::collections::HashMap;
use std::path::Path;

use k8s_openapi::api::core::v1::Container;

use super::expand::expand;
use super::observed::labels;
use super::resources::{PERIOD_US, limits, quota_us, requests, shares};
use super::security::{self, ImageUser};
use super::{NodePod, Slot, hash, qos, sandbox};
use crate::cri::types::{
    ContainerConfig, ContainerMetadata, ImageSpec, KeyValue, LinuxContainerConfig, LinuxContainerResources,
    Mount, NamespaceMode, Signal,
};

/// What has been found out for a container before it is made.
pub struct Prepared<'a> {
    /// Its variables.
    pub env: Vec<(String, String)>,
    /// What is mounted into it.
    pub mounts: Vec<Mount>,
    /// The image's reference, by digest or id.
    pub image_ref: String,
    /// As whom the image runs.
    pub image_user: ImageUser,
    /// The how-manieth instance of it this is.
    pub restart_count: u32,
    /// The container whose processes an ephemeral one sees.
    pub target_id: Option<String>,
    /// All memory of the node.
    pub memory_capacity_bytes: i64,
    /// Where local seccomp profiles are.
    pub seccomp_profiles: &'a Path,
}

/// The container at `slot` of `pod`.
pub fn config(pod: &NodePod, slot: Slot, prepared: Prepared) -> ContainerConfig {
    let container = pod.container(slot);
    let known = |name: &str| prepared.env.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let expanded =
        |words: &Option<Vec<String>>| words.iter().flatten().map(|word| expand(word, known)).collect();
    let mut security_context = security::context(pod, slot, &prepared.image_user, prepared.seccomp_profiles);
    if let (Some(target), Some(namespaces)) = (prepared.target_id, &mut security_context.namespace_options)
        && namespaces.pid == NamespaceMode::Container as i32
    {
        namespaces.pid = NamespaceMode::Target as i32;
        namespaces.target_id = target;
    }
    ContainerConfig {
        metadata: Some(ContainerMetadata { name: container.name.clone(), attempt: prepared.restart_count }),
        image: Some(ImageSpec {
            image: prepared.image_ref,
            user_specified_image: container.image.clone().unwrap_or_default(),
            ..ImageSpec::default()
        }),
        command: expanded(&container.command),
        args: expanded(&container.args),
        working_dir: container.working_dir.clone().unwrap_or_default(),
        labels: container_labels(pod, container),
        annotations: annotations(pod, container, prepared.restart_count),
        mounts: prepared.mounts,
        log_path: log_path(&container.name, prepared.restart_count),
        stdin: container.stdin.unwrap_or(false),
        stdin_once: container.stdin_once.unwrap_or(false),
        tty: container.tty.unwrap_or(false),
        stop_signal: stop_signal(container),
        linux: Some(LinuxContainerConfig {
            resources: Some(resources(pod, slot, prepared.memory_capacity_bytes)),
            security_context: Some(security_context),
        }),
        envs: prepared
            .env
            .into_iter()
            .map(|(key, value)| KeyValue { key, value: value.into_bytes() })
            .collect(),
        ..ContainerConfig::default()
    }
}

/// Where the log of a container's instance is, below its pod's log directory.
pub fn log_path(name: &str, restart_count: u32) -> String {
    format!("{name}/{restart_count}.log")
}

/// The limits and weight of a container.
pub fn resources(pod: &NodePod, slot: Slot, memory_capacity_bytes: i64) -> LinuxContainerResources {
    let container = pod.container(slot);
    let (asked, allowed) = (requests(container), limits(container));
    let spec = pod.spec();
    let of_pod = spec.resources.as_ref().and_then(|resources| resources.limits.as_ref());
    let cpu = allowed.get("cpu").copied().or(crate::quantity::milli_of(of_pod, "cpu")).unwrap_or(0);
    let memory = allowed.get("memory").copied().or(crate::quantity::value_of(of_pod, "memory")).unwrap_or(0);
    LinuxContainerResources {
        cpu_period: PERIOD_US,
        cpu_quota: quota_us(cpu),
        cpu_shares: shares(asked.get("cpu").copied().unwrap_or(0)),
        memory_limit_in_bytes: memory,
        // No swap beside it.
        memory_swap_limit_in_bytes: memory,
        oom_score_adj: qos::oom_score_adj(pod, slot, memory_capacity_bytes),
        ..LinuxContainerResources::default()
    }
}

fn container_labels(pod: &NodePod, container: &Container) -> HashMap<String, String> {
    let mut all = sandbox::pod_labels(pod);
    all.insert(labels::CONTAINER_NAME.to_owned(), container.name.clone());
    all
}

fn annotations(pod: &NodePod, container: &Container, restart_count: u32) -> HashMap<String, String> {
    let mut all = HashMap::from([
        (labels::HASH.to_owned(), format!("{:x}", hash(container))),
        (labels::RESTART_COUNT.to_owned(), restart_count.to_string()),
        (
            labels::TERMINATION_MESSAGE_PATH.to_owned(),
            container.termination_message_path.clone().unwrap_or_default(),
        ),
        (
            labels::TERMINATION_MESSAGE_POLICY.to_owned(),
            container.termination_message_policy.clone().unwrap_or_default(),
        ),
    ]);
    if let Some(grace) = pod.spec().termination_grace_period_seconds {
        all.insert(labels::TERMINATION_GRACE.to_owned(), grace.to_string());
    }
    let pre_stop = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.as_ref());
    if let Some(hook) = pre_stop.and_then(|hook| serde_json::to_string(hook).ok()) {
        all.insert(labels::PRE_STOP.to_owned(), hook);
    }
    all
}

/// The signal that asks the container to stop; the image's own when it says none.
fn stop_signal(container: &Container) -> i32 {
    let name = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.stop_signal.as_deref());
    // The API writes SIGRTMIN+1, CRI's enumeration SIGRTMINPLUS1.
    let name = name.unwrap_or_default().replace('+', "PLUS").replace('-', "MINUS");
    let is_named = |signal: &Signal| format!("{signal:?}").eq_ignore_ascii_case(&name);
    let mut signals = (1..=Signal::Sigrtmax as i32).filter_map(|number| Signal::try_from(number).ok());
    signals.find(is_named).unwrap_or(Signal::RuntimeDefault) as i32
}
