//! What the scheduler knows of a node's object; what pods take of it stands in the snapshot's columns.

use decapod_api::Str;
use k8s_openapi::api::core::v1 as core;

use crate::labels::Labels;
use crate::pod::{Taint, normalized_image};
use crate::resources::Resources;

/// A node, read once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeInfo {
    /// `metadata.name`.
    pub name: Str,
    /// The labels.
    pub labels: Labels,
    /// The taints.
    pub taints: Vec<Taint>,
    /// Whether it is cordoned.
    pub unschedulable: bool,
    /// What pods may take.
    pub allocatable: Resources,
    /// How many pods it may have.
    pub allocatable_pods: i64,
    /// The images it has, by each of their names, with sizes in bytes.
    pub images: Vec<(Str, i64)>,
}

// === impl NodeInfo ===

impl NodeInfo {
    /// Reads `node`.
    pub fn new(node: &core::Node) -> NodeInfo {
        let (spec, status) = (node.spec.as_ref(), node.status.as_ref());
        let taints = spec.into_iter().flat_map(|s| s.taints.iter().flatten());
        let (allocatable, allocatable_pods) = Resources::of_node(status.and_then(|s| s.allocatable.as_ref()));
        let images = status.into_iter().flat_map(|s| s.images.iter().flatten());
        let names = images.flat_map(|image| {
            image.names.iter().flatten().map(|name| (normalized_image(name), image.size_bytes.unwrap_or(0)))
        });
        NodeInfo {
            name: node.metadata.name.as_deref().unwrap_or_default().into(),
            labels: Labels::new(node.metadata.labels.as_ref()),
            taints: taints
                .map(|taint| Taint {
                    key: taint.key.as_str().into(),
                    value: taint.value.as_deref().unwrap_or_default().into(),
                    effect: taint.effect.as_str().into(),
                })
                .collect(),
            unschedulable: spec.and_then(|s| s.unschedulable).unwrap_or(false),
            allocatable,
            allocatable_pods,
            images: names.collect(),
        }
    }
}
