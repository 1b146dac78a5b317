//! The HTTP/1.1 upgrades that carry streams: what a server takes up of an offer, and what a client offers.
//!
//! Names, codes and wording are upstream's (k8s.io/streaming/pkg/httpstream and its wsstream and spdy,
//! golang.org/x/net/websocket, github.com/gorilla/websocket).

mod client;
mod server;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
pub use client::{Offer, OfferError};
use http::HeaderMap;
use http::header::{CONNECTION, UPGRADE};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
pub use server::{Negotiated, Refusal};
pub(crate) use server::{spdy, web_socket, web_socket_protocols};

/// The header that lists SPDY's subprotocols, in both directions.
pub const PROTOCOL_VERSION: &str = "x-stream-protocol-version";

/// The header of a refusal that lists the subprotocols a server has.
pub const ACCEPTED_PROTOCOL_VERSIONS: &str = "x-accepted-stream-protocol-versions";

/// The upgrade token of SPDY.
pub const SPDY_31: &str = "SPDY/3.1";

/// The prefix of WebSocket subprotocols that carry SPDY.
pub const TUNNEL_PREFIX: &str = "SPDY/3.1+";

/// Whether a request wants another protocol (upstream's IsUpgradeRequest).
pub fn is_upgrade(headers: &HeaderMap) -> bool {
    headers.get_all(CONNECTION).iter().any(|value| contains(value, "upgrade"))
}

/// Whether the other protocol is WebSocket (upstream's IsWebSocketRequest).
pub fn is_web_socket(headers: &HeaderMap) -> bool {
    let upgrade = headers.get(UPGRADE).map(|value| value.as_bytes());
    upgrade.is_some_and(|value| value.eq_ignore_ascii_case(b"websocket")) && is_upgrade(headers)
}

/// Whether a WebSocket is asked for that can end channels one by one (upstream's
/// IsWebSocketRequestWithStreamCloseProtocol): what upstream's API server translates for the kubelet.
pub fn offers_half_close(headers: &HeaderMap) -> bool {
    is_web_socket(headers)
        && web_socket_protocols(headers).iter().any(|protocol| protocol == "v5.channel.k8s.io")
}

/// Whether a WebSocket is asked for that carries SPDY (upstream's IsWebSocketRequestWithTunnelingProtocol).
pub fn offers_tunnel(headers: &HeaderMap) -> bool {
    is_web_socket(headers) && web_socket_protocols(headers).iter().any(|protocol| is_tunnel(protocol))
}

/// Waits for the connection that an agreed upgrade leaves: `hyper::upgrade::on` of the request on a server, once its
/// answer is on its way; of the answer on a client.
pub async fn upgraded(on: OnUpgrade) -> Result<TokioIo<Upgraded>, hyper::Error> {
    on.await.map(TokioIo::new)
}

fn is_tunnel(protocol: &str) -> bool {
    protocol.starts_with(TUNNEL_PREFIX) && protocol.ends_with(".k8s.io")
}

fn contains(value: &http::HeaderValue, token: &str) -> bool {
    value.as_bytes().windows(token.len()).any(|part| part.eq_ignore_ascii_case(token.as_bytes()))
}

/// What the server answers to a client's key (RFC 6455, 4.2.2).
fn accept_key(key: &[u8]) -> String {
    let mut context = ring::digest::Context::new(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY);
    context.update(key);
    context.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    BASE64.encode(context.finish())
}
