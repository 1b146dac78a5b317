//! Whether a request is approved.

use std::collections::BTreeMap;

use decapod_client::decode;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestCondition};
use k8s_openapi::api::core::v1::Node;

use crate::certificates::{KUBELET_CLIENT, KUBELET_SERVING, Wanted, has_condition, is_issued, usages};
use crate::runtime::{Live, LiveRead, Plan, Write};

/// What is known of a request.
#[derive(Clone, Debug)]
pub struct State {
    /// Itself.
    pub csr: CertificateSigningRequest,
    /// The nodes that are there, where serving certificates are approved.
    pub nodes: Option<Vec<Node>>,
}

pub(super) fn reconcile(state: &State, live: &Live) -> Plan {
    let csr = &state.csr;
    if is_issued(csr) || has_condition(csr, "Approved") || has_condition(csr, "Denied") {
        return Plan::nothing();
    }
    let Some(wanted) = Wanted::parse(&csr.spec.request.0) else { return Plan::nothing() };
    match csr.spec.signer_name.as_str() {
        KUBELET_CLIENT if wanted.check_kubelet_client(usages(csr)).is_ok() => client(csr, &wanted, live),
        KUBELET_SERVING if wanted.check_kubelet_serving(usages(csr)).is_ok() => {
            let nodes = state.nodes.as_deref();
            match nodes.is_some_and(|nodes| is_own(csr, &wanted, nodes)) {
                true => approve(csr, "Auto approving the serving certificate of a node for its own names."),
                false => Plan::nothing(),
            }
        }
        _ => Plan::nothing(),
    }
}

/// A client certificate: who asks needs the right to, which for its own name is another than for any node's.
fn client(csr: &CertificateSigningRequest, wanted: &Wanted, live: &Live) -> Plan {
    let own = csr.spec.username.as_deref() == Some(wanted.common_name.as_str());
    let rights = [
        (own, "selfnodeclient", "Auto approving self kubelet client certificate after SubjectAccessReview."),
        (true, "nodeclient", "Auto approving kubelet client certificate after SubjectAccessReview."),
    ];
    for (_, subresource, message) in rights.into_iter().filter(|(applies, ..)| *applies) {
        let read = LiveRead::review(&review(csr, subresource));
        let Some(answer) = live.object(&read) else { return Plan::ask(vec![read]) };
        let review = answer.and_then(|answer| decode::<SubjectAccessReview>(answer).ok());
        if review.and_then(|review| review.status).is_some_and(|status| status.allowed) {
            return approve(csr, message);
        }
    }
    Plan::nothing()
}

/// Whether a node asks for itself, under its own name and addresses that no other node has.
fn is_own(csr: &CertificateSigningRequest, wanted: &Wanted, nodes: &[Node]) -> bool {
    let Some(name) = wanted.node().filter(|_| csr.spec.username.as_deref() == Some(&wanted.common_name))
    else {
        return false;
    };
    let of_nodes = csr.spec.groups.iter().flatten().any(|group| group == "system:nodes");
    let others = nodes.iter().filter(|node| node.metadata.name.as_deref() != Some(name));
    let taken =
        others.flat_map(|node| node.status.iter().flat_map(|status| status.addresses.iter().flatten()));
    let taken: Vec<&str> = taken.map(|address| address.address.as_str()).collect();
    let is_free = |address: &String| !taken.contains(&address.as_str());
    of_nodes
        && wanted.dns_names.iter().all(|dns_name| dns_name == name)
        && wanted.addresses.iter().map(ToString::to_string).all(|address| is_free(&address))
}

fn review(csr: &CertificateSigningRequest, subresource: &str) -> SubjectAccessReview {
    let spec = &csr.spec;
    let extra: Option<BTreeMap<String, Vec<String>>> = spec.extra.clone();
    let text = |text: &str| Some(text.to_owned());
    SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: spec.username.clone(),
            uid: spec.uid.clone(),
            groups: spec.groups.clone(),
            extra,
            resource_attributes: Some(ResourceAttributes {
                group: text("certificates.k8s.io"),
                resource: text("certificatesigningrequests"),
                subresource: text(subresource),
                verb: text("create"),
                version: text("*"),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    }
}

fn approve(csr: &CertificateSigningRequest, message: &str) -> Plan {
    let mut csr = csr.clone();
    let conditions = csr.status.get_or_insert_default().conditions.get_or_insert_default();
    conditions.push(CertificateSigningRequestCondition {
        type_: "Approved".to_owned(),
        status: "True".to_owned(),
        reason: Some("AutoApproved".to_owned()),
        message: Some(message.to_owned()),
        ..CertificateSigningRequestCondition::default()
    });
    Plan::of(vec![Write::replace(&csr, "approval").tolerating(&["NotFound"]).into()])
}
