//! What is signed, read back.

use decapod_sys::Env;
use jiff::SignedDuration;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};
use serde_json::json;
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::*;
use crate::csrapproving::tests::request;

fn authority(env: &Env) -> Arc<Authority> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "ca");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let cert = params.self_signed(&key).unwrap();
    let authority = Authority::new(env, &cert.pem(), &key.serialize_pem(), SignedDuration::from_hours(100));
    Arc::new(authority.unwrap())
}

fn status(
    request: String,
    signer: &str,
    usages: &[&str],
    seconds: i32,
    condition: &str,
) -> serde_json::Value {
    let env = Env::simulated(1);
    let csr = json!({
        "metadata": {"name": "csr-1"},
        "spec": {"signerName": signer, "usages": usages, "expirationSeconds": seconds},
        "status": {"conditions": [{"type": condition, "status": "True"}]},
    });
    let mut csr: CertificateSigningRequest = serde_json::from_value(csr).unwrap();
    csr.spec.request.0 = request.into_bytes();
    let plan = reconcile::reconcile(&State { csr, authority: authority(&env) }, env.now());
    plan.writes().next().map(|write| write.body()["status"].clone()).unwrap_or_default()
}

#[test]
fn certificates_say_what_was_asked_for() {
    let hosts = ["a", "10.0.0.1"];
    let request = request("system:node:a", "system:nodes", &hosts);
    let usages = ["digital signature", "server auth"];
    let status = status(request, "kubernetes.io/kubelet-serving", &usages, 3600, "Approved");
    let certificate: k8s_openapi::ByteString = serde_json::from_value(status["certificate"].clone()).unwrap();
    let (_, block) = parse_x509_pem(&certificate.0).unwrap();
    let (rest, certificate) = X509Certificate::from_der(&block.contents).unwrap();
    assert!(rest.is_empty());
    assert_eq!(certificate.subject().to_string(), "O=system:nodes, CN=system:node:a");
    assert_eq!(certificate.issuer().iter_common_name().last().unwrap().as_str(), Ok("ca"));
    let names = certificate.subject_alternative_name().unwrap().unwrap().value;
    assert_eq!(names.general_names.len(), hosts.len());
    let usage = certificate.key_usage().unwrap().unwrap().value;
    assert!(usage.digital_signature() && !usage.key_encipherment());
    let purpose = certificate.extended_key_usage().unwrap().unwrap().value;
    assert!(purpose.server_auth && !purpose.client_auth);
    assert!(!certificate.is_ca());
    let validity = certificate.validity();
    assert_eq!(validity.not_after.timestamp() - validity.not_before.timestamp(), 3600 + 300);
}

#[test]
fn what_is_not_for_the_signer_fails() {
    let client = ["digital signature", "client auth"];
    let kubelet = "kubernetes.io/kube-apiserver-client-kubelet";
    let fails = |request: String, signer: &str, usages: &[&str]| {
        status(request, signer, usages, 3600, "Approved")["conditions"][1]["message"].to_string()
    };
    let named = |hosts: &[&str]| request("system:node:a", "system:nodes", hosts);
    assert_eq!(fails(named(&["a"]), kubelet, &client), "\"DNS subjectAltNames are not allowed\"");
    assert_eq!(
        fails(request("a", "system:nodes", &[]), kubelet, &client),
        "\"subject common name does not begin with system:node:\""
    );
    assert_eq!(
        fails(request("a", "b", &[]), "kubernetes.io/kube-apiserver-client", &["server auth"]),
        "\"invalid usage for client certificate: server auth\""
    );
    assert!(status(named(&[]), "example.com/other", &client, 3600, "Approved").is_null());
    assert!(status(named(&[]), kubelet, &client, 3600, "Denied").is_null());
}
