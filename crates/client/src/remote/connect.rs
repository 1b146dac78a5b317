//! Connections: TCP, TLS with the cluster's own certificates, HTTP/2 where the server speaks it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use decapod_sys::Env;
use futures::future::BoxFuture;
use http::Uri;
use http_body_util::Full;
use hyper::rt::{Executor, Read, ReadBufCursor, Write};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tower_service::Service;

use super::RemoteConfig;
use crate::certified::CertifiedFiles;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection is silent before it is asked whether it is alive, and how long it has to answer.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
const KEEP_ALIVE_ANSWER: Duration = Duration::from_secs(15);
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);
/// Large lists should not wait for the window to open again.
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;

/// Why a [`RemoteConfig`] is of no use.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The server's address is no URL of http or https.
    #[error("server address {server:?}: {why}")]
    Server {
        /// As given.
        server: String,
        /// What is wrong with it.
        why: String,
    },
    /// The certificate authority cannot be read.
    #[error("certificate authority: {0}")]
    Authority(String),
    /// Our certificate or its key cannot be read or do not belong together.
    #[error("client certificate: {0}")]
    Certificate(String),
}

/// Makes connections.
#[derive(Clone)]
pub(super) struct TlsConnector {
    tcp: HttpConnector,
    tls: Option<(tokio_rustls::TlsConnector, ServerName<'static>)>,
}

/// One connection.
pub(super) enum Stream {
    Plain(TokioIo<TcpStream>),
    Tls(Box<TokioIo<tokio_rustls::client::TlsStream<TcpStream>>>),
}

/// Runs hyper's tasks in the scope that the transport was made in.
#[derive(Clone)]
struct ScopedExecutor(Env);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

pub(super) fn client(
    env: &Env,
    config: &RemoteConfig,
) -> Result<legacy::Client<TlsConnector, Full<Bytes>>, RemoteError> {
    match config.server.starts_with("https:") {
        true => client_with(env, config, &tls_config(config)?),
        false => build(env, TlsConnector::new(config, None)?),
    }
}

/// A client whose TLS is `tls`.
pub(super) fn client_with(
    env: &Env,
    config: &RemoteConfig,
    tls: &rustls::ClientConfig,
) -> Result<legacy::Client<TlsConnector, Full<Bytes>>, RemoteError> {
    build(env, TlsConnector::new(config, Some(tls.clone()))?)
}

fn build(
    env: &Env,
    connector: TlsConnector,
) -> Result<legacy::Client<TlsConnector, Full<Bytes>>, RemoteError> {
    Ok(legacy::Client::builder(ScopedExecutor(env.clone()))
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .http2_initial_stream_window_size(STREAM_WINDOW_BYTES)
        .http2_initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .http2_keep_alive_timeout(KEEP_ALIVE_ANSWER)
        .build(connector))
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for ScopedExecutor {
    fn execute(&self, future: F) {
        self.0.spawn("connection", future);
    }
}

// === impl TlsConnector ===

impl TlsConnector {
    fn new(config: &RemoteConfig, tls: Option<rustls::ClientConfig>) -> Result<TlsConnector, RemoteError> {
        let wrong = |why: String| RemoteError::Server { server: config.server.clone(), why };
        let uri: Uri =
            config.server.parse().map_err(|error: http::uri::InvalidUri| wrong(error.to_string()))?;
        let host = uri.host().ok_or_else(|| wrong("it has no host".into()))?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(KEEP_ALIVE));
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let tls = match (uri.scheme_str(), tls) {
            (Some("http"), _) => None,
            (Some("https"), Some(mut tls)) => {
                tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
                let name = if config.tls_server_name.is_empty() { host } else { &config.tls_server_name };
                let name = ServerName::try_from(name.trim_matches(['[', ']']).to_owned())
                    .map_err(|error| wrong(error.to_string()))?;
                Some((tokio_rustls::TlsConnector::from(Arc::new(tls)), name))
            }
            _ => return Err(wrong("it begins with neither https:// nor http://".into())),
        };
        Ok(TlsConnector { tcp, tls })
    }
}

fn tls_config(config: &RemoteConfig) -> Result<rustls::ClientConfig, RemoteError> {
    let authority = |why: String| RemoteError::Authority(why);
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(config.ca_pem.as_bytes()) {
        let certificate = certificate.map_err(|error| authority(error.to_string()))?;
        roots.add(certificate).map_err(|error| authority(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(authority("none is given, so that the server could be anybody".into()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| authority(error.to_string()))?
        .with_root_certificates(roots);
    let wrong = |error: &dyn std::fmt::Display| RemoteError::Certificate(error.to_string());
    if let Some((cert, key)) = &config.client_files {
        let files = CertifiedFiles::open(cert.clone(), key.clone()).map_err(|error| wrong(&error))?;
        return Ok(builder.with_client_cert_resolver(files));
    }
    if config.client_cert_pem.is_empty() {
        return Ok(builder.with_no_client_auth());
    }
    let chain = CertificateDer::pem_slice_iter(config.client_cert_pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| wrong(&error))?;
    let key =
        PrivateKeyDer::from_pem_slice(config.client_key_pem.as_bytes()).map_err(|error| wrong(&error))?;
    builder.with_client_auth_cert(chain, key).map_err(|error| wrong(&error))
}

impl Service<Uri> for TlsConnector {
    type Response = Stream;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Stream, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (tcp, tls) = (self.tcp.call(uri), self.tls.clone());
        Box::pin(async move {
            let tcp = tcp.await?;
            let Some((connector, name)) = tls else {
                return Ok(Stream::Plain(tcp));
            };
            let stream =
                tokio::time::timeout(CONNECT_TIMEOUT, connector.connect(name, tcp.into_inner())).await??;
            Ok(Stream::Tls(Box::new(TokioIo::new(stream))))
        })
    }
}

// === impl Stream ===

impl Connection for Stream {
    fn connected(&self) -> Connected {
        match self {
            Stream::Tls(stream) if stream.inner().get_ref().1.alpn_protocol() == Some(b"h2") => {
                Connected::new().negotiated_h2()
            }
            _ => Connected::new(),
        }
    }
}

impl Read for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl Write for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
