//! When requests go, as a table.

use serde_json::json;

use super::*;

#[test]
fn requests_go_in_time() {
    let now: Timestamp = "2026-01-02T00:00:00Z".parse().unwrap();
    let outcome = |condition: &str, hours: i64, issued: bool| {
        let at = (now - jiff::SignedDuration::from_hours(hours)).to_string();
        let conditions = match condition {
            "" => json!(null),
            kind => json!([{"type": kind, "status": "True", "lastUpdateTime": at}]),
        };
        let csr = json!({
            "metadata": {"name": "a", "creationTimestamp": at},
            "spec": {"signerName": "x", "request": ""},
            "status": {"conditions": conditions, "certificate": issued.then_some("YQ==")},
        });
        let csr: CertificateSigningRequest = serde_json::from_value(csr).unwrap();
        reconcile::reconcile(&csr, now).to_string().trim().to_owned()
    };
    let gone = "delete certificatesigningrequests.certificates.k8s.io a";
    assert_eq!(outcome("", 23, false), "again after 3600s");
    assert_eq!(outcome("", 24, false), gone);
    assert_eq!(outcome("Denied", 0, false), "again after 3600s");
    assert_eq!(outcome("Denied", 1, false), gone);
    assert_eq!(outcome("Failed", 1, false), gone);
    assert_eq!(outcome("Approved", 1, false), "again after 82800s");
    assert_eq!(outcome("Approved", 1, true), gone);
}
