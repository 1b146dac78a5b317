//! Whom to believe that it is the webhook, or the API server, that is asked for: who shows a certificate that the
//! configuration's bundle vouches for.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio_rustls::TlsConnector;

use super::unverified::Unverified;
use crate::pki::Identity;

/// Where systems keep the authorities that they trust (Go's crypto/x509).
const SYSTEM_BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Trusts what a bundle vouches for, and the certificates in it themselves, as Go does: many a webhook's bundle is its
/// own certificate.
#[derive(Debug)]
struct Trust {
    chain: Arc<WebPkiServerVerifier>,
    bundle: Vec<CertificateDer<'static>>,
}

/// What a connection to a service asks of the other side, and what it shows.
#[derive(Default)]
pub struct Terms<'a> {
    /// The certificates that vouch for the other side, in PEM; the system's authorities, if it is empty.
    pub bundle_pem: &'a [u8],
    /// Whether the other side may be anybody.
    pub is_insecure: bool,
    /// As whom to connect.
    pub identity: Option<&'a Identity>,
    /// The protocols to offer, the best first.
    pub protocols: &'a [&'a [u8]],
}

/// Connects on these terms.
pub fn connector(terms: &Terms) -> Result<TlsConnector, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match terms.is_insecure {
        true => Arc::new(Unverified(provider.clone())),
        false => Arc::new(Trust::new(terms.bundle_pem, provider.clone())?),
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match terms.identity {
        None => config.with_no_client_auth(),
        Some(identity) => {
            let (chain, key) = identity.to_der().map_err(|error| error.to_string())?;
            config.with_client_auth_cert(chain, key).map_err(|error| error.to_string())?
        }
    };
    config.alpn_protocols = terms.protocols.iter().map(|name| name.to_vec()).collect();
    Ok(TlsConnector::from(Arc::new(config)))
}

// === impl Trust ===

impl Trust {
    fn new(bundle_pem: &[u8], provider: Arc<CryptoProvider>) -> Result<Trust, String> {
        let bundle = match bundle_pem {
            [] => system_bundle(),
            pem => CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).collect(),
        };
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(bundle.iter().cloned());
        let unknown =
            |_| "tls: failed to verify certificate: x509: certificate signed by unknown authority".to_owned();
        let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        Ok(Trust { chain: chain.build().map_err(unknown)?, bundle })
    }
}

fn system_bundle() -> Vec<CertificateDer<'static>> {
    let pem = SYSTEM_BUNDLES.iter().find_map(|path| std::fs::read(path).ok()).unwrap_or_default();
    CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok).collect()
}

/// Why a handshake failed, in the words of Go's crypto/tls where operators know them.
pub fn explain(error: &std::io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let failed = "tls: failed to verify certificate: x509:";
    match inner {
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            format!("{failed} certificate signed by unknown authority")
        }
        Some(Error::InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        )) => format!("{failed} certificate has expired or is not yet valid"),
        Some(Error::InvalidCertificate(why)) => format!("{failed} {why}"),
        _ => error.to_string(),
    }
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let refused = match self.chain.verify_server_cert(certificate, chain, name, ocsp, now) {
            Ok(verified) => return Ok(verified),
            Err(error) => error,
        };
        if !self.bundle.iter().any(|trusted| trusted == certificate) {
            return Err(match refused {
                // Such as an authority's own certificate, and not one that is trusted.
                Error::InvalidCertificate(CertificateError::Other(_)) => {
                    Error::InvalidCertificate(CertificateError::UnknownIssuer)
                }
                other => other,
            });
        }
        let parsed = x509_parser::parse_x509_certificate(certificate);
        let (_, parsed) = parsed.map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let validity = parsed.validity();
        if seconds > validity.not_after.timestamp() || seconds < validity.not_before.timestamp() {
            return Err(Error::InvalidCertificate(CertificateError::Expired));
        }
        verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}
