//! The server's side of port-forward.

use std::collections::VecDeque;
use std::io;

use decapod_sys::Env;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Protocol;
use super::pairs::{Kind, Pair, Pairs, parse, request};
use crate::channels::{Channels, Format};
use crate::mux::{Connection, Incoming};
use crate::tunnel::Tunnel;
use crate::websocket::Side;
use crate::{Limits, Stream, Writer, spdy};

/// The connections that one client asks for. Those that are under way end when this is dropped.
pub struct PortForward {
    connection: Connection,
    pairs: Pairs<Stream>,
    /// Those that were asked for by the request itself.
    ready: VecDeque<Forward>,
    /// Ends with the last of those.
    alive: Option<mpsc::Receiver<()>>,
    limits: Limits,
}

/// A connection that the client asks for. Copy `data` both ways, then [`Forward::finish`] or [`Forward::fail`].
pub struct Forward {
    /// The pod's port.
    pub port: u16,
    /// What is sent to the port and what comes from it. 0 bytes when the client has sent all; an error of kind
    /// `ConnectionReset` when it has given up.
    pub data: Stream,
    error: Writer,
    _alive: Option<mpsc::Sender<()>>,
}

/// Serves `io`, where `protocol` has been agreed; `ports` are the request's, for [`Protocol::Channels`] alone. Its task
/// ends with `env`'s scope.
pub fn serve<IO>(env: &Env, io: IO, protocol: Protocol, ports: &[u16], limits: Limits) -> PortForward
where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let wire = Box::new(spdy::Session::server(&limits));
    match protocol {
        Protocol::Spdy => PortForward::new(Connection::start(env, io, wire, limits, &[]), limits),
        Protocol::Tunnel => {
            let tunnel = Tunnel::server(io, &limits);
            PortForward::new(Connection::start(env, tunnel, wire, limits, &[]), limits)
        }
        Protocol::Channels { base64 } => {
            let wire = Box::new(Channels::new(Side::Server, Format { base64, half_close: false }, &limits));
            // A pair of channels for each port, as many as a byte can tell.
            let ids: Vec<u32> = (0..ports.len().min(127) as u32 * 2).collect();
            let mut forward = PortForward::new(Connection::start(env, io, wire, limits, &ids), limits);
            let (sender, receiver) = mpsc::channel(1);
            for (pair, port) in ids.chunks(2).zip(ports) {
                let (data, error) =
                    (forward.connection.channel(pair[0]), forward.connection.channel(pair[1]));
                let _alive = Some(sender.clone());
                forward.ready.push_back(Forward { port: *port, data, error: error.into_writer(), _alive });
            }
            forward.alive = Some(receiver);
            forward
        }
    }
}

// === impl PortForward ===

impl PortForward {
    fn new(connection: Connection, limits: Limits) -> PortForward {
        PortForward { connection, pairs: Pairs::new(), ready: VecDeque::new(), alive: None, limits }
    }

    /// The next connection that the client asks for; `None` when it is gone, asks for no more, or (it asked for all
    /// at once) all are finished.
    pub async fn next(&mut self) -> Option<Forward> {
        if let Some(mut forward) = self.ready.pop_front() {
            // Both channels begin with the port, in little endian (upstream's handleWebSocketStreams).
            forward.data.write_all(&forward.port.to_le_bytes()).await.ok()?;
            forward.error.write_all(&forward.port.to_le_bytes()).await.ok()?;
            return Some(forward);
        }
        if let Some(alive) = &mut self.alive {
            let gone = self.connection.done();
            tokio::select! {
                biased;
                () = gone.cancelled() => {}
                _ = alive.recv() => {}
            }
            return None;
        }
        loop {
            let deadline = self.pairs.deadline();
            let timer = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            let incoming = tokio::select! {
                biased;
                incoming = self.connection.incoming() => Some(incoming?),
                () = timer => None,
            };
            match incoming {
                None => self.expire().await,
                Some(incoming) => {
                    if let Some(Pair { port, data, error }) = self.add(incoming) {
                        return Some(Forward { port, data, error: error.into_writer(), _alive: None });
                    }
                }
            }
        }
    }

    /// Adds a stream to those that wait for their other half; the pair, if it was it.
    fn add(&mut self, incoming: Incoming) -> Option<Pair<Stream>> {
        let headers = &incoming.headers;
        let (port, kind) = match parse(headers.get("port"), headers.get("streamtype")) {
            Ok(parsed) => parsed,
            Err(error) => {
                tracing::info!(%error, "port-forward stream refused");
                return None;
            }
        };
        let request = request(headers.get("requestid"), kind, incoming.id());
        let deadline = Instant::now() + self.limits.stream_creation;
        match self.pairs.add(request.clone(), kind, port, incoming.accept(), deadline) {
            Ok(pair) => pair,
            Err(_) => {
                tracing::info!(request, ?kind, "port-forward stream already assigned");
                None
            }
        }
    }

    /// Gives up those that have waited too long.
    async fn expire(&mut self) {
        while let Some((request, kind, stream)) = self.pairs.expired(Instant::now()) {
            let message = format!("(request={request}) timed out waiting for streams");
            tracing::info!(message, "port-forward");
            if kind == Kind::Error {
                say(stream.into_writer(), &message).await;
            }
        }
    }

    /// Ends when the client is gone, whoever holds the streams.
    pub fn gone(&self) -> CancellationToken {
        self.connection.done()
    }

    /// Says goodbye and waits until the client has it all.
    pub async fn close(self) {
        self.connection.close().await;
    }
}

// === impl Forward ===

impl Forward {
    /// All went well, and all is written.
    pub async fn finish(mut self) -> io::Result<()> {
        self.data.shutdown().await
    }

    /// It did not: tells the client why and gives the connection up. Upstream's kubelet says
    /// `error forwarding port PORT to pod POD, uid UID: WHY`.
    pub async fn fail(self, message: &str) {
        say(self.error, message).await;
    }
}

/// Writes a message, if anybody is there to read it.
async fn say(mut error: Writer, message: &str) {
    if let Err(error) = error.write_all(message.as_bytes()).await {
        tracing::debug!(%error, "message not written");
    }
}
