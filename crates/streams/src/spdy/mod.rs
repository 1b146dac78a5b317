//! SPDY/3.1 as spdystream speaks it (github.com/moby/spdystream).
//!
//! Peers of ours announce their window with SETTINGS and then both sides keep windows. Upstream's neither announce
//! nor grant, so nothing is held back for them; they ignore what they do not know.

mod decode;
mod dictionary;
mod encode;
mod headers;
mod session;

use bytes::BytesMut;
pub(crate) use decode::Decoder;
pub(crate) use encode::Encoder;
pub(crate) use headers::Headers;
pub(crate) use session::Session;

/// One frame. Data comes in parts, as it arrives; `finished` is on the last part.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Frame {
    SynStream { id: u32, finished: bool, headers: Headers },
    SynReply { id: u32, finished: bool },
    Headers { id: u32, finished: bool },
    Reset { id: u32, status: u32 },
    Settings { initial_window: Option<u32> },
    Ping { id: u32 },
    GoAway { last: u32, status: u32 },
    Window { id: u32, delta: u32 },
    Data { id: u32, bytes: BytesMut, finished: bool },
}

/// Why a peer's bytes make no sense. Nothing after it can be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("control frame of version {0}, not 3")]
    Version(u16),
    #[error("control frame of {bytes} bytes, more than {max}")]
    ControlTooLong { bytes: usize, max: usize },
    #[error("control frame of type {0} with a wrong length")]
    ControlLength(u16),
    #[error("stream 0")]
    StreamZero,
    #[error("headers do not inflate: {0}")]
    Inflate(String),
    #[error("headers of more than {0} bytes")]
    HeadersTooLong(usize),
    #[error("headers of a wrong form")]
    HeadersMalformed,
}

/// Control frame types.
pub(crate) mod kind {
    pub const SYN_STREAM: u16 = 1;
    pub const SYN_REPLY: u16 = 2;
    pub const RST_STREAM: u16 = 3;
    pub const SETTINGS: u16 = 4;
    pub const PING: u16 = 6;
    pub const GOAWAY: u16 = 7;
    pub const HEADERS: u16 = 8;
    pub const WINDOW_UPDATE: u16 = 9;
}

/// The flag that says: nothing more from this side.
pub(crate) const FLAG_FIN: u8 = 1;

/// The id of the one setting that we know.
pub(crate) const SETTING_INITIAL_WINDOW: u32 = 7;

/// The statuses of RST_STREAM that we send.
pub(crate) mod status {
    pub const PROTOCOL_ERROR: u32 = 1;
    pub const REFUSED_STREAM: u32 = 3;
    pub const CANCEL: u32 = 5;
}

/// Bytes before each frame's payload.
pub(crate) const FRAME_HEADER_BYTES: usize = 8;
