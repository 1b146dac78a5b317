//! Many streams over one connection, whatever the wire.
//!
//! `state` is the pure core: buffers, half-closes, windows, wakers. `stream` has the handles that people hold,
//! `driver` the one task that moves bytes between the core and the connection.

mod driver;
mod state;
pub(crate) mod stream;

use bytes::BytesMut;
pub(crate) use state::State;
pub(crate) use stream::{Connection, Incoming};

use crate::spdy::{self, Headers};
use crate::websocket;

/// What the streams need of a wire. Pure: bytes in, events out, and what is to be sent appended to `out`.
pub(crate) trait Wire: Send {
    /// Takes the next event out of `input`; `None` when it needs more. What it leaves there is bounded.
    fn next(&mut self, input: &mut BytesMut, out: &mut BytesMut) -> Result<Option<Event>, Error>;
    /// Says what comes before everything else.
    fn greet(&mut self, _out: &mut BytesMut) {}
    /// Opens a stream, if streams can be opened here.
    fn open(&mut self, headers: &Headers, out: &mut BytesMut) -> Result<u32, Error>;
    /// Accepts a stream that the peer has opened.
    fn accept(&mut self, _id: u32, _out: &mut BytesMut) {}
    /// Refuses a stream that the peer has opened.
    fn refuse(&mut self, _id: u32, _out: &mut BytesMut) {}
    /// Sends `bytes`, and that they are the last if `finished`.
    fn data(&mut self, id: u32, bytes: &[u8], finished: bool, out: &mut BytesMut);
    /// Gives a stream up in both directions.
    fn reset(&mut self, _id: u32, _out: &mut BytesMut) {}
    /// Lets the peer send `bytes` more.
    fn grant(&mut self, _id: u32, _bytes: u32, _out: &mut BytesMut) {}
    /// Shows that we live, though we say nothing or do not read.
    fn alive(&mut self, out: &mut BytesMut);
    /// Says goodbye, once.
    fn farewell(&mut self, farewell: Farewell, out: &mut BytesMut);
}

/// What a peer has said.
#[derive(Debug, PartialEq)]
pub(crate) enum Event {
    /// It opens a stream.
    Opened { id: u32, headers: Headers, finished: bool },
    /// It accepts ours.
    Accepted { id: u32, finished: bool },
    /// A part of what it sends; the last one if `finished`.
    Data { id: u32, bytes: BytesMut, finished: bool },
    /// It gives the stream up.
    Reset { id: u32 },
    /// We may send so much more.
    Window { id: u32, delta: u32 },
    /// It keeps windows, of so many bytes at first.
    InitialWindow { bytes: u32 },
    /// It opens no more streams, and wants no more opened.
    NoMore,
    /// It has said goodbye: all streams end. As it should be, if `clean`.
    Ended { clean: bool },
}

/// Why we say goodbye.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Farewell {
    /// All is done.
    Done,
    /// The peer does not keep to the protocol.
    Violated,
}

/// Why a connection came to its end early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("SPDY: {0}")]
    Spdy(#[from] spdy::Error),
    #[error("WebSocket: {0}")]
    WebSocket(#[from] websocket::Error),
    #[error("channel message: {0}")]
    Channel(&'static str),
    #[error("the peer asks for answers and does not read them")]
    Flood,
    #[error("no more streams can be opened")]
    NoMoreStreams,
    #[error("read: {0}")]
    Read(std::io::Error),
    #[error("the peer closed the connection")]
    Eof,
    #[error("no byte for the idle time-out")]
    Idle,
    #[error("the peer did not close in time")]
    Linger,
}
