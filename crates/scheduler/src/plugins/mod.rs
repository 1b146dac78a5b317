//! The plugins of the default profile, one module each, under upstream's names.

mod balanced_allocation;
mod image_locality;
mod inter_pod_affinity;
mod node_affinity;
mod node_name;
mod node_ports;
mod node_unschedulable;
mod pod_topology_spread;
mod resources_fit;
mod scheduling_gates;
mod taint_toleration;
mod volume_binding;

pub use balanced_allocation::BalancedAllocation;
pub use image_locality::ImageLocality;
pub use inter_pod_affinity::InterPodAffinity;
pub use node_affinity::NodeAffinity;
pub use node_name::NodeName;
pub use node_ports::NodePorts;
pub use node_unschedulable::NodeUnschedulable;
pub use pod_topology_spread::PodTopologySpread;
pub use resources_fit::ResourcesFit;
pub use scheduling_gates::SchedulingGates;
pub use taint_toleration::TaintToleration;
pub use volume_binding::VolumeBinding;

use crate::decide::Enabled;
use crate::framework::Plugin;

/// Upstream's plugins in upstream's order with upstream's weights (pkg/scheduler/apis/config/v1/default_plugins.go),
/// as far as they are here.
pub fn default_profile() -> Vec<Enabled> {
    let enable = |weight, plugin: Box<dyn Plugin>| Enabled { plugin, weight };
    vec![
        enable(0, Box::new(SchedulingGates)),
        enable(0, Box::new(NodeUnschedulable)),
        enable(0, Box::new(NodeName)),
        enable(3, Box::new(TaintToleration)),
        enable(2, Box::new(NodeAffinity)),
        enable(0, Box::new(NodePorts)),
        enable(1, Box::new(ResourcesFit)),
        enable(0, Box::new(VolumeBinding)),
        enable(2, Box::new(PodTopologySpread)),
        enable(2, Box::new(InterPodAffinity)),
        enable(1, Box::new(BalancedAllocation)),
        enable(1, Box::new(ImageLocality)),
    ]
}
