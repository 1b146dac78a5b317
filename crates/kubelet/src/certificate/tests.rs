//! Times, outcomes and files.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use super::*;

#[test]
fn renewal_comes_in_time() {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let due = renewal(at("2026-01-01T00:00:00Z"), at("2026-01-11T00:00:00Z"), 80);
    assert_eq!(due, at("2026-01-09T00:00:00Z"));
}

#[test]
fn requests_end_well_or_not() {
    let outcome = |status: serde_json::Value| {
        let csr = json!({"metadata": {"name": "csr-1"}, "spec": {"request": "", "signerName": "x"}, "status": status});
        let outcome = outcome(serde_json::from_value(csr).unwrap())?;
        Some(outcome.map(|pem| String::from_utf8(pem).unwrap()).map_err(|error| error.to_string()))
    };
    assert_eq!(outcome(json!({})), None);
    let approved = json!([{"type": "Approved", "status": "True"}]);
    assert_eq!(outcome(json!({"conditions": approved})), None);
    assert_eq!(outcome(json!({"conditions": approved, "certificate": "YQ=="})), Some(Ok("a".into())));
    let denied = json!([{"type": "Denied", "status": "True", "reason": "Who", "message": "are you"}]);
    let refused = "the request csr-1 for a certificate of the node was refused: Who: are you";
    assert_eq!(outcome(json!({"conditions": denied})), Some(Err(refused.into())));
}

#[test]
fn what_is_kept_is_judged() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pki/kubelet-server.pem");
    let hosts = vec!["a".to_owned(), "10.0.0.1".to_owned()];
    let env = Env::system();
    let certificate = |node: &str, hosts: &[String]| {
        NodeCertificate::new(&env, node, Purpose::Serving(hosts.to_vec()), path.clone())
    };
    assert!(!certificate("a", &hosts).is_good());
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(hosts.clone()).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "system:node:a");
    let pem = params.self_signed(&key).unwrap().pem();
    file::write(&path, format!("{}{pem}", key.serialize_pem()).as_bytes()).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(certificate("a", &hosts).is_good());
    assert!(!certificate("b", &hosts).is_good());
    assert!(!certificate("a", &hosts[..1]).is_good());
    file::write(&path, pem.as_bytes()).unwrap();
    assert!(!certificate("a", &hosts).is_good(), "without its key");
}
