//! CSINode: the storage drivers of a node.

use crate::kinds::strategy::Strategy;

/// CSINode: the storage drivers of a node.
pub struct CsiNode;

impl Strategy for CsiNode {
    fn allow_unconditional_update(&self) -> bool {
        false
    }

    fn returns_deleted(&self) -> bool {
        true
    }
}
