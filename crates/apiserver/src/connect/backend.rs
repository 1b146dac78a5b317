//! An API server behind a service, over TLS: requests share a connection of HTTP/2 where it speaks that, as Go's client
//! does, and have one each of HTTP/1.1 where it does not.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use decapod_streams::onward::Onward;
use futures::TryStreamExt;
use http::header::HOST;
use http::{HeaderValue, Request, Uri};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::service::{self, explain, undialed};
use super::trust::{self, Terms};
use crate::http::{Body, Response};
use crate::pki::Identity;
use crate::server::Server;

/// How long opening a connection may take (upstream's dialer).
const DIAL_TIMEOUT: Duration = Duration::from_secs(30);
/// How many requests share a connection; servers in Go take 250, more than those would wait.
const SHARED_MAX: usize = 100;
/// How soon a connection is tried that carries nothing (client-go's `HTTP2_READ_IDLE_TIMEOUT_SECONDS`).
const PING_AFTER: Duration = Duration::from_secs(30);
/// How long the other side may take to answer that.
const PING_TIMEOUT: Duration = Duration::from_secs(15);

/// An API server behind a service.
pub struct Backend {
    namespace: String,
    name: String,
    port: u16,
    /// For requests, and for those that switch protocols, which only HTTP/1.1 can.
    tls: Result<[TlsConnector; 2], String>,
    shared: Mutex<BTreeMap<SocketAddr, Vec<Shared>>>,
}

/// A connection that requests share.
struct Shared {
    sender: http2::SendRequest<Body>,
    /// One for each request that is under way, and this.
    uses: Arc<()>,
}

/// What became of a request on a connection that others share.
enum Tried {
    Answered(http::Response<Incoming>, Arc<()>),
    /// The connection ended before anything was sent.
    Unsent(Request<Body>),
}

// === impl Backend ===

impl Backend {
    /// The one at this port of a service, for whose certificate `bundle_pem` has to vouch unless `is_insecure`. The
    /// server shows itself as `identity`.
    pub fn new(
        (namespace, name, port): (&str, &str, u16),
        bundle_pem: &[u8],
        is_insecure: bool,
        identity: &Identity,
    ) -> Backend {
        let connector = |protocols: &[&[u8]]| {
            trust::connector(&Terms { bundle_pem, is_insecure, identity: Some(identity), protocols })
        };
        let both = || Ok([connector(&[b"h2", b"http/1.1"])?, connector(&[b"http/1.1"])?]);
        Backend {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            port,
            tls: both(),
            shared: Mutex::default(),
        }
    }

    /// Why nothing can be asked of it: its bundle or ours is none.
    pub fn broken(&self) -> Option<&str> {
        self.tls.as_ref().err().map(String::as_str)
    }

    /// Where it may be asked.
    pub async fn addresses(&self, server: &Server) -> Result<Vec<SocketAddr>, String> {
        service::addresses(server.env(), &*server.registry, &self.namespace, &self.name, self.port).await
    }

    /// Sends a request, whose URI is a path, and returns the answer once its headers are there.
    pub async fn send(
        &self,
        server: &Server,
        address: SocketAddr,
        request: Request<Body>,
    ) -> Result<Response, String> {
        let mut request = absolute(request, address)?;
        while let Some(shared) = self.take_shared(address) {
            match shared.send(request).await? {
                Tried::Answered(answer, lease) => return Ok(leased(answer, lease)),
                Tried::Unsent(back) => request = back,
            }
        }
        let stream = self.connect(server, address, 0).await?;
        if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return alone(server, stream, address, request).await;
        }
        let shared = share(server, stream).await?;
        let sent = shared.again();
        self.shared().entry(address).or_default().push(shared);
        match sent.send(request).await? {
            Tried::Answered(answer, lease) => Ok(leased(answer, lease)),
            Tried::Unsent(_) => Err("EOF".to_owned()),
        }
    }

    /// A connection of its own, for a request that switches protocols.
    pub async fn onward(
        &self,
        server: &Server,
        address: SocketAddr,
        path: &str,
    ) -> Result<Onward<TlsStream<TcpStream>>, String> {
        let io = self.connect(server, address, 1).await?;
        Ok(Onward { io, path: path.to_owned(), host: address.to_string() })
    }

    async fn connect(
        &self,
        server: &Server,
        address: SocketAddr,
        which: usize,
    ) -> Result<TlsStream<TcpStream>, String> {
        let connector = &self.tls.as_ref().map_err(Clone::clone)?[which];
        let name = ServerName::try_from(format!("{}.{}.svc", self.name, self.namespace));
        let name = name.map_err(|error| error.to_string())?;
        let opened = tokio::time::timeout(DIAL_TIMEOUT, async {
            let tcp = server.dialer.connect(address).await.map_err(|error| undialed(address, &error))?;
            connector.connect(name, tcp).await.map_err(|error| trust::explain(&error))
        });
        opened.await.unwrap_or_else(|_| Err(format!("dial tcp {address}: i/o timeout")))
    }

    /// A connection to `address` that has room for a request.
    fn take_shared(&self, address: SocketAddr) -> Option<Shared> {
        let mut all = self.shared();
        all.retain(|_, some| {
            some.retain(|shared| !shared.sender.is_closed());
            !some.is_empty()
        });
        let some = all.get(&address)?;
        some.iter().find(|shared| Arc::strong_count(&shared.uses) <= SHARED_MAX).map(Shared::again)
    }

    fn shared(&self) -> MutexGuard<'_, BTreeMap<SocketAddr, Vec<Shared>>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Shared ===

impl Shared {
    fn again(&self) -> Shared {
        Shared { sender: self.sender.clone(), uses: self.uses.clone() }
    }

    async fn send(mut self, request: Request<Body>) -> Result<Tried, String> {
        if self.sender.ready().await.is_err() {
            return Ok(Tried::Unsent(request));
        }
        match self.sender.try_send_request(request).await {
            Ok(answer) => Ok(Tried::Answered(answer, self.uses)),
            Err(mut failed) => match failed.take_message() {
                Some(request) => Ok(Tried::Unsent(request)),
                None => Err(explain(failed.error())),
            },
        }
    }
}

async fn share(server: &Server, stream: TlsStream<TcpStream>) -> Result<Shared, String> {
    let handshake = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_AFTER)
        .keep_alive_timeout(PING_TIMEOUT)
        .handshake(TokioIo::new(stream));
    let (sender, connection) = handshake.await.map_err(|error| explain(&error))?;
    server.env().spawn("aggregated", async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection to an aggregated API server");
        }
    });
    Ok(Shared { sender, uses: Arc::default() })
}

/// The answer to the only request of a connection.
async fn alone(
    server: &Server,
    stream: TlsStream<TcpStream>,
    address: SocketAddr,
    mut request: Request<Body>,
) -> Result<Response, String> {
    let host = HeaderValue::from_str(&address.to_string()).map_err(|error| error.to_string())?;
    request.headers_mut().insert(HOST, host);
    *request.uri_mut() = request.uri().path_and_query().cloned().map(Uri::from).unwrap_or_default();
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| explain(&error))?;
    server.env().spawn("aggregated", async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection to an aggregated API server");
        }
    });
    let mut answer = sender.send_request(request).await.map_err(|error| explain(&error))?;
    *answer.headers_mut() = decapod_streams::onward::carried(answer.headers());
    Ok(super::forward::handed_on(answer))
}

/// HTTP/2 names the host in the request line.
fn absolute(mut request: Request<Body>, address: SocketAddr) -> Result<Request<Body>, String> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let uri = Uri::builder().scheme("https").authority(address.to_string()).path_and_query(path).build();
    *request.uri_mut() = uri.map_err(|error| error.to_string())?;
    Ok(request)
}

/// The answer, which counts for its connection until it ends.
fn leased(answer: http::Response<Incoming>, lease: Arc<()>) -> Response {
    let (parts, body) = answer.into_parts();
    let frames = body.into_data_stream().map_err(io::Error::other).map_ok(move |data| {
        let _under_way = &lease;
        Frame::data(data)
    });
    http::Response::from_parts(parts, StreamBody::new(frames).boxed_unsync())
}
