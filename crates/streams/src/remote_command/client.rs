//! The client's side of exec and attach.

use std::collections::BTreeMap;
use std::io;

use decapod_sys::Env;
use http::{HeaderMap, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

use super::{Options, Outcome, OutcomeError, Protocol, Resizer, SPDY, Version, channel};
use crate::channels::{Channels, Format};
use crate::mux::Connection;
use crate::spdy::Headers;
use crate::upgrade::{Offer, OfferError};
use crate::websocket::Side;
use crate::{Limits, Reader, Stream, Writer, spdy};

/// A remote command's streams, whatever the wire. Take each out and use it by itself; [`Session::outcome`] says how
/// the command ended. The connection ends when this is dropped.
pub struct Session {
    /// What the command reads. Shut it down, or drop it, when all is sent.
    pub stdin: Option<Writer>,
    /// What the command writes; 0 bytes at its end.
    pub stdout: Option<Reader>,
    /// What it writes as errors.
    pub stderr: Option<Reader>,
    /// The terminal's size goes here.
    pub resize: Option<Resizer>,
    error: Reader,
    version: Version,
    _connection: Connection,
}

/// No status is longer.
const MAX_STATUS_BYTES: u64 = 1 << 20;

/// What to send for a remote command over SPDY.
pub fn offer_spdy() -> Offer {
    Offer::spdy(&SPDY.map(|(name, _)| name))
}

/// What to send for a remote command over WebSocket: v5, or v4 where that is not known.
pub fn offer_web_socket(env: &Env) -> Offer {
    Offer::web_socket(env, &["v5.channel.k8s.io", "v4.channel.k8s.io"])
}

impl Offer {
    /// What the answer to an offer for a remote command takes up.
    pub fn remote_command(&self, code: StatusCode, headers: &HeaderMap) -> Result<Protocol, OfferError> {
        let name = self.agreed(code, headers)?;
        Ok(if self.is_web_socket() { super::web_socket(name) } else { super::spdy(name) })
    }
}

/// Opens a command's streams on `io`, where `protocol` has been agreed. Its task ends with `env`'s scope.
pub async fn connect<IO>(
    env: &Env,
    io: IO,
    protocol: Protocol,
    options: Options,
    limits: Limits,
) -> io::Result<Session>
where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let version = protocol.version();
    let mut streams = BTreeMap::new();
    let connection = match protocol {
        Protocol::Spdy(_) => {
            let wire = Box::new(spdy::Session::client(&limits));
            let connection = Connection::start(env, io, wire, limits, &[]);
            let open = async {
                for (name, id) in options.channels(version) {
                    streams.insert(id, connection.open(&Headers::new(&[("streamType", name)])).await?);
                }
                io::Result::Ok(())
            };
            let opened = tokio::time::timeout(limits.stream_creation, open).await;
            opened.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
            connection
        }
        Protocol::WebSocket { base64, .. } => {
            let format = Format { base64, half_close: version >= Version::V5 };
            let wire = Box::new(Channels::new(Side::Client(env.clone()), format, &limits));
            let ids: Vec<u32> = options.channels(version).map(|(_, id)| id).collect();
            let connection = Connection::start(env, io, wire, limits, &ids);
            streams.extend(ids.iter().map(|id| (*id, connection.channel(*id))));
            connection
        }
    };
    let mut writer = |id| streams.remove(&id).map(Stream::into_writer);
    let (stdin, resize) = (writer(channel::STDIN), writer(channel::RESIZE).map(Resizer));
    let mut reader = |id| streams.remove(&id).map(Stream::into_reader);
    let (stdout, stderr) = (reader(channel::STDOUT), reader(channel::STDERR));
    let error = reader(channel::ERROR).ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))?;
    Ok(Session { stdin, stdout, stderr, resize, error, version, _connection: connection })
}

// === impl Session ===

impl Session {
    /// Waits until the server says how the command ended. Read stdout and stderr to their ends beside it or before.
    pub async fn outcome(&mut self) -> Result<Outcome, OutcomeError> {
        let mut message = Vec::new();
        let read = (&mut self.error).take(MAX_STATUS_BYTES).read_to_end(&mut message).await;
        // What is there counts, however the connection ended after it.
        if message.is_empty() {
            read?;
        }
        Outcome::decode(self.version, &message)
    }
}
