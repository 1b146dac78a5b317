//! An HTTP/1.1 request sent on to another server, and the two connections joined once that one upgrades
//! (k8s.io/apimachinery/pkg/util/proxy's UpgradeAwareHandler). No redirect is followed, and nothing is joined but what
//! the other side has agreed to (CVE-2018-1002105, CVE-2020-8559).

use std::time::Duration;

use decapod_sys::Env;
use http::header::{CONNECTION, HOST, HeaderValue, InvalidHeaderValue, UPGRADE};
use http::uri::{InvalidUri, PathAndQuery};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use hyper::body::{Body, Incoming};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::proxy::{Patience, copy_both};
use crate::upgrade::upgraded;

/// Where a request goes on to.
pub struct Onward<IO> {
    /// A fresh connection.
    pub io: IO,
    /// The path and the query there.
    pub path: String,
    /// The name and port there.
    pub host: String,
}

/// Why a request did not go on, or was not answered.
#[derive(Debug, thiserror::Error)]
pub enum OnwardError {
    /// The path is none.
    #[error("invalid path: {0}")]
    Path(#[from] InvalidUri),
    /// The host is none.
    #[error("invalid host: {0}")]
    Host(#[from] InvalidHeaderValue),
    /// The connection ended, or no HTTP was spoken on it.
    #[error(transparent)]
    Exchange(#[from] hyper::Error),
    /// It is 101, and nobody had asked for that.
    #[error("it switched protocols without being asked to")]
    Unasked,
}

/// How long one side may go on in silence once the other has ended: neither SPDY nor WebSocket ends one direction of
/// its connection alone.
const HALF_OPEN: Duration = Duration::from_secs(5);

/// Headers that concern one connection only.
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// Headers that are for us and nobody behind us, and those that say what is offered to us.
const OURS: [&str; 2] = ["authorization", "host"];
const OFFERS: [&str; 2] = ["sec-websocket-", "x-stream-protocol-version"];

/// What whoever answers a request behind us may see of its headers: nothing of the credentials that we read (cookies are
/// none of ours), and nothing of upgrades.
pub fn passed_on(headers: &HeaderMap) -> HeaderMap {
    pick(headers, |name| !OFFERS.iter().any(|offer| name.starts_with(offer)))
}

/// The same with what is said of upgrades, but for the headers that concern one connection only.
pub fn carried(headers: &HeaderMap) -> HeaderMap {
    pick(headers, |_| true)
}

fn pick(headers: &HeaderMap, wanted: impl Fn(&str) -> bool) -> HeaderMap {
    let dropped = |name: &str| {
        HOP_BY_HOP.contains(&name)
            || OURS.contains(&name)
            || name.starts_with("impersonate-")
            || !wanted(name)
    };
    let pairs = headers.iter().filter(|(name, _)| !dropped(name.as_str()));
    let mut picked = HeaderMap::new();
    for (name, value) in pairs {
        picked.append(name.clone(), value.clone());
    }
    picked
}

/// Copies between the client's connection, as `wrap` makes it, and the backend's, until both have ended.
pub async fn join<IO>(client: OnUpgrade, backend: OnUpgrade, wrap: impl FnOnce(TokioIo<Upgraded>) -> IO)
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let (client, mut backend) = match tokio::try_join!(upgraded(client), upgraded(backend)) {
        Ok(both) => both,
        Err(error) => return tracing::debug!(%error, "upgrade"),
    };
    let patience = Patience { idle: None, half_open: Some(HALF_OPEN) };
    if let Err(error) = copy_both(&mut wrap(client), &mut backend, patience).await {
        tracing::debug!(%error, "joined connections");
    }
}

// === impl Onward ===

impl<IO> Onward<IO>
where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    /// Sends a request with these headers; what is answered, which may be an upgrade if they offer one.
    pub async fn ask<B>(
        self,
        env: &Env,
        method: Method,
        headers: HeaderMap,
        body: B,
    ) -> Result<Response<Incoming>, OnwardError>
    where
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let offered = headers.contains_key(UPGRADE);
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = Uri::from(self.path.parse::<PathAndQuery>()?);
        *request.headers_mut() = headers;
        request.headers_mut().insert(HOST, HeaderValue::from_str(&self.host)?);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(self.io)).await?;
        env.spawn("onward", async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "connection to a backend");
            }
        });
        let mut answer = sender.send_request(request).await?;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            HOP_BY_HOP.iter().for_each(|name| drop(answer.headers_mut().remove(*name)));
        } else if !offered {
            return Err(OnwardError::Unasked);
        }
        Ok(answer)
    }

    /// Sends a client's request on as it is; joins the two connections if the answer, to be handed to the client,
    /// upgrades.
    pub async fn forward(
        self,
        env: &Env,
        mut request: Request<Incoming>,
    ) -> Result<Response<Incoming>, OnwardError> {
        let mut headers = carried(request.headers());
        if let Some(upgrade) = request.headers().get(UPGRADE) {
            headers.insert(UPGRADE, upgrade.clone());
            headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        }
        let client = hyper::upgrade::on(&mut request);
        let (method, body) = (request.method().clone(), request.into_body());
        let mut answer = self.ask(env, method, headers, body).await?;
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            env.spawn("joined", join(client, hyper::upgrade::on(&mut answer), |io| io));
        }
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_stay_here_and_cookies_go_on() {
        let mut headers = HeaderMap::new();
        for name in [
            "accept",
            "authorization",
            "cookie",
            "host",
            "impersonate-user",
            "impersonate-extra-scopes",
            "connection",
            "upgrade",
            "transfer-encoding",
            "sec-websocket-key",
            "x-stream-protocol-version",
            "user-agent",
        ] {
            headers.append(name, HeaderValue::from_static("x"));
        }
        let names = |headers: &HeaderMap| {
            let mut names: Vec<String> = headers.keys().map(|name| name.to_string()).collect();
            names.sort();
            names.join(" ")
        };
        assert_eq!(names(&passed_on(&headers)), "accept cookie user-agent");
        assert_eq!(
            names(&carried(&headers)),
            "accept cookie sec-websocket-key user-agent x-stream-protocol-version"
        );
    }
}
