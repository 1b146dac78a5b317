//! CSIStorageCapacity: how much storage is left.

use crate::Cause;
use crate::kinds::strategies::rules::{NEGATIVE, Place};
use crate::kinds::strategy::{Strategy, Verb};
use crate::names;
use crate::value::Value;

/// CSIStorageCapacity: how much storage is left.
pub struct CsiStorageCapacity;

impl Strategy for CsiStorageCapacity {
    fn allow_unconditional_update(&self) -> bool {
        false
    }

    fn validate(&self, new: &Value, old: Option<&Value>, _verb: Verb) -> Vec<Cause> {
        let (capacity, mut out) = (Place::root(new), Vec::new());
        capacity.field("storageClassName").check(names::subdomain, &mut out);
        capacity.field("nodeTopology").label_selector(&mut out);
        if capacity.field("capacity").quantity().is_negative() {
            out.push(capacity.field("capacity").invalid(NEGATIVE));
        }
        if let Some(old) = old {
            for field in ["nodeTopology", "storageClassName"] {
                capacity.field(field).immutable(old.get(field), &mut out);
            }
        }
        out
    }
}
