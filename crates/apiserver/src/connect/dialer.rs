//! Opens connections to kubelets and endpoints, the one way out of the API server.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use decapod_api::Status;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::unverified::Unverified;
use crate::pki::Identity;

/// How long the other side may take to answer.
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// Opens connections.
pub struct Dialer {
    kubelets: TlsConnector,
    endpoints: TlsConnector,
}

// === impl Dialer ===

impl Dialer {
    /// Trusts kubelets whose certificate the cluster's CA has signed, and shows them `identity`.
    pub fn new(ca_pem: &str, identity: &Identity) -> Result<Dialer, String> {
        let mut roots = RootCertStore::empty();
        for certificate in rustls::pki_types::CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
            let certificate = certificate.map_err(|error| error.to_string())?;
            roots.add(certificate).map_err(|error| error.to_string())?;
        }
        let (chain, key) = identity.to_der().map_err(|error| error.to_string())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = || {
            ClientConfig::builder_with_provider(Arc::clone(&provider))
                .with_safe_default_protocol_versions()
                .map_err(|error| error.to_string())
        };
        let kubelets = config()?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .map_err(|error| error.to_string())?;
        let endpoints = config()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Unverified(Arc::clone(&provider))))
            .with_no_client_auth();
        Ok(Dialer { kubelets: Arc::new(kubelets).into(), endpoints: Arc::new(endpoints).into() })
    }

    /// A TLS connection to the kubelet at `address`, whose certificate has to name that address.
    pub async fn kubelet(&self, address: SocketAddr) -> Result<TlsStream<TcpStream>, Status> {
        self.tls(&self.kubelets, address).await
    }

    /// A TLS connection to a pod, whose certificate may be any.
    pub async fn endpoint(&self, address: SocketAddr) -> Result<TlsStream<TcpStream>, Status> {
        self.tls(&self.endpoints, address).await
    }

    async fn tls(
        &self,
        connector: &TlsConnector,
        address: SocketAddr,
    ) -> Result<TlsStream<TcpStream>, Status> {
        let stream = self.plain(address).await?;
        let name = ServerName::IpAddress(address.ip().into());
        let handshake = tokio::time::timeout(DIAL_TIMEOUT, connector.connect(name, stream)).await;
        handshake
            .map_err(|_| unreachable_at(address, "TLS handshake timed out"))?
            .map_err(|error| unreachable_at(address, &error.to_string()))
    }

    /// A plain connection.
    pub async fn plain(&self, address: SocketAddr) -> Result<TcpStream, Status> {
        match tokio::time::timeout(DIAL_TIMEOUT, self.connect(address)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(unreachable_at(address, &error.to_string())),
            Err(_) => Err(unreachable_at(address, "timed out")),
        }
    }

    /// The same for those who time it themselves.
    pub async fn connect(&self, address: SocketAddr) -> std::io::Result<TcpStream> {
        let stream = TcpStream::connect(address).await?;
        if let Err(error) = decapod_sys::tcp::set_up(&stream) {
            tracing::debug!(%error, "socket options");
        }
        Ok(stream)
    }
}

/// Whether proxying to `address` is refused: it would reach the server's own machine or its neighbours' metadata
/// (upstream's `IsProxyableIP`).
pub fn is_refused(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() || v4.is_multicast(),
        IpAddr::V6(v6) => {
            v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_multicast()
                || (v6.segments()[0] & 0xffc0) == 0xfe80
        }
    }
}

fn unreachable_at(address: SocketAddr, why: &str) -> Status {
    Status::internal(format!("error dialing backend {address}: {why}"))
}
