//! What a PKCS #10 request asks for, and whether that is a kubelet's certificate
//! (k8s.io/kubernetes/pkg/apis/certificates, helpers.go).

use std::net::IpAddr;

use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::cri_attributes::ParsedCriAttribute;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::FromDer;

/// What a request asks for. Names, key and alternative names are kept as they were encoded, so that a certificate says
/// what the request said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The subject's common name.
    pub common_name: String,
    /// The subject's organizations.
    pub organizations: Vec<String>,
    /// Alternative names: of DNS.
    pub dns_names: Vec<String>,
    /// Addresses.
    pub addresses: Vec<IpAddr>,
    /// Of mail.
    pub emails: usize,
    /// Of other things.
    pub uris: usize,
    /// The subject, in DER.
    pub subject_der: Vec<u8>,
    /// The public key, in DER.
    pub key_der: Vec<u8>,
    /// The alternative names' extension value, in DER; empty for none.
    pub names_der: Vec<u8>,
}

/// Why a request is not for what its signer signs; the text goes into the Failed condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// The organizations are not exactly the nodes'.
    #[error("subject organization is not system:nodes")]
    Organization,
    /// The name is none of a node's.
    #[error("subject common name does not begin with system:node:")]
    CommonName,
    /// A server has to be called something.
    #[error("DNS or IP subjectAltName is required")]
    NamesRequired,
    /// There are names that may not be.
    #[error("{0} subjectAltNames are not allowed")]
    Names(&'static str),
    /// The usages are others.
    #[error("usages did not match [{0}]")]
    Usages(&'static str),
    /// A usage that a client certificate does not have.
    #[error("invalid usage for client certificate: {0}")]
    Usage(String),
    /// A client certificate has to be one.
    #[error("missing required usage for client certificate: client auth")]
    NoClientAuth,
}

const NODES: &str = "system:nodes";
const NODE_PREFIX: &str = "system:node:";

// === impl Wanted ===

impl Wanted {
    /// Reads a request in PEM; `None` if it is none, or was not signed with its own key.
    pub fn parse(pem: &[u8]) -> Option<Wanted> {
        let (_, block) = parse_x509_pem(pem).ok()?;
        if block.label != "CERTIFICATE REQUEST" {
            return None;
        }
        let (_, csr) = X509CertificationRequest::from_der(&block.contents).ok()?;
        csr.verify_signature().ok()?;
        let info = &csr.certification_request_info;
        let subject = &info.subject;
        let mut wanted = Wanted {
            common_name: subject.iter_common_name().next()?.as_str().ok()?.to_owned(),
            organizations: subject
                .iter_organization()
                .filter_map(|organization| organization.as_str().ok().map(str::to_owned))
                .collect(),
            subject_der: subject.as_raw().to_vec(),
            key_der: info.subject_pki.raw.to_vec(),
            ..Wanted::default()
        };
        for attribute in info.iter_attributes() {
            let ParsedCriAttribute::ExtensionRequest(request) = attribute.parsed_attribute() else {
                continue;
            };
            for extension in &request.extensions {
                if let ParsedExtension::SubjectAlternativeName(names) = extension.parsed_extension() {
                    wanted.names_der = extension.value.to_vec();
                    names.general_names.iter().for_each(|name| wanted.add(name));
                }
            }
        }
        Some(wanted)
    }

    fn add(&mut self, name: &GeneralName) {
        match name {
            GeneralName::DNSName(name) => self.dns_names.push((*name).to_owned()),
            GeneralName::IPAddress(bytes) => {
                match (<[u8; 4]>::try_from(*bytes), <[u8; 16]>::try_from(*bytes)) {
                    (Ok(bytes), _) => self.addresses.push(bytes.into()),
                    (_, Ok(bytes)) => self.addresses.push(bytes.into()),
                    _ => self.uris += 1,
                }
            }
            GeneralName::RFC822Name(_) => self.emails += 1,
            _ => self.uris += 1,
        }
    }

    /// The node that the subject is.
    pub fn node(&self) -> Option<&str> {
        self.common_name.strip_prefix(NODE_PREFIX)
    }

    /// Whether this is a kubelet's client certificate.
    pub fn check_kubelet_client(&self, usages: &[String]) -> Result<(), Mismatch> {
        self.check_organization()?;
        for (name, count) in [
            ("DNS", self.dns_names.len()),
            ("Email", self.emails),
            ("IP", self.addresses.len()),
            ("URI", self.uris),
        ] {
            if count > 0 {
                return Err(Mismatch::Names(name));
            }
        }
        self.node().ok_or(Mismatch::CommonName)?;
        check_usages(usages, "client auth", "client auth digital signature key encipherment")
    }

    /// Whether this is a kubelet's serving certificate.
    pub fn check_kubelet_serving(&self, usages: &[String]) -> Result<(), Mismatch> {
        self.check_organization()?;
        if self.dns_names.is_empty() && self.addresses.is_empty() {
            return Err(Mismatch::NamesRequired);
        }
        for (name, count) in [("Email", self.emails), ("URI", self.uris)] {
            if count > 0 {
                return Err(Mismatch::Names(name));
            }
        }
        check_usages(usages, "server auth", "digital signature key encipherment server auth")?;
        self.node().map(drop).ok_or(Mismatch::CommonName)
    }

    fn check_organization(&self) -> Result<(), Mismatch> {
        if self.organizations == [NODES] { Ok(()) } else { Err(Mismatch::Organization) }
    }
}

/// Exactly digital signature and `needed`, and key encipherment if they like.
fn check_usages(usages: &[String], needed: &str, all: &'static str) -> Result<(), Mismatch> {
    let has = |usage: &str| usages.iter().any(|one| one == usage);
    let known = ["digital signature", "key encipherment", needed];
    let good =
        has("digital signature") && has(needed) && usages.iter().all(|one| known.contains(&one.as_str()));
    if good { Ok(()) } else { Err(Mismatch::Usages(all)) }
}
