//! Whether a request is signed, and for how long.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestCondition};

use super::Authority;
use super::authority::Validity;
use crate::certificates::{
    CLIENT, KUBELET_CLIENT, KUBELET_SERVING, LEGACY, Mismatch, Wanted, has_condition, is_issued, usages,
};
use crate::runtime::{Plan, Write};

/// What is known of a request.
pub struct State {
    /// Itself.
    pub csr: CertificateSigningRequest,
    /// Who signs.
    pub authority: Arc<Authority>,
}

/// How far clocks may be behind ours.
const BACKDATE: SignedDuration = SignedDuration::from_mins(5);
/// What lasts shorter than this is not shortened by the backdating.
const SHORT: SignedDuration = SignedDuration::from_hours(8);
/// The shortest that is given.
const SHORTEST: SignedDuration = SignedDuration::from_mins(10);

pub(super) fn reconcile(state: &State, now: Timestamp) -> Plan {
    let State { csr, authority } = state;
    let approved = has_condition(csr, "Approved") && !has_condition(csr, "Denied");
    if !approved || has_condition(csr, "Failed") || is_issued(csr) {
        return Plan::nothing();
    }
    let Some(wanted) = Wanted::parse(&csr.spec.request.0) else { return Plan::nothing() };
    let usages = usages(csr);
    let checked = match csr.spec.signer_name.as_str() {
        KUBELET_CLIENT => wanted.check_kubelet_client(usages),
        KUBELET_SERVING => wanted.check_kubelet_serving(usages),
        CLIENT => check_client(usages),
        LEGACY => Ok(()),
        // Somebody else's.
        _ => return Plan::nothing(),
    };
    let signed = checked.map_err(|mismatch| mismatch.to_string()).and_then(|()| {
        let validity = validity(csr, authority.longest(), now);
        authority.sign(&wanted, usages, validity, now).map_err(|error| error.to_string())
    });
    let mut csr = csr.clone();
    let status = csr.status.get_or_insert_default();
    match signed {
        Ok(pem) => status.certificate = Some(ByteString(pem.into_bytes())),
        Err(message) => status.conditions.get_or_insert_default().push(CertificateSigningRequestCondition {
            type_: "Failed".to_owned(),
            status: "True".to_owned(),
            reason: Some("SignerValidationFailure".to_owned()),
            message: Some(message),
            ..CertificateSigningRequestCondition::default()
        }),
    }
    Plan::of(vec![Write::update_status(&csr).tolerating(&["NotFound"]).into()])
}

fn check_client(usages: &[String]) -> Result<(), Mismatch> {
    const KNOWN: [&str; 3] = ["digital signature", "key encipherment", "client auth"];
    match usages.iter().find(|usage| !KNOWN.contains(&usage.as_str())) {
        Some(usage) => Err(Mismatch::Usage(usage.clone())),
        None if usages.iter().any(|usage| usage == "client auth") => Ok(()),
        None => Err(Mismatch::NoClientAuth),
    }
}

/// From a little ago, for as long as was asked for within what is given.
fn validity(csr: &CertificateSigningRequest, longest: SignedDuration, now: Timestamp) -> Validity {
    let asked = csr.spec.expiration_seconds.map(|seconds| SignedDuration::from_secs(seconds.into()));
    let lasts = asked.map_or(longest, |asked| asked.max(SHORTEST).min(longest));
    let until = if lasts < SHORT { now + lasts } else { now + lasts - BACKDATE };
    Validity { from: now - BACKDATE, until }
}
