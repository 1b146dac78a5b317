//! The client's side of port-forward.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use decapod_sys::Env;
use http::{HeaderMap, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::{NAME, Protocol, TUNNELLED};
use crate::mux::Connection;
use crate::spdy::Headers;
use crate::tunnel::Tunnel;
use crate::upgrade::{Offer, OfferError};
use crate::{Limits, Reader, Stream, spdy};

/// A connection to a pod's port-forward, over which connections to its ports are opened.
pub struct Client {
    connection: Connection,
    requests: AtomicU64,
    limits: Limits,
}

/// A connection to one of the pod's ports.
pub struct Forwarded {
    /// What is sent to the port and what comes from it.
    pub data: Stream,
    error: Reader,
}

/// No message is longer.
const MAX_MESSAGE_BYTES: u64 = 1 << 16;

/// What to send for port-forward over SPDY.
pub fn offer_spdy() -> Offer {
    Offer::spdy(&[NAME])
}

/// What to send for port-forward over SPDY within WebSocket.
pub fn offer_tunnel(env: &Env) -> Offer {
    Offer::web_socket(env, &[TUNNELLED])
}

impl Offer {
    /// What the answer to an offer for port-forward takes up.
    pub fn port_forward(&self, code: StatusCode, headers: &HeaderMap) -> Result<Protocol, OfferError> {
        self.agreed(code, headers)?;
        Ok(if self.is_web_socket() { Protocol::Tunnel } else { Protocol::Spdy })
    }
}

/// Takes `io`, where `protocol` has been agreed; [`Protocol::Channels`] is not for clients of ours and taken for SPDY.
/// Its task ends with `env`'s scope.
pub fn connect<IO>(env: &Env, io: IO, protocol: Protocol, limits: Limits) -> Client
where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let wire = Box::new(spdy::Session::client(&limits));
    let connection = match protocol {
        Protocol::Tunnel => Connection::start(env, Tunnel::client(env, io, &limits), wire, limits, &[]),
        Protocol::Spdy | Protocol::Channels { .. } => Connection::start(env, io, wire, limits, &[]),
    };
    Client { connection, requests: AtomicU64::new(0), limits }
}

// === impl Client ===

impl Client {
    /// Opens a connection to the pod's `port`.
    pub async fn forward(&self, port: u16) -> io::Result<Forwarded> {
        let (port, request) = (port.to_string(), self.requests.fetch_add(1, Ordering::Relaxed).to_string());
        let error = self.open("error", &port, &request).await?;
        // Nothing is written to it.
        self.connection.finish(&[error.id()]);
        let data = self.open("data", &port, &request).await?;
        Ok(Forwarded { data, error: error.into_reader() })
    }

    async fn open(&self, kind: &str, port: &str, request: &str) -> io::Result<Stream> {
        let headers = Headers::new(&[("streamType", kind), ("port", port), ("requestID", request)]);
        let opened = tokio::time::timeout(self.limits.stream_creation, self.connection.open(&headers)).await;
        opened.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    /// Ends when the server is gone.
    pub fn gone(&self) -> CancellationToken {
        self.connection.done()
    }

    /// Says goodbye and waits until the server has closed.
    pub async fn close(self) {
        self.connection.close().await;
    }
}

// === impl Forwarded ===

impl Forwarded {
    /// Waits for what the server says went wrong; `None` when nothing did. Gives the connection up.
    pub async fn error(self) -> io::Result<Option<String>> {
        let Forwarded { data, error } = self;
        drop(data);
        let mut message = Vec::new();
        error.take(MAX_MESSAGE_BYTES).read_to_end(&mut message).await?;
        Ok((!message.is_empty()).then(|| String::from_utf8_lossy(&message).into_owned()))
    }
}
