//! ServiceCIDR: where the addresses of services come from.

use crate::kinds::strategies::fill::restore_metadata;
use crate::kinds::strategy::{Strategy, Verb};
use crate::value::Value;

/// ServiceCIDR: where the addresses of services come from.
pub struct ServiceCidr;

impl Strategy for ServiceCidr {
    fn prepare(&self, new: &mut Value, old: Option<&Value>, verb: Verb) {
        if let (Verb::UpdateSubresource("status"), Some(old)) = (verb, old) {
            restore_metadata(new, old);
        }
    }
}
