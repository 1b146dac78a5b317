//! The server's certificates.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;

use super::ServerError;
use crate::config::ServerConfig;

/// TLS with our certificate; callers may show one of the cluster's authority.
pub fn server_config(config: &ServerConfig) -> Result<rustls::ServerConfig, ServerError> {
    let wrong = |what: &str, error: &dyn std::fmt::Display| ServerError::Tls(format!("{what}: {error}"));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&config.client_ca_pem) {
        let certificate = certificate.map_err(|error| wrong("client authority", &error))?;
        roots.add(certificate).map_err(|error| wrong("client authority", &error))?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let verifier =
        verifier.allow_unauthenticated().build().map_err(|error| wrong("client authority", &error))?;
    let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder =
        builder.map_err(|error| wrong("protocol versions", &error))?.with_client_cert_verifier(verifier);
    let mut server = builder.with_cert_resolver(Arc::clone(&config.certificate));
    // Upgraded connections exist in HTTP/1.1 only.
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(server)
}
