//! WebSockets on which only the server speaks: a log as a stream of bytes, a watch as one message for each event
//! (k8s.io/streaming/pkg/httpstream/wsstream's Reader; k8s.io/apiserver/pkg/endpoints/handlers' watch).

use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::header::SEC_WEBSOCKET_PROTOCOL;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::Limits;
use crate::tunnel::Tunnel;
use crate::upgrade::{self, Negotiated, Refusal};

/// How a stream of bytes is put into messages.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Encoding {
    /// As they are, in binary messages.
    Binary,
    /// In base64, in text messages.
    Base64,
}

/// A WebSocket on which only we speak.
pub struct Messages<IO> {
    tunnel: Tunnel<IO>,
}

/// The subprotocols of a stream of bytes.
const BYTES: [(&str, Encoding); 3] =
    [("", Encoding::Binary), ("binary.k8s.io", Encoding::Binary), ("base64.binary.k8s.io", Encoding::Base64)];

/// Agrees with a request for a stream of bytes, such as a log, on how to send it.
pub fn negotiate_bytes(method: &Method, headers: &HeaderMap) -> Result<Negotiated<Encoding>, Refusal> {
    let negotiated = upgrade::web_socket(method, headers, &BYTES.map(|(name, _)| name))?;
    let found = BYTES.iter().find(|(name, _)| *name == negotiated.protocol);
    let encoding = found.map_or(Encoding::Binary, |(_, encoding)| *encoding);
    Ok(negotiated.map(|_| encoding))
}

/// Agrees with a request for a stream of messages, such as a watch: on whatever subprotocol it offers, if one.
pub fn negotiate_events(method: &Method, headers: &HeaderMap) -> Result<Negotiated<()>, Refusal> {
    let mut plain = headers.clone();
    plain.remove(SEC_WEBSOCKET_PROTOCOL);
    let mut negotiated = upgrade::web_socket(method, &plain, &[""])?.map(|_| ());
    match upgrade::web_socket_protocols(headers).as_slice() {
        [] => {}
        [one] => {
            let value = HeaderValue::from_str(one).map_err(|error| bad(&error.to_string()))?;
            negotiated.headers.insert(SEC_WEBSOCKET_PROTOCOL, value);
        }
        _ => return Err(bad("bad protocol")),
    }
    Ok(negotiated)
}

fn bad(why: &str) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, why)
}

// === impl Messages ===

impl<IO: AsyncRead + AsyncWrite + Unpin> Messages<IO> {
    /// The server's side of `io`, on which a WebSocket has been agreed.
    pub fn new(io: IO, limits: &Limits) -> Messages<IO> {
        Messages { tunnel: Tunnel::server(io, limits) }
    }

    /// Sends a text message, whole.
    pub async fn text(&mut self, message: &str) -> io::Result<()> {
        self.tunnel.message(true, message.as_bytes());
        self.tunnel.flush().await
    }

    /// Sends a binary message, whole.
    pub async fn binary(&mut self, message: &[u8]) -> io::Result<()> {
        self.tunnel.message(false, message);
        self.tunnel.flush().await
    }

    /// Sends a part of a stream of bytes.
    pub async fn bytes(&mut self, encoding: Encoding, bytes: &[u8]) -> io::Result<()> {
        match encoding {
            Encoding::Binary => self.binary(bytes).await,
            Encoding::Base64 => self.text(&BASE64.encode(bytes)).await,
        }
    }

    /// Returns when the client is gone. What it says is dropped. Wait for it beside what there is to send: it can be
    /// dropped and asked again.
    pub async fn gone(&mut self) {
        let mut dropped = [0; 1024];
        while let Ok(1..) = self.tunnel.read(&mut dropped).await {}
    }

    /// Says goodbye.
    pub async fn close(mut self) -> io::Result<()> {
        self.tunnel.shutdown().await
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    #[tokio::test]
    async fn a_log_and_a_watch() {
        let (a, mut b) = duplex(1 << 18);
        let mut messages = Messages::new(a, &Limits::default());
        messages.bytes(Encoding::Binary, b"log").await.unwrap();
        messages.bytes(Encoding::Base64, b"log").await.unwrap();
        messages.text(&"x".repeat(100_000)).await.unwrap();
        // A ping is answered, the rest is dropped; then the client goes.
        b.write_all(b"\x89\x80\0\0\0\0\x81\x83\0\0\0\0abc\x88\x82\0\0\0\0\x03\xe8").await.unwrap();
        messages.gone().await;
        drop(messages);
        let mut heard = Vec::new();
        b.read_to_end(&mut heard).await.unwrap();
        let (start, end) =
            (b"\x82\x03log\x81\x04bG9n\x81\x7f\0\0\0\0\0\x01\x86\xa0xxx", b"xxx\x8a\0\x88\x02\x03\xe8");
        assert!(heard.starts_with(start) && heard.ends_with(end), "{:x?}", &heard[..20]);
    }
}
