//! The group `certificates.k8s.io`.

mod signing_request;

pub use signing_request::CertificateSigningRequest;
