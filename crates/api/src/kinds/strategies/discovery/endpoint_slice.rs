//! EndpointSlice: some of the addresses behind a service.

use crate::kinds::strategies::fill::{count_change, each, fill, same};
use crate::kinds::strategy::{Strategy, Verb};
use crate::value::Value;

/// EndpointSlice: some of the addresses behind a service.
pub struct EndpointSlice;

impl Strategy for EndpointSlice {
    fn default(&self, draft: &mut Value) {
        each(draft, "ports", |port| {
            fill(port, "name", "");
            fill(port, "protocol", "TCP");
        });
    }

    /// Unlike elsewhere, labels count in the generation. `deprecatedTopology` is of a version long gone.
    fn prepare(&self, new: &mut Value, old: Option<&Value>, _verb: Verb) {
        match old {
            None => each(new, "endpoints", |endpoint| drop(endpoint.remove_at(&["deprecatedTopology"]))),
            Some(old) if !same(new, old, &["metadata", "labels"]) => count_change(new, old),
            Some(_) => {}
        }
    }
}
