//! CertificateSubjectRestriction: nobody asks for a certificate that may do everything
//! (k8s.io/kubernetes/plugin/pkg/admission/certificates/subjectrestriction).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use decapod_api::{Status, Value};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::FromDer;

use super::{Attributes, Operation, Plugin};
use crate::identity::MASTERS;
use crate::registry::Lookup;

/// The plugin.
pub struct CertificateSubjectRestriction;

/// The signer of clients' certificates.
const SIGNER: &str = "kubernetes.io/kube-apiserver-client";

impl Plugin for CertificateSubjectRestriction {
    fn name(&self) -> &'static str {
        "CertificateSubjectRestriction"
    }

    fn handles(&self, attributes: &Attributes) -> bool {
        attributes.operation == Operation::Create
            && attributes.is("certificates.k8s.io", "certificatesigningrequests")
            && attributes.subresource.is_empty()
    }

    fn validate(&self, attributes: &Attributes, _: &dyn Lookup) -> Result<(), Status> {
        let csr = &attributes.object;
        if csr.str_at(&["spec", "signerName"]) != Some(SIGNER) {
            return Ok(());
        }
        let groups =
            organizations(csr).map_err(|why| attributes.forbid(&format!("failed to parse CSR: {why}")))?;
        if groups.iter().any(|group| group == MASTERS) {
            let why = format!("use of {SIGNER} signer with {MASTERS} group is not allowed");
            return Err(attributes.forbid(&why));
        }
        Ok(())
    }
}

/// The groups that the certificate would put its owner in.
fn organizations(csr: &Value) -> Result<Vec<String>, String> {
    let text = csr.str_at(&["spec", "request"]).unwrap_or_default();
    let pem = STANDARD.decode(text).map_err(|error| error.to_string())?;
    let (_, block) = parse_x509_pem(&pem).map_err(|error| error.to_string())?;
    if block.label != "CERTIFICATE REQUEST" {
        return Err("PEM block type must be CERTIFICATE REQUEST".to_owned());
    }
    let parsed = X509CertificationRequest::from_der(&block.contents);
    let (_, csr) = parsed.map_err(|error| error.to_string())?;
    let organizations = csr.certification_request_info.subject.iter_organization();
    // What cannot be read might be anything.
    organizations.map(|name| name.as_str().map(str::to_owned).map_err(|error| error.to_string())).collect()
}
