//! The server's side of exec and attach.

use std::collections::BTreeMap;
use std::io;

use decapod_sys::Env;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use super::{Options, Outcome, Protocol, Resizes, Version, channel};
use crate::channels::{Channels, Format};
use crate::mux::{Connection, Incoming};
use crate::websocket::Side;
use crate::{Limits, Reader, Stream, Writer, spdy};

/// A command's streams, whatever the wire. Take each out and use it by itself; then say how the command ended with
/// [`RemoteCommand::finish`]. Dropped without that, the client sees the connection end.
pub struct RemoteCommand {
    /// What the client sends; 0 bytes when it has sent all (over WebSocket only from v5 on), an error when it is gone.
    pub stdin: Option<Reader>,
    /// What the command writes.
    pub stdout: Option<Writer>,
    /// What it writes as errors.
    pub stderr: Option<Writer>,
    /// The sizes of the client's terminal.
    pub resize: Option<Resizes>,
    /// Whether there is a terminal.
    pub tty: bool,
    error: Writer,
    version: Version,
    /// The streams on the wire, to be finished at the end.
    ids: Vec<u32>,
    connection: Connection,
}

/// Why a command's streams did not come about.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The client did not open them in time.
    #[error("timed out waiting for client to create streams")]
    Timeout,
    /// The client is gone.
    #[error("the client ended the connection before it had opened its streams")]
    Gone,
}

/// Serves a command's streams on `io`, where `protocol` has been agreed. Its task ends with `env`'s scope.
pub async fn serve<IO>(
    env: &Env,
    io: IO,
    protocol: Protocol,
    options: Options,
    limits: Limits,
) -> Result<RemoteCommand, ServeError>
where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let version = protocol.version();
    let (connection, streams) = match protocol {
        Protocol::Spdy(_) => {
            let wire = Box::new(spdy::Session::server(&limits));
            let connection = Connection::start(env, io, wire, limits, &[]);
            let wait = opened(&connection, options, version);
            let streams = tokio::time::timeout(limits.stream_creation, wait)
                .await
                .map_err(|_| ServeError::Timeout)??;
            (connection, streams)
        }
        Protocol::WebSocket { base64, .. } => {
            let format = Format { base64, half_close: version >= Version::V5 };
            let wire = Box::new(Channels::new(Side::Server, format, &limits));
            // WebSocket has the resize channel whatever the version (upstream's createChannels).
            let ids: Vec<u32> = options.channels(Version::V5).map(|(_, id)| id).collect();
            let connection = Connection::start(env, io, wire, limits, &ids);
            // The client hears that it is connected by an empty message on the lowest channel that we write.
            let lowest = ids.iter().filter(|id| (channel::STDOUT..=channel::ERROR).contains(*id)).min();
            connection.write_empty(*lowest.unwrap_or(&channel::ERROR));
            let streams = ids.iter().map(|id| (*id, connection.channel(*id))).collect();
            (connection, streams)
        }
    };
    RemoteCommand::new(connection, streams, options, version)
}

/// Waits until the client has opened what `options` ask for.
async fn opened(
    connection: &Connection,
    options: Options,
    version: Version,
) -> Result<BTreeMap<u32, Stream>, ServeError> {
    let expected: Vec<(&str, u32)> = options.channels(version).collect();
    let mut streams = BTreeMap::new();
    while streams.len() < expected.len() {
        let incoming = connection.incoming().await.ok_or(ServeError::Gone)?;
        if let Some(id) = wanted(&incoming, &expected).filter(|id| !streams.contains_key(id)) {
            streams.insert(id, incoming.accept());
        }
    }
    Ok(streams)
}

/// Which of the expected streams it is, if one.
fn wanted(incoming: &Incoming, expected: &[(&str, u32)]) -> Option<u32> {
    let kind = incoming.headers.get("streamtype");
    let found = expected.iter().find(|(name, _)| *name == kind);
    if found.is_none() {
        tracing::debug!(kind, "unexpected stream type");
    }
    found.map(|(_, id)| *id)
}

// === impl RemoteCommand ===

impl RemoteCommand {
    fn new(
        connection: Connection,
        mut streams: BTreeMap<u32, Stream>,
        options: Options,
        version: Version,
    ) -> Result<RemoteCommand, ServeError> {
        let ids = streams.values().map(Stream::id).collect();
        let mut reader = |id| streams.remove(&id).map(Stream::into_reader);
        let (stdin, resize) = (reader(channel::STDIN), reader(channel::RESIZE).map(Resizes::new));
        let mut writer = |id| streams.remove(&id).map(Stream::into_writer);
        Ok(RemoteCommand {
            stdin,
            stdout: writer(channel::STDOUT),
            stderr: writer(channel::STDERR),
            resize,
            tty: options.tty,
            error: writer(channel::ERROR).ok_or(ServeError::Gone)?,
            version,
            ids,
            connection,
        })
    }

    /// Ends when the client is gone, whoever holds the streams.
    pub fn gone(&self) -> CancellationToken {
        self.connection.done()
    }

    /// Says how the command ended, ends all streams and waits until the client has it all. Call it once everything
    /// is written to stdout and stderr.
    pub async fn finish(mut self, outcome: Outcome) -> io::Result<()> {
        let message = outcome.encode(self.version);
        let written = self.error.write_all(&message).await;
        self.connection.finish(&self.ids);
        self.connection.close().await;
        written
    }
}
