//! ResourceClaim and ResourceClaimTemplate: requests for devices.

use crate::kinds::strategies::fill::{each, fill, fill_zero, part, restore_metadata, with};
use crate::kinds::strategy::{Strategy, Verb};
use crate::value::Value;

/// ResourceClaim: a request for devices.
pub struct ResourceClaim;

/// ResourceClaimTemplate: a claim for every pod.
pub struct ResourceClaimTemplate;

impl Strategy for ResourceClaim {
    fn default(&self, draft: &mut Value) {
        default_claim(part(draft, "spec"));
    }

    fn prepare(&self, new: &mut Value, old: Option<&Value>, verb: Verb) {
        if let (Verb::UpdateSubresource("status"), Some(old)) = (verb, old) {
            restore_metadata(new, old);
        }
    }

    fn returns_deleted(&self) -> bool {
        true
    }
}

impl Strategy for ResourceClaimTemplate {
    fn default(&self, draft: &mut Value) {
        default_claim(part(part(draft, "spec"), "spec"));
    }

    fn returns_deleted(&self) -> bool {
        true
    }
}

fn default_claim(spec: &mut Value) {
    with(spec, "devices", |devices| {
        each(devices, "requests", |request| {
            with(request, "exactly", default_request);
            each(request, "firstAvailable", default_request);
        });
    });
}

fn default_request(request: &mut Value) {
    fill(request, "allocationMode", "ExactCount");
    if request.str_at(&["allocationMode"]) == Some("ExactCount") {
        fill_zero(request, "count", 1);
    }
}
