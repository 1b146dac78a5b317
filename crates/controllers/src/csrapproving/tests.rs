//! Requests, as a table.

use decapod_api::Object;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};
use serde_json::json;

use super::*;

/// A request in PEM.
pub(crate) fn request(name: &str, organization: &str, hosts: &[&str]) -> String {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, organization);
    params.distinguished_name.push(DnType::CommonName, name);
    params.subject_alt_names = hosts
        .iter()
        .map(|host| match host.parse() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName((*host).try_into().unwrap()),
        })
        .collect();
    params.serialize_request(&KeyPair::generate().unwrap()).unwrap().pem().unwrap()
}

fn state(user: &str, signer: &str, request: String, usages: &[&str]) -> State {
    let groups = if user.starts_with("system:node:") { ["system:nodes"] } else { ["system:bootstrappers"] };
    let csr = json!({
        "metadata": {"name": "csr-1"},
        "spec": {"signerName": signer, "username": user, "groups": groups, "usages": usages},
    });
    let mut csr: CertificateSigningRequest = serde_json::from_value(csr).unwrap();
    csr.spec.request.0 = request.into_bytes();
    let other = json!({
        "metadata": {"name": "b"},
        "status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.2"}]},
    });
    State { csr, nodes: Some(vec![serde_json::from_value(other).unwrap()]) }
}

/// What is done when the right of that name is the only one.
fn outcome(state: &State, right: &str) -> String {
    let mut live = Live::default();
    for _ in 0..4 {
        let plan = reconcile::reconcile(state, &live);
        for read in plan.reads {
            let crate::runtime::LiveRead::Review { question, .. } = &read else { panic!("{read}") };
            let mut review: serde_json::Value = serde_json::from_str(question).unwrap();
            let allowed = review["spec"]["resourceAttributes"]["subresource"] == right;
            review["status"] = json!({"allowed": allowed});
            let answer = Object::new(serde_json::to_vec(&review).unwrap().into(), 1);
            live.answer(read, Some(answer));
        }
        if let Some(write) = plan.actions.first() {
            let crate::runtime::Action::Write(write) = write else { panic!("another action") };
            let message = write.body()["status"]["conditions"][0]["message"].to_string();
            return format!("{write}: {message}");
        }
    }
    "nothing".to_owned()
}

const CLIENT: [&str; 2] = ["digital signature", "client auth"];
const SERVER: [&str; 2] = ["digital signature", "server auth"];

#[test]
fn who_may_gets_a_client_certificate() {
    let ask = |user: &str, name: &str, organization: &str, right: &str| {
        let request = request(name, organization, &[]);
        outcome(&state(user, "kubernetes.io/kube-apiserver-client-kubelet", request, &CLIENT), right)
    };
    let token = "system:bootstrap:abcdef";
    let new = "update certificatesigningrequests.certificates.k8s.io/approval csr-1: \"Auto approving kubelet client certificate after SubjectAccessReview.\"";
    let renewed = new.replace("kubelet client", "self kubelet client");
    assert_eq!(ask(token, "system:node:a", "system:nodes", "nodeclient"), new);
    assert_eq!(ask(token, "system:node:a", "system:nodes", "selfnodeclient"), "nothing");
    assert_eq!(ask("system:node:a", "system:node:a", "system:nodes", "selfnodeclient"), renewed);
    assert_eq!(ask("system:node:b", "system:node:a", "system:nodes", "selfnodeclient"), "nothing");
    assert_eq!(ask(token, "admin", "system:nodes", "nodeclient"), "nothing");
    assert_eq!(ask(token, "system:node:a", "system:masters", "nodeclient"), "nothing");
}

#[test]
fn a_node_gets_a_serving_certificate_for_itself() {
    let ask = |user: &str, hosts: &[&str]| {
        let request = request("system:node:a", "system:nodes", hosts);
        let outcome = outcome(&state(user, "kubernetes.io/kubelet-serving", request, &SERVER), "");
        outcome != "nothing"
    };
    assert!(ask("system:node:a", &["a", "10.0.0.1"]));
    assert!(!ask("system:node:a", &[]), "no name at all");
    assert!(!ask("system:node:b", &["a", "10.0.0.1"]), "another node asks");
    assert!(!ask("system:node:a", &["b"]), "another node's name");
    assert!(!ask("system:node:a", &["a", "10.0.0.2"]), "another node's address");
}
