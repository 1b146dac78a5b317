//! exec and attach: a command's standard streams, its terminal's size and how it ended.
//!
//! Facts: k8s.io/cri-streaming/pkg/streaming/remotecommand (server), k8s.io/client-go/tools/remotecommand (client),
//! KEP-4006 (v5).

mod client;
mod outcome;
mod resize;
mod server;

pub use client::{Session, connect, offer_spdy, offer_web_socket};
use http::{HeaderMap, Method};
pub use outcome::{Outcome, OutcomeError};
pub use resize::{Resizer, Resizes, TerminalSize};
pub use server::{RemoteCommand, ServeError, serve};

use crate::upgrade::{self, Negotiated, Refusal, is_web_socket};

/// Which streams a command has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Whether the client sends.
    pub stdin: bool,
    /// Whether it wants what the command writes.
    pub stdout: bool,
    /// Whether it wants errors apart; a terminal has none.
    pub stderr: bool,
    /// Whether the command runs in a terminal.
    pub tty: bool,
}

/// A request for no stream at all, in upstream's words.
#[derive(Debug, thiserror::Error)]
#[error("you must specify at least 1 of stdin, stdout, stderr")]
pub struct NoStreams;

/// What both sides speak.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Protocol {
    /// A SPDY stream for each.
    Spdy(Version),
    /// A WebSocket channel for each.
    WebSocket {
        /// V1, V4 or V5.
        version: Version,
        /// Whether the messages are text.
        base64: bool,
    },
}

/// The subprotocol's version: V2 repairs V1, V3 has resizes, V4 tells the exit code, V5 ends channels one by one.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
#[allow(missing_docs, reason = "said together above")]
pub enum Version {
    V1,
    V2,
    V3,
    V4,
    V5,
}

/// The subprotocols over SPDY, the best first.
const SPDY: [(&str, Version); 4] = [
    ("v4.channel.k8s.io", Version::V4),
    ("v3.channel.k8s.io", Version::V3),
    ("v2.channel.k8s.io", Version::V2),
    ("channel.k8s.io", Version::V1),
];

/// The subprotocols over WebSocket.
const WEB_SOCKET: [(&str, Version, bool); 6] = [
    ("v5.channel.k8s.io", Version::V5, false),
    ("v4.channel.k8s.io", Version::V4, false),
    ("v4.base64.channel.k8s.io", Version::V4, true),
    ("channel.k8s.io", Version::V1, false),
    ("base64.channel.k8s.io", Version::V1, true),
    ("", Version::V1, false),
];

/// The channels of a WebSocket; each one's name is its stream's type over SPDY.
mod channel {
    pub const STDIN: u32 = 0;
    pub const STDOUT: u32 = 1;
    pub const STDERR: u32 = 2;
    pub const ERROR: u32 = 3;
    pub const RESIZE: u32 = 4;
    pub const NAMES: [(&str, u32); 5] =
        [("error", ERROR), ("stdin", STDIN), ("stdout", STDOUT), ("stderr", STDERR), ("resize", RESIZE)];
}

/// Agrees with a request on what to speak, or says why not. Tell [`upgrade::is_upgrade`] first: what is no upgrade
/// at all, the API server answers in words of its own.
pub fn negotiate(method: &Method, headers: &HeaderMap) -> Result<Negotiated<Protocol>, Refusal> {
    if is_web_socket(headers) {
        // Who offers v5 gets it, wherever it stands among the others: so upstream's API server does.
        let all = WEB_SOCKET.map(|(name, _, _)| name);
        let supported = if upgrade::offers_half_close(headers) { &all[..1] } else { &all[..] };
        let negotiated = upgrade::web_socket(method, headers, supported)?;
        return Ok(negotiated.map(web_socket));
    }
    let negotiated = upgrade::spdy(headers, &SPDY.map(|(name, _)| name))?;
    Ok(negotiated.map(spdy))
}

fn spdy(name: &str) -> Protocol {
    let found = SPDY.iter().find(|(known, _)| *known == name);
    Protocol::Spdy(found.map_or(Version::V1, |(_, version)| *version))
}

fn web_socket(name: &str) -> Protocol {
    let found = WEB_SOCKET.iter().find(|(known, _, _)| *known == name);
    let (version, base64) = found.map_or((Version::V1, false), |(_, version, base64)| (*version, *base64));
    Protocol::WebSocket { version, base64 }
}

// === impl Options ===

impl Options {
    /// These streams; no stderr in a terminal. Fails when there are none (upstream's NewOptions).
    pub fn new(stdin: bool, stdout: bool, stderr: bool, tty: bool) -> Result<Options, NoStreams> {
        let stderr = stderr && !tty;
        if stdin || stdout || stderr { Ok(Options { stdin, stdout, stderr, tty }) } else { Err(NoStreams) }
    }

    /// The channels of these streams, by upstream's clients' order.
    fn channels(self, version: Version) -> impl Iterator<Item = (&'static str, u32)> {
        channel::NAMES.into_iter().filter(move |(_, id)| match *id {
            channel::STDIN => self.stdin,
            channel::STDOUT => self.stdout,
            channel::STDERR => self.stderr,
            channel::RESIZE => self.tty && version >= Version::V3,
            _ => true,
        })
    }
}

// === impl Protocol ===

impl Protocol {
    /// The subprotocol's version.
    pub fn version(self) -> Version {
        match self {
            Protocol::Spdy(version) | Protocol::WebSocket { version, .. } => version,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, http::HeaderValue::from_static(value));
        }
        headers
    }

    fn answer(method: Method, pairs: &[(&'static str, &'static str)]) -> String {
        match negotiate(&method, &headers(pairs)) {
            Ok(negotiated) => {
                let headers: Vec<String> = negotiated
                    .headers
                    .iter()
                    .filter(|(name, _)| *name != "connection" && *name != "upgrade")
                    .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
                    .collect();
                format!("{:?} {}", negotiated.protocol, headers.join(", "))
            }
            Err(refusal) => format!("{} {}", refusal.code.as_u16(), refusal.message),
        }
    }

    #[test]
    fn web_socket_offers() {
        let base = [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-version", "13"),
        ];
        let accept = "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
        let table = [
            ("v5.channel.k8s.io", "WebSocket { version: V5, base64: false }"),
            ("v4.channel.k8s.io, v5.channel.k8s.io", "WebSocket { version: V5, base64: false }"),
            ("v4.base64.channel.k8s.io, v4.channel.k8s.io", "WebSocket { version: V4, base64: true }"),
            ("x, base64.channel.k8s.io", "WebSocket { version: V1, base64: true }"),
        ];
        for (offer, protocol) in table {
            let mut request = base.to_vec();
            request.push(("sec-websocket-protocol", offer));
            let got = answer(Method::GET, &request);
            assert!(
                got.starts_with(&format!("{protocol} {accept}, sec-websocket-protocol: ")),
                "{offer}: {got}"
            );
        }
        assert_eq!(
            answer(Method::GET, &base),
            format!("WebSocket {{ version: V1, base64: false }} {accept}")
        );
        let mut request = base.to_vec();
        request.push(("sec-websocket-protocol", "v3.channel.k8s.io"));
        assert_eq!(answer(Method::GET, &request), "403 ");
        assert_eq!(answer(Method::POST, &base), "405 bad method");
        assert_eq!(answer(Method::GET, &base[..2]), "400 mismatch challenge/response");
        assert_eq!(answer(Method::GET, &base[..3]), "400 missing or bad WebSocket Version");
    }

    #[test]
    fn spdy_offers() {
        let base = [("connection", "Upgrade"), ("upgrade", "SPDY/3.1")];
        let with = |versions: &'static str| [base[0], base[1], ("x-stream-protocol-version", versions)];
        let table = [
            ("v5.channel.k8s.io, v4.channel.k8s.io", "Spdy(V4) x-stream-protocol-version: v4.channel.k8s.io"),
            ("channel.k8s.io,v4.channel.k8s.io", "Spdy(V1) x-stream-protocol-version: channel.k8s.io"),
            (
                "v5.channel.k8s.io",
                "403 unable to upgrade: unable to negotiate protocol: client supports [v5.channel.k8s.io], server accepts \
                 [v4.channel.k8s.io v3.channel.k8s.io v2.channel.k8s.io channel.k8s.io]",
            ),
            (
                " ,",
                "400 unable to upgrade: header X-Stream-Protocol-Version contains [ ,], but no valid protocols",
            ),
        ];
        for (versions, expected) in table {
            assert_eq!(answer(Method::POST, &with(versions)), expected);
        }
        assert_eq!(
            answer(Method::POST, &base),
            "400 unable to upgrade: header X-Stream-Protocol-Version does not exist in request with 2 headers"
        );
        assert_eq!(
            answer(Method::POST, &[("x-stream-protocol-version", "v4.channel.k8s.io")]),
            "400 unable to upgrade: missing upgrade headers in request: [\"x-stream-protocol-version\"]"
        );
    }
}
