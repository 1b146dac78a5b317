//! When a request goes.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;

use crate::certificates::is_issued;
use crate::objects::time;
use crate::runtime::{Plan, Write};

/// How long what has been decided stays.
const DECIDED: SignedDuration = SignedDuration::from_hours(1);
/// How long what waits for a decision or a signature stays.
const PENDING: SignedDuration = SignedDuration::from_hours(24);

pub(super) fn reconcile(csr: &CertificateSigningRequest, now: Timestamp) -> Plan {
    let mut plan = Plan::nothing();
    let Some(ends) = ends(csr) else { return plan };
    let left = time::until(ends, 0, now);
    if left.is_zero() {
        let (name, uid) = (csr.metadata.name.as_deref(), csr.metadata.uid.as_deref());
        plan.write(Write::delete::<CertificateSigningRequest>(
            "",
            name.unwrap_or_default(),
            uid.unwrap_or_default(),
        ));
    } else {
        plan.again_after(left);
    }
    plan
}

/// The earliest time at which one of the rules says that it goes.
fn ends(csr: &CertificateSigningRequest) -> Option<Timestamp> {
    let conditions = csr.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let decided = conditions.filter_map(|condition| {
        let at = condition.last_update_time.as_ref()?.0;
        match condition.type_.as_str() {
            "Approved" if !is_issued(csr) => Some(at + PENDING),
            "Approved" | "Denied" | "Failed" => Some(at + DECIDED),
            _ => None,
        }
    });
    let has_conditions = csr.status.iter().any(|status| status.conditions.iter().flatten().next().is_some());
    let created = csr.metadata.creation_timestamp.as_ref().map(|time| time.0 + PENDING);
    decided.chain(created.filter(|_| !has_conditions)).min()
}
