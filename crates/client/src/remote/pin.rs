//! The authority of a cluster of which only a hash is known: what a machine needs that joins it.
//!
//! Every cluster that `kubeadm` or we have made publishes its authority to everybody, in the ConfigMap `cluster-info`
//! of `kube-public`. It is fetched from a server that could be anybody, and counts only if it has the hash.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use decapod_sys::Env;
use http_body_util::{BodyExt, Full, Limited};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::connect::{self, RemoteError};
use super::{ANSWER_TIMEOUT, RemoteConfig};

/// The SHA-256 hash of an authority's public key (its SubjectPublicKeyInfo), as `kubeadm` pins it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin([u8; 32]);

/// Why the authority is not known.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// The address is of no use.
    #[error(transparent)]
    Server(#[from] RemoteError),
    /// Nobody answers, or not with what was asked for.
    #[error("{server} does not say which authority its cluster has: {why}")]
    Unknown {
        /// Who was asked.
        server: String,
        /// Why not.
        why: String,
    },
    /// It is another cluster, or somebody in between.
    #[error("{server} is of another cluster than the token: its authority has the hash sha256:{found}")]
    Differs {
        /// Who was asked.
        server: String,
        /// What it has.
        found: String,
    },
}

/// Longest answer that is read.
const ANSWER_BYTES_MAX: usize = 1 << 20;
const CLUSTER_INFO: &str = "/api/v1/namespaces/kube-public/configmaps/cluster-info";

/// The authority, in PEM, of the cluster of `server`, if its public key has the hash `pin`.
pub async fn pinned_authority(env: &Env, server: &str, pin: &Pin) -> Result<String, PinError> {
    let unknown = |why: String| PinError::Unknown { server: server.to_owned(), why };
    let config = RemoteConfig { server: server.to_owned(), ..RemoteConfig::default() };
    let http = connect::client_with(env, &config, &anybody()?)?;
    let uri = format!("{}{CLUSTER_INFO}", server.trim_end_matches('/'));
    let request =
        http::Request::get(uri).body(Full::new(Bytes::new())).map_err(|error| unknown(error.to_string()))?;
    let exchange = async {
        let response = http.request(request).await.map_err(|error| unknown(describe(&error)))?;
        let status = response.status();
        if !status.is_success() {
            return Err(unknown(format!("it answers {status}; is cluster-info published?")));
        }
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        body.map(|body| body.to_bytes()).map_err(|error| unknown(error.to_string()))
    };
    let body =
        tokio::time::timeout(ANSWER_TIMEOUT, exchange).await.map_err(|_| unknown("no answer".into()))??;
    let pem = authority(&body)
        .ok_or_else(|| unknown("cluster-info holds no kubeconfig with an authority".into()))?;
    let pins: Vec<Pin> = CertificateDer::pem_slice_iter(pem.as_bytes())
        .filter_map(|certificate| Pin::of(&certificate.ok()?))
        .collect();
    match pins.contains(pin) {
        true => Ok(pem),
        false => {
            let found = pins.first().map(ToString::to_string).unwrap_or_default();
            Err(PinError::Differs { server: server.to_owned(), found })
        }
    }
}

/// The authority of the one cluster of the kubeconfig in a ConfigMap.
fn authority(body: &[u8]) -> Option<String> {
    let map: serde_json::Value = serde_json::from_slice(body).ok()?;
    let config: serde_json::Value = serde_norway::from_str(map["data"]["kubeconfig"].as_str()?).ok()?;
    let data = config["clusters"][0]["cluster"]["certificate-authority-data"].as_str()?;
    String::from_utf8(STANDARD.decode(data.trim()).ok()?).ok()
}

fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

// === impl Pin ===

impl Pin {
    /// The pin of a certificate.
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Pin> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        let digest = ring::digest::digest(&ring::digest::SHA256, parsed.public_key().raw);
        digest.as_ref().try_into().ok().map(Pin)
    }

    /// The pin of the first certificate in PEM.
    pub fn of_pem(pem: &str) -> Option<Pin> {
        Pin::of(&CertificateDer::from_pem_slice(pem.as_bytes()).ok()?)
    }
}

impl std::fmt::Display for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::str::FromStr for Pin {
    type Err = ();

    /// 64 hexadecimal digits.
    fn from_str(text: &str) -> Result<Pin, ()> {
        if text.len() != 64 || !text.is_ascii() {
            return Err(());
        }
        let mut bytes = [0; 32];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).map_err(drop)?;
        }
        Ok(Pin(bytes))
    }
}

/// Takes anybody's certificate. Nothing that is secret may be said, and nothing that is heard believed.
#[derive(Debug)]
struct Anybody;

fn anybody() -> Result<rustls::ClientConfig, RemoteError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| RemoteError::Authority(error.to_string()))?;
    Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody)).with_no_client_auth())
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_read_as_they_are_written() {
        let text = "00ff".repeat(16);
        assert_eq!(text.parse::<Pin>().map(|pin| pin.to_string()), Ok(text));
        assert!("00".parse::<Pin>().is_err());
        assert!("zz".repeat(32).parse::<Pin>().is_err());
    }
}
