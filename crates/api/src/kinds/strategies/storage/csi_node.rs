//! CSINode: the storage drivers of a node.

use crate::Cause;
use crate::kinds::strategies::core::pod_spec::validate::driver_name;
use crate::kinds::strategies::rules::{IMMUTABLE, Place, Seen};
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

    fn validate(&self, new: &Value, old: Option<&Value>, _verb: Verb) -> Vec<Cause> {
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
            let mut keys = Seen::default();
            for key in driver.value.list_at(&["topologyKeys"]).iter().filter_map(Value::as_str) {
                if key.is_empty() {
                    out.push(driver.required(""));
                }
                if keys.again(key) {
                    out.push(Cause::duplicate(driver.path(), key));
                }
                out.extend(names::qualified_name(key).iter().map(|why| driver.invalid_as(key, why)));
            }
            let was = old.map(|old| old.list_at(&["spec", "drivers"])).unwrap_or(&[]);
            let was = was.iter().find(|was| was.get("name") == driver.value.get("name"));
            if was.is_some_and(|was| fixed(was) != fixed(driver.value)) {
                out.push(Cause::invalid("spec.drivers", driver.value, IMMUTABLE));
            }
            let allocatable = driver.field("allocatable");
            allocatable.field("count").non_negative(&mut out);
        }
        out
    }
}

/// What of a driver does not change once it is there.
fn fixed(driver: &Value) -> Value {
    let mut driver = driver.clone();
    driver.remove_at(&["allocatable"]);
    driver
}
