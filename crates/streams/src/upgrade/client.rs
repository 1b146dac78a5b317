//! What a client offers, and whether the answer takes it up.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use decapod_sys::Env;
use http::header::{
    CONNECTION, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, Method, StatusCode};

use super::{PROTOCOL_VERSION, SPDY_31, accept_key, contains, is_upgrade};

/// What a client offers.
#[derive(Clone, Debug)]
pub struct Offer {
    /// GET for WebSocket, which has no other; POST for SPDY, as upstream's clients do.
    pub method: Method,
    /// To be added to the request.
    pub headers: HeaderMap,
    protocols: Vec<&'static str>,
    /// What the server answers to our key, on WebSocket.
    accept: Option<String>,
}

/// Why an answer does not take an offer up.
#[derive(Debug, thiserror::Error)]
pub enum OfferError {
    /// It is not 101.
    #[error("unable to upgrade connection: {0}")]
    Refused(StatusCode),
    /// It is 101, and not for what was offered.
    #[error("unable to upgrade connection: the answer has no or a wrong {0}")]
    Header(&'static str),
}

// === impl Offer ===

impl Offer {
    /// SPDY with one of these subprotocols, the best first.
    pub(crate) fn spdy(protocols: &[&'static str]) -> Offer {
        let mut headers = HeaderMap::new();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static(SPDY_31));
        for protocol in protocols {
            headers.append(HeaderName::from_static(PROTOCOL_VERSION), HeaderValue::from_static(protocol));
        }
        Offer { method: Method::POST, headers, protocols: protocols.to_vec(), accept: None }
    }

    /// WebSocket with one of these subprotocols, the best first.
    pub(crate) fn web_socket(env: &Env, protocols: &[&'static str]) -> Offer {
        let mut key = [0; 16];
        env.fill(&mut key);
        let key = BASE64.encode(key);
        let mut headers = HeaderMap::new();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        let values = [(SEC_WEBSOCKET_KEY, key.clone()), (SEC_WEBSOCKET_PROTOCOL, protocols.join(", "))];
        for (name, value) in values {
            headers.insert(name, HeaderValue::from_str(&value).expect("base64 and names are visible ASCII"));
        }
        let accept = Some(accept_key(key.as_bytes()));
        Offer { method: Method::GET, headers, protocols: protocols.to_vec(), accept }
    }

    /// Whether it offers WebSocket, not SPDY.
    pub fn is_web_socket(&self) -> bool {
        self.accept.is_some()
    }

    /// Which subprotocol the answer takes up.
    pub(crate) fn agreed(&self, code: StatusCode, headers: &HeaderMap) -> Result<&'static str, OfferError> {
        if code != StatusCode::SWITCHING_PROTOCOLS {
            return Err(OfferError::Refused(code));
        }
        if !is_upgrade(headers) {
            return Err(OfferError::Header("Connection"));
        }
        let token = if self.accept.is_some() { "websocket" } else { SPDY_31 };
        if !headers.get(UPGRADE).is_some_and(|value| contains(value, token)) {
            return Err(OfferError::Header("Upgrade"));
        }
        if let Some(accept) = &self.accept {
            if headers.get(SEC_WEBSOCKET_ACCEPT).is_none_or(|value| value != accept.as_str()) {
                return Err(OfferError::Header("Sec-WebSocket-Accept"));
            }
            if headers.contains_key("sec-websocket-extensions") {
                return Err(OfferError::Header("Sec-WebSocket-Extensions"));
            }
        }
        let (name, value) = match self.accept {
            Some(_) => ("Sec-WebSocket-Protocol", headers.get(SEC_WEBSOCKET_PROTOCOL)),
            None => ("X-Stream-Protocol-Version", headers.get(PROTOCOL_VERSION)),
        };
        let chosen = value.and_then(|value| value.to_str().ok()).unwrap_or_default();
        self.protocols.iter().find(|name| **name == chosen).copied().ok_or(OfferError::Header(name))
    }
}
