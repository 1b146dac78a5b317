//! port-forward: connections to a pod's ports, each a pair of streams, one for data and one for what went wrong.
//!
//! Facts: k8s.io/cri-streaming/pkg/streaming/portforward (server), k8s.io/client-go/tools/portforward (client).

mod client;
mod pairs;
mod server;

pub use client::{Client, Forwarded, connect, offer_spdy, offer_tunnel};
use http::{HeaderMap, Method, StatusCode};
pub use server::{Forward, PortForward, serve};

use crate::upgrade::{self, Negotiated, Refusal, TUNNEL_PREFIX, is_web_socket};

/// What both sides speak.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Protocol {
    /// A pair of SPDY streams for each connection.
    Spdy,
    /// The same, with SPDY's bytes in WebSocket messages.
    Tunnel,
    /// A pair of WebSocket channels for each port that the request's `port` (`ports` at the API server) names; one
    /// connection each.
    Channels {
        /// Whether the messages are text.
        base64: bool,
    },
}

/// A request that does not name its ports as it should, in upstream's words.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum PortsError {
    /// There is none.
    #[error("query parameter \"port\" is required")]
    Missing,
    /// One is empty.
    #[error("query parameter \"port\" cannot be empty")]
    Empty,
    /// One is no port.
    #[error("unable to parse {0:?} as a port")]
    NotAPort(String),
    /// One is 0.
    #[error("port {0:?} must be > 0")]
    Zero(String),
}

/// The one subprotocol there is.
const NAME: &str = "portforward.k8s.io";

/// It, through the tunnel.
const TUNNELLED: &str = "SPDY/3.1+portforward.k8s.io";

/// Channels over WebSocket, without a tunnel.
const CHANNELS: [(&str, bool); 3] =
    [("", false), ("v4.channel.k8s.io", false), ("v4.base64.channel.k8s.io", true)];

/// Agrees with a request on what to speak, or says why not. Tell [`upgrade::is_upgrade`] first.
pub fn negotiate(method: &Method, headers: &HeaderMap) -> Result<Negotiated<Protocol>, Refusal> {
    if upgrade::offers_tunnel(headers) {
        let offered = upgrade::web_socket_protocols(headers);
        if !offered.iter().any(|name| name == TUNNELLED) {
            let names: Vec<&str> =
                offered.iter().filter_map(|name| name.strip_prefix(TUNNEL_PREFIX)).collect();
            let why = format!(
                "unable to upgrade: unable to negotiate protocol: client supports [{}], server accepts [{NAME}]",
                names.join(" ")
            );
            return Err(Refusal::new(StatusCode::FORBIDDEN, why));
        }
        return Ok(upgrade::web_socket(method, headers, &[TUNNELLED])?.map(|_| Protocol::Tunnel));
    }
    if is_web_socket(headers) {
        let negotiated = upgrade::web_socket(method, headers, &CHANNELS.map(|(name, _)| name))?;
        let base64 = CHANNELS.iter().any(|(name, base64)| *name == negotiated.protocol && *base64);
        return Ok(negotiated.map(|_| Protocol::Channels { base64 }));
    }
    Ok(upgrade::spdy(headers, &[NAME])?.map(|_| Protocol::Spdy))
}

/// The ports of the `port` parameters' values, each several with commas between (upstream's NewV4Options). Only
/// [`Protocol::Channels`] needs them.
pub fn ports<'a>(values: impl IntoIterator<Item = &'a str>) -> Result<Vec<u16>, PortsError> {
    let mut ports = Vec::new();
    for value in values {
        if value.is_empty() {
            return Err(PortsError::Empty);
        }
        for text in value.split(',') {
            match text.parse::<u16>() {
                Ok(0) => return Err(PortsError::Zero(value.to_owned())),
                Ok(port) => ports.push(port),
                Err(_) => return Err(PortsError::NotAPort(value.to_owned())),
            }
        }
    }
    if ports.is_empty() { Err(PortsError::Missing) } else { Ok(ports) }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn offers() {
        let web_socket = |offer: &'static str| {
            let mut headers = HeaderMap::new();
            for (name, value) in [
                ("connection", "Upgrade"),
                ("upgrade", "websocket"),
                ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
                ("sec-websocket-version", "13"),
                ("sec-websocket-protocol", offer),
            ] {
                headers.insert(name, HeaderValue::from_static(value));
            }
            match negotiate(&Method::GET, &headers) {
                Ok(negotiated) => format!("{:?}", negotiated.protocol),
                Err(refusal) => format!("{} {}", refusal.code.as_u16(), refusal.message),
            }
        };
        let table = [
            ("SPDY/3.1+portforward.k8s.io", "Tunnel"),
            ("v4.channel.k8s.io, SPDY/3.1+portforward.k8s.io", "Tunnel"),
            ("v4.channel.k8s.io", "Channels { base64: false }"),
            ("v4.base64.channel.k8s.io", "Channels { base64: true }"),
            ("v5.channel.k8s.io", "403 "),
            (
                "SPDY/3.1+v2.portforward.k8s.io",
                "403 unable to upgrade: unable to negotiate protocol: client supports [v2.portforward.k8s.io], \
                 server accepts [portforward.k8s.io]",
            ),
        ];
        for (offer, expected) in table {
            assert_eq!(web_socket(offer), expected, "{offer}");
        }
    }

    #[test]
    fn ports_as_upstream_reads_them() {
        assert_eq!(ports(["80", "8080,443"]), Ok(vec![80, 8080, 443]));
        assert_eq!(ports([]), Err(PortsError::Missing));
        assert_eq!(ports([""]), Err(PortsError::Empty));
        assert_eq!(ports(["0"]).unwrap_err().to_string(), "port \"0\" must be > 0");
        assert_eq!(ports(["80,x"]).unwrap_err().to_string(), "unable to parse \"80,x\" as a port");
        assert!(ports(["65536"]).is_err());
    }
}
