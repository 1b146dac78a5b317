//! PodTopologyLabels: a pod bears the zone and the region of its node
//! (k8s.io/kubernetes/plugin/pkg/admission/podtopologylabels).

use decapod_api::Status;

use super::{Attributes, Operation, Plugin};
use crate::registry::Lookup;

/// The plugin.
pub struct PodTopologyLabels;

const LABELS: [&str; 2] = ["topology.kubernetes.io/zone", "topology.kubernetes.io/region"];

impl Plugin for PodTopologyLabels {
    fn name(&self) -> &'static str {
        "PodTopologyLabels"
    }

    /// Pods that are made with a node, and those that get one. A binding's labels go to the pod.
    fn handles(&self, attributes: &Attributes) -> bool {
        attributes.operation == Operation::Create
            && attributes.is("", "pods")
            && matches!(attributes.subresource, "" | "binding")
    }

    fn mutate(&self, attributes: &mut Attributes, lookup: &dyn Lookup) -> Result<(), Status> {
        let object = &mut attributes.object;
        let node = match attributes.subresource {
            "binding" if object.str_at(&["target", "kind"]) != Some("Node") => None,
            "binding" => object.str_at(&["target", "name"]),
            _ => object.str_at(&["spec", "nodeName"]),
        };
        let node = node.filter(|name| !name.is_empty()).and_then(|name| lookup.object("", "nodes", "", name));
        let Some(node) = node else { return Ok(()) };
        for label in LABELS {
            if let Some(value) = node.label(label) {
                object.set_at(&["metadata", "labels", label], &*value);
            }
        }
        Ok(())
    }
}
