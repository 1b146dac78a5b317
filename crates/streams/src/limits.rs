//! What one connection may use.

use std::time::Duration;

/// What one connection may use. The defaults suit a server and its clients alike.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Streams at once; more are refused. Port-forward uses two for each forwarded connection.
    pub max_streams: usize,
    /// A SPDY control frame's payload, as it is on the wire.
    pub max_control_bytes: usize,
    /// The headers of one stream, decompressed.
    pub max_header_bytes: usize,
    /// A WebSocket message. Messages are never held whole; this is what golang.org/x/net/websocket takes at most.
    pub max_message_bytes: u64,
    /// Received and not read yet, over all streams: beyond it the peer is not read.
    pub receive_bytes: usize,
    /// The window that each stream grants a peer that keeps windows. Upstream's peers do not.
    pub window_bytes: u32,
    /// Queued to be sent: beyond it writers wait.
    pub send_bytes: usize,
    /// Without a byte either way for so long, the connection is closed (kubelet's streamingConnectionIdleTimeout).
    pub idle: Duration,
    /// How often a peer that says nothing is shown that we live, so that it does not take the connection for idle.
    pub keep_alive: Option<Duration>,
    /// How long the peer may take to open the streams that it has to.
    pub stream_creation: Duration,
    /// How long the peer may take to close after our goodbye, counted from the last byte that it took.
    pub linger: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            max_streams: 1024,
            max_control_bytes: 32 << 10,
            max_header_bytes: 64 << 10,
            max_message_bytes: 32 << 20,
            receive_bytes: 1 << 20,
            window_bytes: 256 << 10,
            send_bytes: 64 << 10,
            idle: Duration::from_secs(4 * 3600),
            keep_alive: None,
            stream_creation: Duration::from_secs(30),
            linger: Duration::from_secs(10),
        }
    }
}
