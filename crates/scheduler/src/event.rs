//! What happens in the cluster and may let a pod through that was refused (pkg/scheduler/framework/events.go).

use std::sync::Arc;

use crate::node::NodeInfo;
use crate::pod::PodInfo;
use crate::storage::ClaimKey;

/// One change.
#[derive(Clone, Debug)]
pub enum Event {
    /// A node is new.
    NodeAdded(Arc<NodeInfo>),
    /// A node's object has changed, in a way that schedulers mind.
    NodeUpdated(Arc<NodeInfo>, Arc<NodeInfo>),
    /// A node is gone.
    NodeDeleted(Arc<NodeInfo>),
    /// A pod has got a node.
    PodAssigned(Arc<PodInfo>),
    /// A pod that has a node has changed.
    PodUpdated(Arc<PodInfo>, Arc<PodInfo>),
    /// A pod that had a node, or that a node was kept for, is gone.
    PodDeleted(Arc<PodInfo>),
    /// The pending pod itself has changed.
    SelfUpdated(Arc<PodInfo>, Arc<PodInfo>),
    /// A claim has come, changed or gone.
    ClaimChanged(ClaimKey),
    /// A volume has come, changed or gone.
    VolumeChanged,
    /// A storage class has come, changed or gone.
    ClassChanged,
}

// === impl Event ===

impl Event {
    /// Whether a pending pod's own change could matter to a plugin that has refused it.
    pub fn is_about_scheduling(old: &PodInfo, new: &PodInfo) -> bool {
        old.shape != new.shape || old.gates != new.gates || old.priority != new.priority
    }
}
