//! CSIStorageCapacity: how much storage is left.

use crate::kinds::strategy::Strategy;

/// CSIStorageCapacity: how much storage is left.
pub struct CsiStorageCapacity;

impl Strategy for CsiStorageCapacity {
    fn allow_unconditional_update(&self) -> bool {
        false
    }
}
