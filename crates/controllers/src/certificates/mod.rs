//! What the controllers of CertificateSigningRequests share: what a request asks for, and how far it has come.

mod wanted;

use k8s_openapi::api::certificates::v1::CertificateSigningRequest;

pub use wanted::{Mismatch, Wanted};

/// The signer of kubelets' client certificates.
pub const KUBELET_CLIENT: &str = "kubernetes.io/kube-apiserver-client-kubelet";
/// The signer of kubelets' serving certificates.
pub const KUBELET_SERVING: &str = "kubernetes.io/kubelet-serving";
/// The signer of other client certificates.
pub const CLIENT: &str = "kubernetes.io/kube-apiserver-client";
/// The signer that asks nothing, for old clients.
pub const LEGACY: &str = "kubernetes.io/legacy-unknown";

/// Whether `csr` has the condition `kind`, whatever the condition's status: a CSR's conditions are only ever true.
pub fn has_condition(csr: &CertificateSigningRequest, kind: &str) -> bool {
    let conditions = csr.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|conditions| conditions.iter().any(|condition| condition.type_ == kind))
}

/// Whether `csr` has its certificate.
pub fn is_issued(csr: &CertificateSigningRequest) -> bool {
    let certificate = csr.status.as_ref().and_then(|status| status.certificate.as_ref());
    certificate.is_some_and(|certificate| !certificate.0.is_empty())
}

/// The usages that `csr` asks for.
pub fn usages(csr: &CertificateSigningRequest) -> &[String] {
    csr.spec.usages.as_deref().unwrap_or_default()
}
