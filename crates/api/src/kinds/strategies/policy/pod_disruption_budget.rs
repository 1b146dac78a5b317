//! PodDisruptionBudget: how many pods may be gone at once.

use crate::kinds::strategy::Strategy;

/// PodDisruptionBudget: how many pods may be gone at once.
pub struct PodDisruptionBudget;

impl Strategy for PodDisruptionBudget {
    fn allow_unconditional_update(&self) -> bool {
        false
    }
}
