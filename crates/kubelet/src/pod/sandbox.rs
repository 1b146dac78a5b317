//! The configuration of a pod's sandbox (pkg/kubelet/kuberuntime/kuberuntime_sandbox.go).

use std::collections::HashMap;

use super::hosts::{TooLong, kernel_hostname};
use super::observed::labels;
use super::resources::{PERIOD_US, pod_limits, pod_requests, quota_us, shares};
use super::{NodePod, qos, security};
use crate::config::Config;
use crate::cri::types::{
    DnsConfig, Int64Value, LinuxContainerResources, LinuxPodSandboxConfig, LinuxSandboxSecurityContext,
    PodSandboxConfig, PodSandboxMetadata, PortMapping, ProfileType, Protocol, SecurityProfile,
};

/// The sandbox of `pod`, the `attempt`-th, with nameservers `dns`.
pub fn config(
    pod: &NodePod,
    attempt: u32,
    dns: DnsConfig,
    config: &Config,
) -> Result<PodSandboxConfig, TooLong> {
    let hostname = match pod.is_host_network() {
        true => String::new(),
        false => kernel_hostname(pod, &config.cluster_domain)?,
    };
    let metadata = &pod.pod.metadata;
    let own = metadata.labels.iter().flatten().map(|(key, value)| (key.clone(), value.clone()));
    Ok(PodSandboxConfig {
        metadata: Some(PodSandboxMetadata {
            name: pod.name().to_owned(),
            uid: pod.uid().to_owned(),
            namespace: pod.namespace().to_owned(),
            attempt,
        }),
        hostname,
        log_directory: config.log_dir(pod.namespace(), pod.name(), pod.uid()).display().to_string(),
        dns_config: Some(dns),
        port_mappings: ports(pod),
        labels: own.chain(pod_labels(pod)).collect(),
        annotations: metadata.annotations.clone().into_iter().flatten().collect(),
        linux: Some(linux(pod, &config.cgroup_root)),
    })
}

/// The labels by which all that belongs to a pod is found.
pub fn pod_labels(pod: &NodePod) -> HashMap<String, String> {
    HashMap::from([
        (labels::POD_NAME.to_owned(), pod.name().to_owned()),
        (labels::POD_NAMESPACE.to_owned(), pod.namespace().to_owned()),
        (labels::POD_UID.to_owned(), pod.uid().to_owned()),
    ])
}

fn ports(pod: &NodePod) -> Vec<PortMapping> {
    let mut ports = Vec::new();
    for (_, container) in pod.containers() {
        for port in container.ports.iter().flatten() {
            let protocol = match port.protocol.as_deref() {
                Some("UDP") => Protocol::Udp,
                Some("SCTP") => Protocol::Sctp,
                _ => Protocol::Tcp,
            };
            ports.push(PortMapping {
                protocol: protocol as i32,
                container_port: port.container_port,
                host_port: port.host_port.unwrap_or(0),
                host_ip: port.host_ip.clone().unwrap_or_default(),
            });
        }
    }
    ports
}

fn linux(pod: &NodePod, cgroup_root: &str) -> LinuxPodSandboxConfig {
    let spec = pod.spec();
    let context = spec.security_context.clone().unwrap_or_default();
    let privileged = pod.containers().any(|(_, container)| {
        container.security_context.as_ref().is_some_and(|context| context.privileged == Some(true))
    });
    let sysctls = context.sysctls.into_iter().flatten().map(|sysctl| (sysctl.name, sysctl.value)).collect();
    LinuxPodSandboxConfig {
        cgroup_parent: qos::pod_cgroup(pod, cgroup_root),
        security_context: Some(LinuxSandboxSecurityContext {
            namespace_options: Some(security::namespaces(pod)),
            run_as_user: context.run_as_user.map(|value| Int64Value { value }),
            run_as_group: context.run_as_group.map(|value| Int64Value { value }),
            supplemental_groups: security::groups(pod),
            supplemental_groups_policy: security::groups_policy(pod),
            privileged,
            seccomp: Some(SecurityProfile {
                profile_type: ProfileType::RuntimeDefault as i32,
                localhost_ref: String::new(),
            }),
            ..LinuxSandboxSecurityContext::default()
        }),
        sysctls,
        overhead: None,
        resources: Some(resources(pod)),
    }
}

/// What all containers together ask for, for runtimes that make a machine of each pod.
fn resources(pod: &NodePod) -> LinuxContainerResources {
    let (asked, allowed) = (pod_requests(pod), pod_limits(pod));
    let of = |amounts: &super::resources::Amounts, name: &str| amounts.get(name).copied().unwrap_or(0);
    LinuxContainerResources {
        cpu_shares: shares(of(&asked, "cpu")),
        cpu_quota: quota_us(of(&allowed, "cpu")),
        cpu_period: PERIOD_US,
        memory_limit_in_bytes: of(&allowed, "memory"),
        ..LinuxContainerResources::default()
    }
}
