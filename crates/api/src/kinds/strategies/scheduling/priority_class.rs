//! PriorityClass: how important pods are.

use crate::kinds::strategies::fill::fill;
use crate::kinds::strategy::Strategy;
use crate::value::Value;

/// PriorityClass: how important pods are.
pub struct PriorityClass;

impl Strategy for PriorityClass {
    fn default(&self, draft: &mut Value) {
        fill(draft, "preemptionPolicy", "PreemptLowerPriority");
    }
}
