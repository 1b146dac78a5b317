//! Client certificates: the common name is the user, the organizations are the groups
//! (k8s.io/apiserver/pkg/authentication/request/x509).

use x509_parser::prelude::{FromDer, X509Certificate};

use crate::identity::User;

/// Which credential somebody came with, among what else is known of them (KEP-4193).
const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";

/// The user that a client certificate names. The TLS layer has checked its signature, validity and purpose.
pub fn user(der: &[u8]) -> Option<User> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let subject = certificate.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
    let groups =
        subject.iter_organization().filter_map(|group| group.as_str().ok()).map(str::to_owned).collect();
    let digest = ring::digest::digest(&ring::digest::SHA256, der);
    let digest: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let extra = [(CREDENTIAL_ID.to_owned(), vec![format!("X509SHA256={digest}")])].into();
    (!name.is_empty()).then(|| User { name, groups, extra, ..User::default() })
}
