//! What the API is told of the node: a pure function of the machine and the runtime (pkg/kubelet/nodestatus/setters.go).

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    ContainerImage, DaemonEndpoint, Node, NodeAddress, NodeCondition, NodeDaemonEndpoints, NodeFeatures,
    NodeSpec, NodeStatus, NodeSystemInfo, Taint,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use super::Machine;
use crate::config::Config;
use crate::cri::types::{Image, StatusResponse};
use crate::pod::resources::Amounts;
use crate::quantity::{Resources, bytes, millis};

/// The version that this kubelet behaves as.
pub const VERSION: &str = "v1.36.3";
/// How many images are named, the largest.
const IMAGES_MAX: usize = 50;
/// How many names each has.
const IMAGE_NAMES_MAX: usize = 5;
/// What is kept free for the node's own processes (upstream's default eviction-hard).
const MEMORY_KEPT_BYTES: i64 = 100 << 20;

/// What the node has and is, at one moment.
pub struct Facts<'a> {
    /// What the kubelet was told.
    pub config: &'a Config,
    /// The machine.
    pub machine: &'a Machine,
    /// The node's address.
    pub ip: IpAddr,
    /// The size of the disk with pods' volumes.
    pub disk_bytes: i64,
    /// Such as `containerd://2.2.8`.
    pub runtime_version: String,
    /// What the runtime says of itself; why it does not answer otherwise.
    pub runtime: Result<StatusResponse, String>,
    /// The runtime's images.
    pub images: &'a [Image],
    /// The port of the kubelet's own API.
    pub port: u16,
    /// The time.
    pub now: Timestamp,
}

/// What pods may use of the machine: CPU in thousandths, all else in whole units.
pub fn allocatable(config: &Config, machine: &Machine, disk_bytes: i64) -> Amounts {
    let mut amounts = capacity(config, machine, disk_bytes);
    let mut less = |name: &str, amount: i64| {
        if let Some(there) = amounts.get_mut(name) {
            *there = (*there - amount).max(0);
        }
    };
    less("cpu", config.reserved.cpu_millis);
    less("memory", config.reserved.memory_bytes + MEMORY_KEPT_BYTES);
    less("ephemeral-storage", disk_bytes / 10);
    amounts
}

fn capacity(config: &Config, machine: &Machine, disk_bytes: i64) -> Amounts {
    let all = [
        ("cpu", machine.cpus * 1000),
        ("memory", machine.memory_bytes),
        ("ephemeral-storage", disk_bytes),
        ("pods", config.pods_max.into()),
    ];
    let all = all.into_iter().map(|(name, amount)| (name.to_owned(), amount));
    all.chain(machine.huge_pages.iter().cloned()).collect()
}

fn quantities(amounts: Amounts) -> Resources {
    let quantity = |name: &str, amount: i64| match name {
        "cpu" => millis(amount),
        "pods" => k8s_openapi::apimachinery::pkg::api::resource::Quantity(amount.to_string()),
        _ => kib(amount),
    };
    amounts.into_iter().map(|(name, amount)| (name.clone(), quantity(&name, amount))).collect()
}

/// Bytes in Ki, as upstream shows a machine's memory, where they divide.
fn kib(amount: i64) -> k8s_openapi::apimachinery::pkg::api::resource::Quantity {
    match amount {
        amount if amount > 0 && amount % 1024 == 0 => {
            k8s_openapi::apimachinery::pkg::api::resource::Quantity(format!("{}Ki", amount / 1024))
        }
        amount => bytes(amount),
    }
}

/// The labels of the node as it registers.
pub fn labels(config: &Config, machine: &Machine) -> BTreeMap<String, String> {
    let own = [
        ("kubernetes.io/hostname", config.node_name.as_str()),
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", machine.architecture),
        ("beta.kubernetes.io/os", "linux"),
        ("beta.kubernetes.io/arch", machine.architecture),
    ];
    let own = own.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
    own.chain(config.node_labels.iter().cloned()).collect()
}

/// The node as it registers.
pub fn initial(facts: &Facts) -> Node {
    let taints = facts.config.node_taints.iter().map(|(key, value, effect)| Taint {
        key: key.clone(),
        value: (!value.is_empty()).then(|| value.clone()),
        effect: effect.clone(),
        time_added: None,
    });
    let taints: Vec<Taint> = taints.collect();
    let attach = "volumes.kubernetes.io/controller-managed-attach-detach";
    Node {
        metadata: ObjectMeta {
            name: Some(facts.config.node_name.clone()),
            labels: Some(labels(facts.config, facts.machine)),
            annotations: Some(BTreeMap::from([(attach.to_owned(), "true".to_owned())])),
            ..ObjectMeta::default()
        },
        spec: Some(NodeSpec { taints: (!taints.is_empty()).then_some(taints), ..NodeSpec::default() }),
        status: Some(status(facts, &NodeStatus::default())),
    }
}

/// The status of the node, which was `old`; what others write in it stays.
pub fn status(facts: &Facts, old: &NodeStatus) -> NodeStatus {
    let (config, machine) = (facts.config, facts.machine);
    let mut images: Vec<&Image> = facts.images.iter().collect();
    images.sort_by_key(|image| std::cmp::Reverse(image.size));
    let convert = |image: &&Image| ContainerImage {
        names: Some(
            image.repo_digests.iter().chain(&image.repo_tags).take(IMAGE_NAMES_MAX).cloned().collect(),
        ),
        size_bytes: i64::try_from(image.size).ok(),
    };
    let address = |kind: &str, address: String| NodeAddress { type_: kind.to_owned(), address };
    NodeStatus {
        addresses: Some(vec![
            address("InternalIP", facts.ip.to_string()),
            address("Hostname", config.node_name.clone()),
        ]),
        capacity: Some(quantities(capacity(config, machine, facts.disk_bytes))),
        allocatable: Some(quantities(allocatable(config, machine, facts.disk_bytes))),
        conditions: Some(conditions(facts, old)),
        daemon_endpoints: Some(NodeDaemonEndpoints {
            kubelet_endpoint: Some(DaemonEndpoint { port: facts.port.into() }),
        }),
        node_info: Some(NodeSystemInfo {
            architecture: machine.architecture.to_owned(),
            boot_id: machine.boot_id.clone(),
            container_runtime_version: facts.runtime_version.clone(),
            kernel_version: machine.kernel_version.clone(),
            kubelet_version: VERSION.to_owned(),
            machine_id: machine.machine_id.clone(),
            operating_system: "linux".to_owned(),
            os_image: machine.os_image.clone(),
            system_uuid: machine.system_uuid.clone(),
            ..NodeSystemInfo::default()
        }),
        images: Some(images.iter().take(IMAGES_MAX).map(convert).collect()),
        features: facts.runtime.as_ref().ok().and_then(|runtime| runtime.features.as_ref()).map(|features| {
            NodeFeatures { supplemental_groups_policy: Some(features.supplemental_groups_policy) }
        }),
        ..old.clone()
    }
}

fn conditions(facts: &Facts, old: &NodeStatus) -> Vec<NodeCondition> {
    let not_ready = why_not_ready(&facts.runtime);
    let ready = match &not_ready {
        None => ("Ready", true, "KubeletReady", "kubelet is posting ready status"),
        Some(why) => ("Ready", false, "KubeletNotReady", why.as_str()),
    };
    let all = [
        ("MemoryPressure", false, "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("DiskPressure", false, "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("PIDPressure", false, "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ready,
    ];
    let ours = all.map(|(name, holds, reason, message)| {
        let before = old.conditions.iter().flatten().find(|condition| condition.type_ == name);
        let status = if holds { "True" } else { "False" };
        let since = before
            .filter(|before| before.status == status)
            .and_then(|before| before.last_transition_time.clone());
        let now = Time(crate::status::generate::whole_second(facts.now));
        NodeCondition {
            type_: name.to_owned(),
            status: status.to_owned(),
            reason: Some(reason.to_owned()),
            message: Some(message.to_owned()),
            last_heartbeat_time: Some(now.clone()),
            last_transition_time: Some(since.unwrap_or(now)),
        }
    });
    let others = old
        .conditions
        .iter()
        .flatten()
        .filter(|condition| all.iter().all(|(name, ..)| condition.type_ != *name));
    others.cloned().chain(ours).collect()
}

/// Why no pods can run here, in upstream's words.
pub fn why_not_ready(runtime: &Result<StatusResponse, String>) -> Option<String> {
    let status = match runtime {
        Err(error) => return Some(format!("[container runtime is down, {error}]")),
        Ok(status) => status.status.clone().unwrap_or_default(),
    };
    let mut reasons = Vec::new();
    for (name, what) in [
        ("RuntimeReady", "container runtime not ready"),
        ("NetworkReady", "container runtime network not ready"),
    ] {
        match status.conditions.iter().find(|condition| condition.r#type == name) {
            Some(condition) if condition.status => {}
            Some(condition) => reasons.push(format!(
                "{what}: {name}=false reason:{} message:{}",
                condition.reason, condition.message
            )),
            None => reasons.push(format!("{what}: {name} is not reported")),
        }
    }
    (!reasons.is_empty()).then(|| reasons.join(", "))
}

/// Whether two statuses differ in more than the time of the last look.
pub fn differs(old: &NodeStatus, new: &NodeStatus) -> bool {
    let without_times = |status: &NodeStatus| {
        let mut status = status.clone();
        status.conditions.iter_mut().flatten().for_each(|condition| condition.last_heartbeat_time = None);
        status
    };
    without_times(old) != without_times(new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cri::types::{RuntimeCondition, RuntimeStatus};

    fn runtime(network: bool) -> Result<StatusResponse, String> {
        let condition = |name: &str, status| RuntimeCondition {
            r#type: name.to_owned(),
            status,
            reason: "NetworkPluginNotReady".to_owned(),
            message: "cni plugin not initialized".to_owned(),
        };
        let conditions = vec![condition("RuntimeReady", true), condition("NetworkReady", network)];
        Ok(StatusResponse { status: Some(RuntimeStatus { conditions }), ..StatusResponse::default() })
    }

    #[test]
    fn the_node_says_what_it_has_and_why_it_is_not_ready() {
        let config = Config::new("n", "/d");
        let machine = Machine { cpus: 2, memory_bytes: 4 << 30, architecture: "amd64", ..Machine::default() };
        let facts = |network| Facts {
            config: &config,
            machine: &machine,
            ip: "10.0.0.1".parse().unwrap(),
            disk_bytes: 100 << 30,
            runtime: runtime(network),
            runtime_version: "containerd://2.2.8".into(),
            images: &[],
            port: 10250,
            now: crate::pod::tests::at(0),
        };
        let node = status(&facts(false), &NodeStatus::default());
        let ready =
            node.conditions.as_ref().unwrap().iter().find(|condition| condition.type_ == "Ready").unwrap();
        assert_eq!(
            ready.message.as_deref(),
            Some(
                "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:cni plugin not initialized"
            )
        );
        assert_eq!(node.capacity.as_ref().unwrap()["memory"].0, "4194304Ki");
        assert_eq!(node.allocatable.as_ref().unwrap()["memory"].0, "4091904Ki");
        let again = status(&facts(true), &node);
        assert!(differs(&node, &again) && !differs(&again, &status(&facts(true), &again)));
    }
}
