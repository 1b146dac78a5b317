//! Lease: who leads, and until when.

use crate::kinds::strategy::Strategy;

/// Lease: who leads, and until when.
pub struct Lease;

impl Strategy for Lease {
    fn allow_create_on_update(&self) -> bool {
        true
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }
}
