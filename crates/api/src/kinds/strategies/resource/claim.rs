//! ResourceClaim and ResourceClaimTemplate: requests for devices.

use super::devices;
use crate::Cause;
use crate::kinds::strategies::fill::{each, fill, fill_zero, part, restore_metadata, with};
use crate::kinds::strategies::rules::{Causes, Place};
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

    /// The spec never changes; the status is the scheduler's and the drivers'.
    fn validate(&self, new: &Value, old: Option<&Value>, verb: Verb) -> Vec<Cause> {
        let (claim, mut out) = (Place::root(new), Vec::new());
        match (verb, old) {
            (Verb::UpdateSubresource(_), Some(old)) => status(&claim, old, &mut out),
            (_, Some(old)) => claim.field("spec").immutable(old.get("spec"), &mut out),
            (_, None) => devices::claim(&claim.field("spec"), &mut out),
        }
        out
    }

    fn returns_deleted(&self) -> bool {
        true
    }
}

impl Strategy for ResourceClaimTemplate {
    fn default(&self, draft: &mut Value) {
        default_claim(part(part(draft, "spec"), "spec"));
    }

    fn validate(&self, new: &Value, old: Option<&Value>, _verb: Verb) -> Vec<Cause> {
        let (template, mut out) = (Place::root(new), Vec::new());
        let spec = template.field("spec");
        match old {
            Some(old) => spec.immutable(old.get("spec"), &mut out),
            None => devices::claim(&spec.field("spec"), &mut out),
        }
        out
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

/// Who uses a claim, and what it got, which stays.
fn status(claim: &Place, old: &Value, out: &mut Causes) {
    let status = claim.field("status");
    let users = status.field("reservedFor");
    if users.list().len() > USERS_MAX {
        out.push(users.too_many(USERS_MAX));
    }
    for (i, user) in users.items().enumerate() {
        for field in ["resource", "name", "uid"] {
            user.field(field).need(out);
        }
        let uid = user.field("uid").value.clone();
        if users.list()[..i].iter().any(|before| before.get("uid") == Some(&uid)) {
            out.push(Cause::duplicate(user.path(), uid.as_str().unwrap_or_default()));
        }
    }
    let (allocation, was) = (status.field("allocation"), old.at(&["status", "allocation"]));
    let before = old.list_at(&["status", "reservedFor"]);
    if !users.list().is_empty() && !allocation.is_set() {
        out.push(users.forbidden("may not be specified when `allocated` is not set"));
    } else if claim.field("metadata").field("deletionTimestamp").is_set()
        && users.list().iter().any(|user| !before.contains(user))
    {
        out.push(users.forbidden(
            "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set",
        ));
    }
    if allocation.is_set() && was.is_some_and(|was| !was.is_null()) {
        allocation.immutable(was, out);
    }
}

const USERS_MAX: usize = 256;
