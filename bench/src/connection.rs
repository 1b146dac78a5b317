//! Connections of a client: TLS and HTTP/1.1 or HTTP/2 over loopback.
//!
//! Whom it talks to is not verified: it is the server that was just started here. The cipher is fixed, so that both
//! sides encrypt alike.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use decapod_sys::Env;
use http::header::{HOST, HeaderValue};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::Error;

/// The version of HTTP that a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http {
    /// HTTP/1.1: one request at a time.
    One,
    /// HTTP/2.
    Two,
}

/// A server, and as whom it is asked.
#[derive(Clone)]
pub struct Target {
    /// Where it listens.
    pub address: SocketAddr,
    config: Arc<ClientConfig>,
}

/// One connection. Those of HTTP/2 are shared by cloning.
pub enum Connection {
    /// HTTP/1.1.
    One(http1::SendRequest<Full<Bytes>>),
    /// HTTP/2.
    Two(http2::SendRequest<Full<Bytes>>),
}

/// What Go's client, and so client-go, allows a server to send ahead.
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 1 << 30;

// === impl Target ===

impl Target {
    /// The server at `port`, asked with a client certificate, or by nobody.
    pub fn new(port: u16, identity: Option<(&Path, &Path)>) -> Result<Target, Error> {
        let setup = |error: &dyn std::fmt::Display| Error::Setup(error.to_string());
        let suites = vec![ring::cipher_suite::TLS13_AES_128_GCM_SHA256];
        let provider = CryptoProvider { cipher_suites: suites, ..ring::default_provider() };
        let builder = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| setup(&error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anyone));
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some((cert, key)) => {
                let chain = CertificateDer::pem_file_iter(cert)
                    .and_then(Iterator::collect)
                    .map_err(|error| setup(&format!("{}: {error}", cert.display())))?;
                let key = PrivateKeyDer::from_pem_file(key)
                    .map_err(|error| setup(&format!("{}: {error}", key.display())))?;
                builder.with_client_auth_cert(chain, key).map_err(|error| setup(&error))?
            }
        };
        Ok(Target { address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)), config: Arc::new(config) })
    }

    /// Opens a connection.
    pub async fn connect(&self, env: &Env, http: Http) -> Result<Connection, Error> {
        let failed = |error: &dyn std::fmt::Display| Error::Server(format!("connecting: {error}"));
        let stream = TcpStream::connect(self.address).await.map_err(|error| failed(&error))?;
        stream.set_nodelay(true).map_err(|error| failed(&error))?;
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols = vec![match http {
            Http::One => b"http/1.1".to_vec(),
            Http::Two => b"h2".to_vec(),
        }];
        let name = ServerName::from(self.address.ip());
        let tls = TlsConnector::from(Arc::new(config));
        let stream = TokioIo::new(tls.connect(name, stream).await.map_err(|error| failed(&error))?);
        match http {
            Http::One => {
                let (sender, connection) = http1::handshake(stream).await.map_err(|error| failed(&error))?;
                env.spawn("connection", async move { drop(connection.await) });
                Ok(Connection::One(sender))
            }
            Http::Two => {
                let (sender, connection) = http2::Builder::new(TokioExecutor::new())
                    .initial_stream_window_size(STREAM_WINDOW_BYTES)
                    .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
                    .handshake(stream)
                    .await
                    .map_err(|error| failed(&error))?;
                env.spawn("connection", async move { drop(connection.await) });
                Ok(Connection::Two(sender))
            }
        }
    }
}

// === impl Connection ===

impl Connection {
    /// The same connection, where it can be shared.
    pub fn share(&self) -> Option<Connection> {
        match self {
            Connection::One(_) => None,
            Connection::Two(sender) => Some(Connection::Two(sender.clone())),
        }
    }

    /// Sends a request and returns its answer, whose body may be still to come. Anything but success is an error.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Error> {
        let what = format_args!("{} {}", request.method(), request.uri()).to_string();
        let answer = match self {
            Connection::One(sender) => {
                sender.ready().await.map_err(|error| Error::Server(error.to_string()))?;
                sender.send_request(origin_form(request)).await
            }
            Connection::Two(sender) => sender.send_request(request).await,
        };
        let response = answer.map_err(|error| Error::Server(format!("{what}: {error}")))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let text = response.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        Err(Error::Server(format!("{what}: {status}: {}", String::from_utf8_lossy(&text))))
    }

    /// Sends a request and reads its answer whole; returns the code.
    pub async fn whole(&mut self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), Error> {
        let response = self.send(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|error| Error::Server(error.to_string()))?;
        Ok((status, body.to_bytes()))
    }
}

/// A request as HTTP/1.1 wants it: the path alone, and the host in a header.
fn origin_form(mut request: Request<Full<Bytes>>) -> Request<Full<Bytes>> {
    let path = request.uri().path_and_query().cloned().map_or_else(Uri::default, Uri::from);
    *request.uri_mut() = path;
    request.headers_mut().insert(HOST, HeaderValue::from_static("127.0.0.1"));
    request
}

/// Reads a body to its end without keeping it; returns its length.
pub async fn drain(mut body: Incoming) -> Result<u64, Error> {
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Error::Server(format!("reading an answer: {error}")))?;
        bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
    }
    Ok(bytes)
}

/// Takes every server for the right one.
#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer,
        _intermediates: &[CertificateDer],
        _server_name: &ServerName,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
