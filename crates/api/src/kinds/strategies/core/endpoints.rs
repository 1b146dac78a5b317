//! Endpoints: the addresses behind a service.

use crate::kinds::strategies::fill::{each, fill};
use crate::kinds::strategy::Strategy;
use crate::value::Value;

/// Endpoints: the addresses behind a service.
pub struct Endpoints;

impl Strategy for Endpoints {
    fn default(&self, draft: &mut Value) {
        each(draft, "subsets", |subset| each(subset, "ports", |port| fill(port, "protocol", "TCP")));
    }

    fn allow_create_on_update(&self) -> bool {
        true
    }
}
