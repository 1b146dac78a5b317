//! Pods, as controllers see them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Affinity, EphemeralVolumeSource, ObjectReference, PodCondition, PodIP, Toleration,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Deserialize;

use super::Meta;
use super::meta::nullable;
use super::time;

/// A view of a pod.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Pod {
    /// Its metadata.
    pub metadata: Meta,
    /// What is asked for.
    pub spec: PodSpec,
    /// What is.
    pub status: PodStatus,
}

/// A view of a pod's spec.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSpec {
    /// The node that it is bound to; empty if it is not.
    pub node_name: String,
    /// Its own host name, if it has one.
    pub hostname: String,
    /// The domain of that name.
    pub subdomain: String,
    /// Whether it shares the node's network.
    pub host_network: bool,
    /// When its containers start again.
    pub restart_policy: String,
    /// How long it has to go away.
    pub termination_grace_period_seconds: Option<i64>,
    /// Its containers.
    #[serde(deserialize_with = "nullable")]
    pub containers: Vec<Container>,
    /// Those that run before, and sidecars.
    #[serde(deserialize_with = "nullable")]
    pub init_containers: Vec<Container>,
    /// Where it may be.
    pub affinity: Option<Affinity>,
    /// Which taints it bears.
    #[serde(deserialize_with = "nullable")]
    pub tolerations: Vec<Toleration>,
    /// Its volumes, of which only claims are looked at.
    #[serde(deserialize_with = "nullable")]
    pub volumes: Vec<Volume>,
}

/// A view of a volume.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Volume {
    /// Its name in the pod.
    pub name: String,
    /// Set if it is a claim.
    pub persistent_volume_claim: Option<ClaimVolume>,
    /// Set if it is a claim that is made for the pod.
    pub ephemeral: Option<EphemeralVolumeSource>,
}

/// Which claim a volume is.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClaimVolume {
    /// Its name.
    pub claim_name: String,
}

/// A view of a container.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// `Always` makes an init container a sidecar.
    pub restart_policy: String,
    /// What it listens on.
    #[serde(deserialize_with = "nullable")]
    pub ports: Vec<ContainerPort>,
}

/// A view of a container's port.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerPort {
    /// Its name, if it has one.
    pub name: String,
    /// Its number.
    pub container_port: i32,
    /// `TCP` if it is empty.
    pub protocol: String,
}

/// A view of a pod's status.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodStatus {
    /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
    pub phase: String,
    /// Such as `Evicted`.
    pub reason: String,
    /// Its conditions.
    #[serde(deserialize_with = "nullable")]
    pub conditions: Vec<PodCondition>,
    /// Its addresses.
    #[serde(rename = "podIPs", deserialize_with = "nullable")]
    pub pod_ips: Vec<PodIP>,
    /// Its first address.
    #[serde(rename = "podIP")]
    pub pod_ip: String,
    /// When the kubelet took it.
    pub start_time: Option<Time>,
    /// How its containers are.
    #[serde(deserialize_with = "nullable")]
    pub container_statuses: Vec<ContainerStatus>,
    /// How its init containers are.
    #[serde(deserialize_with = "nullable")]
    pub init_container_statuses: Vec<ContainerStatus>,
}

/// A view of a container's status.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerStatus {
    /// Which container.
    pub name: String,
    /// How often it has been started again.
    pub restart_count: i32,
    /// How it is.
    pub state: ContainerState,
}

/// A view of a container's state.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerState {
    /// Set if it has ended.
    pub terminated: Option<Terminated>,
}

/// How a container ended.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Terminated {
    /// Its exit code.
    pub exit_code: i32,
    /// When.
    pub finished_at: Option<Time>,
}

// === impl Pod ===

impl Pod {
    /// Whether it has ended for good.
    pub fn is_terminal(&self) -> bool {
        matches!(self.status.phase.as_str(), "Succeeded" | "Failed")
    }

    /// Whether it counts as a replica: neither ended nor asked to go away.
    pub fn is_active(&self) -> bool {
        !self.is_terminal() && !self.metadata.is_deleting()
    }

    /// Whether it is going away, but has not ended.
    pub fn is_terminating(&self) -> bool {
        !self.is_terminal() && self.metadata.is_deleting()
    }

    /// The condition `kind`.
    pub fn condition(&self, kind: &str) -> Option<&PodCondition> {
        self.status.conditions.iter().find(|condition| condition.type_ == kind)
    }

    /// Whether it is ready to serve.
    pub fn is_ready(&self) -> bool {
        self.condition("Ready").is_some_and(|condition| condition.status == "True")
    }

    /// Since when it has been ready.
    pub fn ready_since(&self) -> Option<Timestamp> {
        let condition = self.condition("Ready").filter(|condition| condition.status == "True")?;
        condition.last_transition_time.as_ref().map(|time| time.0)
    }

    /// Whether it has been ready for long enough.
    pub fn is_available(&self, min_ready_seconds: i32, now: Timestamp) -> bool {
        self.is_ready()
            && (min_ready_seconds == 0
                || self
                    .ready_since()
                    .is_some_and(|since| time::until(since, min_ready_seconds.into(), now).is_zero()))
    }

    /// How long until it has been ready for long enough; `None` if it is not ready, or is available already.
    pub fn available_in(&self, min_ready_seconds: i32, now: Timestamp) -> Option<std::time::Duration> {
        if min_ready_seconds <= 0 {
            return None;
        }
        let left = time::until(self.ready_since()?, min_ready_seconds.into(), now);
        (!left.is_zero()).then_some(left)
    }

    /// How often the container that was started again most often was: of its containers, and of its sidecars.
    pub fn restarts(&self) -> (i32, i32) {
        let most = |statuses: &mut dyn Iterator<Item = &ContainerStatus>| {
            statuses.map(|status| status.restart_count).max().unwrap_or_default()
        };
        let sidecars: Vec<&str> = self
            .spec
            .init_containers
            .iter()
            .filter(|container| container.restart_policy == "Always")
            .map(|container| container.name.as_str())
            .collect();
        let mut init = self
            .status
            .init_container_statuses
            .iter()
            .filter(|status| sidecars.contains(&status.name.as_str()));
        (most(&mut self.status.container_statuses.iter()), most(&mut init))
    }

    /// The claims that its volumes are, with whether each is made for the pod.
    pub fn claims(&self) -> impl Iterator<Item = (String, bool)> {
        self.spec.volumes.iter().filter_map(|volume| match &volume.persistent_volume_claim {
            Some(claim) => Some((claim.claim_name.clone(), false)),
            None if volume.ephemeral.is_some() => {
                Some((format!("{}-{}", self.metadata.name, volume.name), true))
            }
            None => None,
        })
    }

    /// How events name it.
    pub fn reference(&self) -> ObjectReference {
        ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            name: Some(self.metadata.name.clone()),
            namespace: Some(self.metadata.namespace.clone()),
            uid: Some(self.metadata.uid.clone()),
            ..ObjectReference::default()
        }
    }

    /// The annotation `key` as a number; 0 if it is absent or no number.
    pub fn annotated(&self, key: &str) -> i32 {
        number(&self.metadata.annotations, key)
    }
}

fn number(annotations: &BTreeMap<String, String>, key: &str) -> i32 {
    annotations.get(key).and_then(|text| text.parse().ok()).unwrap_or_default()
}

// === ends that others bring about ===

/// The patch of a pod's status that says why something else is about to end it.
pub fn disruption(reason: &str, message: &str, phase: Option<&str>, now: Timestamp) -> serde_json::Value {
    let condition = serde_json::json!({
        "type": "DisruptionTarget", "status": "True", "reason": reason, "message": message,
        "lastTransitionTime": time::seconds(now),
    });
    let mut status = serde_json::json!({"conditions": [condition]});
    if let Some(phase) = phase {
        status["phase"] = phase.into();
    }
    serde_json::json!({"status": status})
}
