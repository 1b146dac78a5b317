//! One pod on this node: what it should be, what it is, and what is done about the difference.

pub mod backoff;
pub mod container;
pub mod dns;
pub mod env;
pub mod expand;
pub mod hosts;
pub mod observed;
pub mod plan;
pub mod qos;
pub mod resize;
pub mod resources;
pub mod sandbox;
pub mod security;
#[cfg(test)]
pub(crate) mod tests;

use std::borrow::Cow;

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, PodStatus};

/// Marks static pods with their manifest's hash, and mirror pods with the same.
pub const CONFIG_HASH: &str = "kubernetes.io/config.hash";
/// Marks the API's image of a static pod.
pub const CONFIG_MIRROR: &str = "kubernetes.io/config.mirror";
/// Says where a pod's definition comes from: `file` or `api`.
pub const CONFIG_SOURCE: &str = "kubernetes.io/config.source";
/// When the kubelet first saw it.
pub const CONFIG_SEEN: &str = "kubernetes.io/config.seen";

/// A pod as this node is to run it.
#[derive(Clone, Debug, PartialEq)]
pub struct NodePod {
    /// The object; of a static pod, its manifest.
    pub pod: Pod,
    /// Its ephemeral containers, in the form of all others.
    ephemeral: Vec<Container>,
}

/// One of a pod's containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    /// An init container, sidecars among them.
    Init(usize),
    /// A regular container.
    Regular(usize),
    /// An ephemeral container.
    Ephemeral(usize),
}

// === impl NodePod ===

impl NodePod {
    /// `pod`, to be run here.
    pub fn new(pod: Pod) -> NodePod {
        let ephemeral = pod.spec.as_ref().and_then(|spec| spec.ephemeral_containers.as_ref());
        // An ephemeral container has the fields of a container and a few more.
        let convert = |container| serde_json::from_value(serde_json::to_value(container).ok()?).ok();
        let ephemeral = ephemeral.into_iter().flatten().filter_map(convert).collect();
        NodePod { pod, ephemeral }
    }

    /// What it is to be. Empty for one of which only containers are left.
    pub fn spec(&self) -> Cow<'_, PodSpec> {
        self.pod.spec.as_ref().map_or_else(|| Cow::Owned(PodSpec::default()), Cow::Borrowed)
    }

    /// What the API says it is.
    pub fn status(&self) -> Cow<'_, PodStatus> {
        self.pod.status.as_ref().map_or_else(|| Cow::Owned(PodStatus::default()), Cow::Borrowed)
    }

    /// Its UID.
    pub fn uid(&self) -> &str {
        self.pod.metadata.uid.as_deref().unwrap_or_default()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.pod.metadata.name.as_deref().unwrap_or_default()
    }

    /// Its namespace.
    pub fn namespace(&self) -> &str {
        self.pod.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// As messages name it: `name_namespace(uid)`.
    pub fn format(&self) -> String {
        format!("{}_{}({})", self.name(), self.namespace(), self.uid())
    }

    /// An annotation.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.pod.metadata.annotations.as_ref()?.get(key).map(String::as_str)
    }

    /// Whether it comes from a manifest on this node.
    pub fn is_static(&self) -> bool {
        self.annotation(CONFIG_SOURCE).is_some_and(|source| source != "api")
    }

    /// Whether it is the API's image of a static pod.
    pub fn is_mirror(&self) -> bool {
        self.annotation(CONFIG_MIRROR).is_some()
    }

    /// Whether its deletion has begun.
    pub fn is_deleted(&self) -> bool {
        self.pod.metadata.deletion_timestamp.is_some()
    }

    /// Whether it shares the node's network.
    pub fn is_host_network(&self) -> bool {
        self.spec_ref().is_some_and(|spec| spec.host_network == Some(true))
    }

    /// How long its containers may take to stop: what the deletion says, else its own wish.
    pub fn grace_seconds(&self) -> i64 {
        let own = self.spec_ref().and_then(|spec| spec.termination_grace_period_seconds).unwrap_or(30);
        let of_deletion = self.pod.metadata.deletion_grace_period_seconds.filter(|_| self.is_deleted());
        of_deletion.unwrap_or(own).max(1)
    }

    /// Its init containers.
    pub fn init(&self) -> &[Container] {
        self.spec_ref().and_then(|spec| spec.init_containers.as_deref()).unwrap_or_default()
    }

    /// Its regular containers.
    pub fn regular(&self) -> &[Container] {
        self.spec_ref().map_or(&[], |spec| &spec.containers)
    }

    /// Its ephemeral containers.
    pub fn ephemeral(&self) -> &[Container] {
        &self.ephemeral
    }

    /// The container at `slot`, which has to be one of this pod's.
    pub fn container(&self, slot: Slot) -> &Container {
        match slot {
            Slot::Init(index) => &self.init()[index],
            Slot::Regular(index) => &self.regular()[index],
            Slot::Ephemeral(index) => &self.ephemeral[index],
        }
    }

    /// All of its containers, init containers first.
    pub fn containers(&self) -> impl Iterator<Item = (Slot, &Container)> {
        let init = self.init().iter().enumerate().map(|(index, container)| (Slot::Init(index), container));
        let regular =
            self.regular().iter().enumerate().map(|(index, container)| (Slot::Regular(index), container));
        let ephemeral =
            self.ephemeral.iter().enumerate().map(|(index, container)| (Slot::Ephemeral(index), container));
        init.chain(regular).chain(ephemeral)
    }

    /// The container called `name`.
    pub fn find(&self, name: &str) -> Option<(Slot, &Container)> {
        self.containers().find(|(_, container)| container.name == name)
    }

    fn spec_ref(&self) -> Option<&PodSpec> {
        self.pod.spec.as_ref()
    }

    fn restart_policy(&self) -> &str {
        self.spec_ref().and_then(|spec| spec.restart_policy.as_deref()).unwrap_or("Always")
    }

    /// Whether failed containers are restarted by the pod's own policy.
    pub fn restarts_on_failure(&self) -> bool {
        self.restart_policy() != "Never"
    }

    /// Whether a container that exited so is started again (pkg/api/v1/pod ContainerShouldRestart, KEP-5307).
    pub fn should_restart(&self, container: &Container, exit_code: i32) -> bool {
        let policy = match &container.restart_policy {
            Some(policy) => {
                if container.restart_policy_rules.iter().flatten().any(|rule| matches(rule, exit_code)) {
                    return true;
                }
                policy
            }
            None => self.restart_policy(),
        };
        match policy {
            "Never" => false,
            "OnFailure" => exit_code != 0,
            _ => true,
        }
    }

    /// Whether its containers are done for good, as far as the API knows.
    pub fn is_terminal(&self) -> bool {
        let phase = self.pod.status.as_ref().and_then(|status| status.phase.as_deref());
        matches!(phase, Some("Succeeded" | "Failed"))
    }
}

fn matches(rule: &k8s_openapi::api::core::v1::ContainerRestartRule, exit_code: i32) -> bool {
    let Some(codes) = &rule.exit_codes else { return false };
    let listed = codes.values.iter().flatten().any(|code| *code == exit_code);
    if codes.operator == "NotIn" { !listed } else { listed }
}

/// Whether an init container is a sidecar: started in its turn, then kept running.
pub fn is_sidecar(slot: Slot, container: &Container) -> bool {
    matches!(slot, Slot::Init(_)) && container.restart_policy.as_deref() == Some("Always")
}

/// What makes a running container differ from its definition: its name and image alone, as other fields cannot
/// change or are resized in place (pkg/kubelet/container HashContainer).
pub fn hash(container: &Container) -> u64 {
    let text = format!("{}\0{}", container.name, container.image.as_deref().unwrap_or_default());
    // FNV-1a: it has to be the same in every version of this program.
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
