//! One HTTP request to a pod, certificates unchecked (pkg/probe/http).

use std::sync::Arc;

use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};

/// How much of an answer is read.
const BODY_BYTES_MAX: usize = 10 << 10;
/// How often a redirect is followed.
const REDIRECTS_MAX: usize = 10;

/// A GET request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Get {
    /// Whether over TLS.
    pub tls: bool,
    /// An address or a name.
    pub host: String,
    /// The port.
    pub port: u16,
    /// With the query, as the pod gives it.
    pub path: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
}

/// What came back.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body's beginning.
    pub body: String,
    /// Whether it redirects to another host, which is not followed.
    pub elsewhere: bool,
}

/// No answer came.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Nobody accepts the connection.
    #[error("Get {url:?}: dial tcp {address}: connect: {source}")]
    Dial {
        /// What was asked for.
        url: String,
        /// Where.
        address: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The handshake failed.
    #[error("Get {url:?}: tls: {source}")]
    Tls {
        /// What was asked for.
        url: String,
        /// Why.
        source: std::io::Error,
    },
    /// The other side does not speak HTTP, or broke off.
    #[error("Get {url:?}: {message}")]
    Exchange {
        /// What was asked for.
        url: String,
        /// What went wrong.
        message: String,
    },
}

/// Accepts any certificate: a probe asks whether someone answers, not who.
#[derive(Debug)]
struct AnyCertificate(WebPkiSupportedAlgorithms);

// === impl Get ===

impl Get {
    /// As Go shows it.
    pub fn url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}:{}{}", self.bracketed_host(), self.port, self.slashed_path())
    }

    fn bracketed_host(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }

    fn slashed_path(&self) -> String {
        if self.path.starts_with('/') { self.path.clone() } else { format!("/{}", self.path) }
    }

    /// Sends it, following redirects on the same host.
    pub async fn send(&self) -> Result<Answer, HttpError> {
        let mut get = self.clone();
        for _ in 0..REDIRECTS_MAX {
            let response = get.once().await?;
            let Some(location) = redirect(&response) else { return get.read(response).await };
            match get.follow(&location) {
                Some(next) => get = next,
                None => {
                    let status = response.status().as_u16();
                    return Ok(Answer { status, body: String::new(), elsewhere: true });
                }
            }
        }
        Err(HttpError::Exchange { url: self.url(), message: "stopped after 10 redirects".to_owned() })
    }

    fn follow(&self, location: &str) -> Option<Get> {
        let uri: Uri = location.parse().ok()?;
        let path = uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
        let mut next = Get { path, ..self.clone() };
        if let Some(host) = uri.host() {
            if host.trim_matches(['[', ']']) != self.host {
                return None;
            }
            next.tls = uri.scheme_str() == Some("https");
            next.port = uri.port_u16().unwrap_or(if next.tls { 443 } else { 80 });
        }
        Some(next)
    }

    async fn once(&self) -> Result<Response<hyper::body::Incoming>, HttpError> {
        let address = format!("{}:{}", self.bracketed_host(), self.port);
        let dialed = tokio::net::TcpStream::connect((self.host.as_str(), self.port)).await;
        let stream = dialed.map_err(|source| HttpError::Dial { url: self.url(), address, source })?;
        if !self.tls {
            return self.exchange(stream).await;
        }
        let name = ServerName::try_from(self.host.clone())
            .map_err(|error| HttpError::Exchange { url: self.url(), message: error.to_string() })?;
        let connector = tokio_rustls::TlsConnector::from(Arc::new(tls_config()));
        let stream = connector
            .connect(name, stream)
            .await
            .map_err(|source| HttpError::Tls { url: self.url(), source })?;
        self.exchange(stream).await
    }

    async fn exchange<S>(&self, stream: S) -> Result<Response<hyper::body::Incoming>, HttpError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let failed = |error: &dyn std::fmt::Display| HttpError::Exchange {
            url: self.url(),
            message: error.to_string(),
        };
        let request = self.request().map_err(|error| failed(&error))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| failed(&error))?;
        // The connection is driven from here, so that it ends with the request.
        let mut connection = std::pin::pin!(connection);
        let mut response = std::pin::pin!(sender.send_request(request));
        tokio::select! {
            biased;
            response = &mut response => response.map_err(|error| failed(&error)),
            ended = &mut connection => match ended {
                Err(error) => Err(failed(&error)),
                Ok(()) => response.await.map_err(|error| failed(&error)),
            },
        }
    }

    fn request(&self) -> Result<Request<Empty<bytes::Bytes>>, http::Error> {
        let mut request = Request::get(self.slashed_path()).body(Empty::new())?;
        let headers = request.headers_mut();
        let host = HeaderValue::from_str(&format!("{}:{}", self.bracketed_host(), self.port))?;
        headers.insert(header::HOST, host);
        headers.insert(header::USER_AGENT, HeaderValue::from_static("kube-probe/1.36"));
        headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        for (name, value) in &self.headers {
            let name = HeaderName::from_bytes(name.as_bytes())?;
            // An empty value takes a default header away.
            if value.is_empty() && matches!(name, header::USER_AGENT | header::ACCEPT) {
                headers.remove(&name);
            } else {
                headers.insert(name, HeaderValue::from_str(value)?);
            }
        }
        Ok(request)
    }

    async fn read(&self, response: Response<hyper::body::Incoming>) -> Result<Answer, HttpError> {
        let status = response.status().as_u16();
        // The connection is closed by now; what has come with the head is enough for a message.
        let body = match Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await {
            Ok(body) => String::from_utf8_lossy(&body.to_bytes()).into_owned(),
            Err(_) => String::new(),
        };
        Ok(Answer { status, body, elsewhere: false })
    }
}

fn redirect(response: &Response<hyper::body::Incoming>) -> Option<String> {
    let follows = matches!(
        response.status(),
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    let location = response.headers().get(header::LOCATION).filter(|_| follows)?;
    location.to_str().ok().map(str::to_owned)
}

fn tls_config() -> rustls::ClientConfig {
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(AnyCertificate(provider.signature_verification_algorithms));
    let builder = rustls::ClientConfig::builder_with_provider(provider);
    let builder =
        builder.with_safe_default_protocol_versions().expect("the provider supports the default versions");
    builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
}

// === impl AnyCertificate ===

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
