//! LimitPodHardAntiAffinityTopology: a pod keeps others off its node, and off no more than that
//! (k8s.io/kubernetes/plugin/pkg/admission/antiaffinity).

use decapod_api::Status;

use super::{Attributes, Operation, Plugin};
use crate::registry::Lookup;

/// The plugin.
pub struct LimitPodHardAntiAffinityTopology;

const HOSTNAME: &str = "kubernetes.io/hostname";
const TERMS: [&str; 4] =
    ["spec", "affinity", "podAntiAffinity", "requiredDuringSchedulingIgnoredDuringExecution"];

impl Plugin for LimitPodHardAntiAffinityTopology {
    fn name(&self) -> &'static str {
        "LimitPodHardAntiAffinityTopology"
    }

    fn handles(&self, attributes: &Attributes) -> bool {
        matches!(attributes.operation, Operation::Create | Operation::Update)
            && attributes.is("", "pods")
            && attributes.subresource.is_empty()
    }

    fn validate(&self, attributes: &Attributes, _: &dyn Lookup) -> Result<(), Status> {
        let keys = attributes.object.list_at(&TERMS).iter().map(|term| term.str_at(&["topologyKey"]));
        match keys.map(Option::unwrap_or_default).find(|key| *key != HOSTNAME) {
            None => Ok(()),
            Some(key) => Err(attributes.forbid(&format!(
                "affinity.PodAntiAffinity.RequiredDuringScheduling has TopologyKey {key} but only key {HOSTNAME} is allowed"
            ))),
        }
    }
}
