//! RuntimeClass: which runtime runs a pod.

use crate::kinds::strategy::Strategy;

/// RuntimeClass: which runtime runs a pod.
pub struct RuntimeClass;

impl Strategy for RuntimeClass {
    fn allow_create_on_update(&self) -> bool {
        true
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }
}
