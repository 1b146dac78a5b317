//! ResourceSlice: some of the devices of a node or pool.

use crate::kinds::strategies::fill::{each, fill, part, with};
use crate::kinds::strategy::{Strategy, Verb, Writer};
use crate::value::Value;

/// ResourceSlice: some of the devices of a node or pool.
pub struct ResourceSlice;

impl Strategy for ResourceSlice {
    fn default(&self, draft: &mut Value) {
        each(part(draft, "spec"), "devices", |device| {
            if let Some(Value::Map(mappings)) = device.at_mut(&["nodeAllocatableResourceMappings"]) {
                mappings.iter_mut().for_each(|(_, mapping)| fill(mapping, "allocationMultiplier", "1"));
            }
        });
    }

    /// Taints say when they were added.
    fn stamp(&self, new: &mut Value, _old: Option<&Value>, _verb: Verb, by: Writer) {
        with(new, "spec", |spec| {
            each(spec, "devices", |device| each(device, "taints", |taint| fill(taint, "timeAdded", by.now)));
        });
    }

    fn returns_deleted(&self) -> bool {
        true
    }
}
