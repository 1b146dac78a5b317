//! What a server takes up of an offer.

use http::header::{
    CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, Method, Response, StatusCode};

use super::{ACCEPTED_PROTOCOL_VERSIONS, PROTOCOL_VERSION, SPDY_31, accept_key, contains, is_upgrade};

/// An agreed upgrade.
#[derive(Clone, Debug)]
pub struct Negotiated<P> {
    /// What is spoken from now on.
    pub protocol: P,
    /// The headers of the answer 101 Switching Protocols.
    pub headers: HeaderMap,
}

/// An upgrade that is not agreed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The HTTP status.
    pub code: StatusCode,
    /// The answer's headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The answer's body, in upstream's words.
    pub message: String,
}

// === impl Negotiated ===

impl<P> Negotiated<P> {
    /// The answer 101, without a body.
    pub fn response<B: Default>(&self) -> Response<B> {
        let mut response = Response::new(B::default());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        *response.headers_mut() = self.headers.clone();
        response
    }

    /// The same answer, for a protocol by another name.
    pub(crate) fn map<Q>(self, change: impl FnOnce(P) -> Q) -> Negotiated<Q> {
        Negotiated { protocol: change(self.protocol), headers: self.headers }
    }
}

// === impl Refusal ===

impl Refusal {
    /// A refusal with a text for a body.
    pub fn new(code: StatusCode, message: impl Into<String>) -> Refusal {
        let headers = vec![
            (CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
            (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        ];
        Refusal { code, headers, message: message.into() }
    }

    /// The answer.
    pub fn response<B: From<String>>(self) -> Response<B> {
        let mut response = Response::new(B::from(self.message));
        *response.status_mut() = self.code;
        for (name, value) in self.headers {
            response.headers_mut().append(name, value);
        }
        response
    }
}

// === SPDY: Handshake and UpgradeResponse of k8s.io/streaming/pkg/httpstream ===

/// Takes up the first of the client's subprotocols that is in `supported`.
pub(crate) fn spdy(
    headers: &HeaderMap,
    supported: &[&'static str],
) -> Result<Negotiated<&'static str>, Refusal> {
    let bad = |why: String| Refusal::new(StatusCode::BAD_REQUEST, format!("unable to upgrade: {why}"));
    let header = "X-Stream-Protocol-Version";
    let values: Vec<&str> =
        headers.get_all(PROTOCOL_VERSION).iter().map(|value| value.to_str().unwrap_or_default()).collect();
    if values.is_empty() {
        return Err(bad(format!(
            "header {header} does not exist in request with {} headers",
            headers.keys_len()
        )));
    }
    let offered: Vec<&str> =
        values.iter().flat_map(|value| value.split(',')).map(|name| name.trim_matches(' ')).collect();
    let offered: Vec<&str> = offered.into_iter().filter(|name| !name.is_empty()).collect();
    if offered.is_empty() {
        return Err(bad(format!("header {header} contains [{}], but no valid protocols", values.join(" "))));
    }
    let Some(protocol) = offered.iter().find_map(|name| supported.iter().find(|known| *known == name)) else {
        let mut refusal = bad(format!(
            "unable to negotiate protocol: client supports [{}], server accepts [{}]",
            offered.join(" "),
            supported.join(" ")
        ));
        refusal.code = StatusCode::FORBIDDEN;
        let name = HeaderName::from_static(ACCEPTED_PROTOCOL_VERSIONS);
        refusal.headers.extend(supported.iter().map(|known| (name.clone(), HeaderValue::from_static(known))));
        return Err(refusal);
    };
    let upgrades = headers.get(UPGRADE).is_some_and(|value| contains(value, SPDY_31));
    if !is_upgrade(headers) || !upgrades {
        let names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        return Err(bad(format!("missing upgrade headers in request: {names:?}")));
    }
    let mut headers = HeaderMap::new();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static(SPDY_31));
    headers.insert(HeaderName::from_static(PROTOCOL_VERSION), HeaderValue::from_static(protocol));
    Ok(Negotiated { protocol, headers })
}

// === WebSocket ===

/// The subprotocols that a client offers, in its order.
pub(crate) fn web_socket_protocols(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect()
}

/// Takes up the first of the client's subprotocols that is in `supported`, where `""` stands for none
/// (golang.org/x/net/websocket's server, which wsstream uses).
pub(crate) fn web_socket(
    method: &Method,
    headers: &HeaderMap,
    supported: &[&'static str],
) -> Result<Negotiated<&'static str>, Refusal> {
    if method != Method::GET {
        return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "bad method"));
    }
    let bad = |why: &str| Refusal::new(StatusCode::BAD_REQUEST, why);
    let key = headers.get(SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes).unwrap_or_default();
    if key.is_empty() {
        return Err(bad("mismatch challenge/response"));
    }
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        let mut refusal = bad("missing or bad WebSocket Version");
        refusal.headers.push((SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13")));
        return Err(refusal);
    }
    let mut offered = web_socket_protocols(headers);
    if offered.is_empty() {
        offered.push(String::new());
    }
    let protocol = offered.iter().find_map(|name| supported.iter().find(|known| *known == name));
    let protocol = *protocol.ok_or_else(|| Refusal::new(StatusCode::FORBIDDEN, ""))?;
    let mut headers = HeaderMap::new();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::from_str(&accept_key(key)) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    if !protocol.is_empty() {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
    }
    Ok(Negotiated { protocol, headers })
}
