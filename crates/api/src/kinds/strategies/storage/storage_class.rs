//! StorageClass: how volumes are made.

use crate::kinds::strategies::fill::fill;
use crate::kinds::strategy::Strategy;
use crate::value::Value;

/// StorageClass: how volumes are made.
pub struct StorageClass;

impl Strategy for StorageClass {
    fn default(&self, draft: &mut Value) {
        fill(draft, "reclaimPolicy", "Delete");
        fill(draft, "volumeBindingMode", "Immediate");
    }

    fn returns_deleted(&self) -> bool {
        true
    }
}
