//! CSIDriver: what a storage driver can do.

use crate::kinds::strategies::fill::{count_change, fill, fill_zero, part, same};
use crate::kinds::strategy::{Strategy, Verb};
use crate::value::Value;

/// CSIDriver: what a storage driver can do.
pub struct CsiDriver;

impl Strategy for CsiDriver {
    fn default(&self, draft: &mut Value) {
        let spec = part(draft, "spec");
        fill(spec, "attachRequired", true);
        for field in ["podInfoOnMount", "storageCapacity", "requiresRepublish", "seLinuxMount"] {
            fill(spec, field, false);
        }
        fill(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
        fill_zero(spec, "volumeLifecycleModes", vec![Value::from("Persistent")]);
    }

    /// Unlike elsewhere, the generation is counted although new objects begin without one.
    fn prepare(&self, new: &mut Value, old: Option<&Value>, _verb: Verb) {
        if let Some(old) = old.filter(|old| !same(new, old, &["spec"])) {
            count_change(new, old);
        }
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }

    fn returns_deleted(&self) -> bool {
        true
    }
}
