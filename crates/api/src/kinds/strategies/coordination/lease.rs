//! Lease: who leads, and until when.

use crate::Cause;
use crate::kinds::strategies::rules::Place;
use crate::kinds::strategy::{Strategy, Verb};
use crate::value::Value;

/// Lease: who leads, and until when.
pub struct Lease;

impl Strategy for Lease {
    fn allow_create_on_update(&self) -> bool {
        true
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }

    /// Coordinated leader election is behind a feature that is off; only leases that have its fields keep them.
    fn prepare(&self, new: &mut Value, old: Option<&Value>, _verb: Verb) {
        for field in ["strategy", "preferredHolder"] {
            if old.and_then(|old| old.at(&["spec", field])).is_none_or(Value::is_null) {
                new.remove_at(&["spec", field]);
            }
        }
    }

    fn validate(&self, new: &Value, _old: Option<&Value>, _verb: Verb) -> Vec<Cause> {
        let (lease, mut out) = (Place::root(new), Vec::new());
        let spec = lease.field("spec");
        let seconds = spec.field("leaseDurationSeconds");
        if seconds.is_set() && seconds.int() <= 0 {
            out.push(seconds.invalid("must be greater than 0"));
        }
        spec.field("leaseTransitions").non_negative(&mut out);
        out
    }
}
