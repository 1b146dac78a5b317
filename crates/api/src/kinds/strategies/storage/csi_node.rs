//! CSINode: the storage drivers of a node.

use crate::Cause;
use crate::kinds::strategies::core::pod_spec::validate::driver_name;
use crate::kinds::strategies::rules::{Place, Seen};
use crate::kinds::strategy::{Strategy, Verb};
use crate::names;
use crate::value::Value;

/// CSINode: the storage drivers of a node.
pub struct CsiNode;

impl Strategy for CsiNode {
    fn allow_unconditional_update(&self) -> bool {
        false
    }

    fn returns_deleted(&self) -> bool {
        true
    }

    fn validate(&self, new: &Value, _old: Option<&Value>, _verb: Verb) -> Vec<Cause> {
        let (node, mut out) = (Place::root(new), Vec::new());
        let spec = node.field("spec");
        let mut seen = Seen::default();
        for driver in spec.field("drivers").items() {
            let (name, id) = (driver.field("name"), driver.field("nodeID"));
            driver_name(&name, &mut out);
            if seen.again(driver.value.str_at(&["name"]).unwrap_or_default()) {
                out.push(name.duplicate());
            }
            if id.need(&mut out) && id.text().len() > 256 {
                out.push(id.invalid("must be 256 characters or less"));
            }
            let keys = driver.field("topologyKeys");
            for key in keys.items() {
                key.check(names::qualified_name, &mut out);
            }
            keys.unique_texts(&mut out);
            let allocatable = driver.field("allocatable");
            allocatable.field("count").non_negative(&mut out);
        }
        out
    }
}
