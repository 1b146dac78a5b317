//! Nodes, as controllers see them.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{NodeCondition, ObjectReference, Taint};
use serde::Deserialize;

use super::Meta;
use super::meta::nullable;

/// A view of a node.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Node {
    /// Its metadata.
    pub metadata: Meta,
    /// What is asked for.
    pub spec: NodeSpec,
    /// What is.
    pub status: NodeStatus,
}

/// A view of a node's spec.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeSpec {
    /// What keeps pods off.
    #[serde(deserialize_with = "nullable")]
    pub taints: Vec<Taint>,
    /// Whether no more pods are to come.
    pub unschedulable: bool,
    /// The ranges of its pods' addresses.
    #[serde(rename = "podCIDRs", deserialize_with = "nullable")]
    pub pod_cidrs: Vec<String>,
}

/// A view of a node's status.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeStatus {
    /// Its conditions.
    #[serde(deserialize_with = "nullable")]
    pub conditions: Vec<NodeCondition>,
}

// === impl Node ===

impl Node {
    /// The condition `kind`.
    pub fn condition(&self, kind: &str) -> Option<&NodeCondition> {
        self.status.conditions.iter().find(|condition| condition.type_ == kind)
    }

    /// Whether it is ready: `True`, `False` or `Unknown`; `None` if it has not said.
    pub fn readiness(&self) -> Option<&str> {
        self.condition("Ready").map(|condition| condition.status.as_str())
    }

    /// Whether it is ready.
    pub fn is_ready(&self) -> bool {
        self.readiness() == Some("True")
    }

    /// When it was created.
    pub fn created(&self) -> Timestamp {
        self.metadata.created()
    }

    /// How events name it.
    pub fn reference(&self) -> ObjectReference {
        ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Node".to_owned()),
            name: Some(self.metadata.name.clone()),
            uid: Some(self.metadata.uid.clone()),
            ..ObjectReference::default()
        }
    }
}
