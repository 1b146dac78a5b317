//! The remote transport: the Kubernetes API over HTTP/2 or HTTP/1.1 and TLS, in JSON.
//!
//! Connections are kept and shared. A connection that has died is found out by HTTP/2 pings while requests are open,
//! and by TCP keep-alive.

mod connect;
mod json;
mod path;
mod pin;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use decapod_api::Status;
use decapod_sys::Env;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, USER_AGENT};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use tokio::time::Instant;

use crate::request::{Reply, Request, Verb, Watch, WatchEvent};
use crate::transport::Transport;
use connect::TlsConnector;

pub use connect::RemoteError;
pub use pin::{Pin, PinError, pinned_authority};

/// How long an answer may take, watches aside: the server's own limit and some more.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(90);
/// How long a token file's content is taken as current (as client-go does).
const TOKEN_AGE: Duration = Duration::from_secs(60);
/// The longest line of a watch: objects are at most 1.5 MB in etcd, and their JSON not much longer than that.
const FRAME_MAX_BYTES: usize = 64 << 20;

/// Where an API server is and how to get in. Absent parts are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemoteConfig {
    /// Such as `https://127.0.0.1:6443`; may carry a path.
    pub server: String,
    /// The certificates that sign the server's, in PEM.
    pub ca_pem: String,
    /// Our certificate and those that it is signed by, in PEM.
    pub client_cert_pem: String,
    /// The key of our certificate, in PEM.
    pub client_key_pem: String,
    /// Files with our certificate and its key, which may be one and may be renewed; they go before the PEM above.
    pub client_files: Option<(PathBuf, PathBuf)>,
    /// A bearer token.
    pub token: String,
    /// A file that holds the bearer token and may change; it goes before `token`.
    pub token_file: Option<PathBuf>,
    /// The name that the server's certificate is checked against; empty for the one in `server`.
    pub tls_server_name: String,
}

/// A transport to an API server elsewhere.
pub struct Remote {
    base: String,
    token: Token,
    http: legacy::Client<TlsConnector, Full<Bytes>>,
}

/// The bearer token, read anew when its file has got old.
struct Token {
    fixed: String,
    file: Option<PathBuf>,
    read: Mutex<Option<(Instant, String)>>,
}

/// An HTTP/2 or HTTP/1.1 answer's body as a watch.
struct Frames {
    body: Incoming,
    buffer: BytesMut,
    /// How much of `buffer` is known to have no end of line.
    searched: usize,
    ended: bool,
}

// === impl Remote ===

impl Remote {
    /// A transport as `config` says. Nothing is connected yet.
    #[allow(clippy::new_ret_no_self, reason = "who holds a transport never needs to know which")]
    pub fn new(env: &Env, config: RemoteConfig) -> Result<Arc<dyn Transport>, RemoteError> {
        Ok(Remote::open(env, config)?)
    }

    /// The same, for who also asks for what is no resource.
    pub fn open(env: &Env, config: RemoteConfig) -> Result<Arc<Remote>, RemoteError> {
        let http = connect::client(env, &config)?;
        let base = config.server.trim_end_matches('/').to_owned();
        let token = Token { fixed: config.token, file: config.token_file, read: Mutex::new(None) };
        Ok(Arc::new(Remote { base, token, http }))
    }

    /// The document at `path`, such as discovery's, in the form that `accept` names.
    pub async fn document(&self, path: &str, accept: &str) -> Result<Bytes, Status> {
        let exchange = async {
            let request = http::Request::get(format!("{}{path}", self.base)).header(ACCEPT, accept);
            let (head, body) = self.exchange(request, Bytes::new()).await?.into_parts();
            let body =
                body.collect().await.map_err(|error| unreachable_server(&self.base, &error))?.to_bytes();
            if head.status.is_success() { Ok(body) } else { Err(failure(&head, &body)) }
        };
        self.in_time(exchange).await
    }

    async fn send(&self, request: &Request) -> Result<http::Response<Incoming>, Status> {
        let uri = format!("{}{}", self.base, path::path_and_query(request));
        let mut http = http::Request::builder()
            .method(path::method(request.verb))
            .uri(uri)
            .header(ACCEPT, "application/json");
        if !request.body.is_empty() {
            http = http.header(CONTENT_TYPE, path::content_type(request));
        }
        self.exchange(http, request.body.clone()).await
    }

    /// Sends what is begun, as ourselves.
    async fn exchange(
        &self,
        request: http::request::Builder,
        body: Bytes,
    ) -> Result<http::Response<Incoming>, Status> {
        let mut http = request.header(USER_AGENT, concat!("decapod/", env!("CARGO_PKG_VERSION")));
        if let Some(token) = self.token.get().await? {
            http = http.header(AUTHORIZATION, token);
        }
        let http = http.body(Full::new(body)).map_err(|error| Status::bad_request(error.to_string()))?;
        self.http.request(http).await.map_err(|error| unreachable_server(&self.base, &error))
    }

    async fn in_time<T>(&self, exchange: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
        tokio::time::timeout(ANSWER_TIMEOUT, exchange)
            .await
            .unwrap_or_else(|_| Err(Status::timeout(format!("no answer from {} in time", self.base))))
    }

    async fn answer(&self, request: Request) -> Result<Reply, Status> {
        let exchange = async {
            let response = self.send(&request).await?;
            let (head, body) = response.into_parts();
            if request.verb == Verb::Watch && head.status.is_success() {
                return Ok(Reply::Watch(frames(body)));
            }
            let body =
                body.collect().await.map_err(|error| unreachable_server(&self.base, &error))?.to_bytes();
            if !head.status.is_success() {
                return Err(failure(&head, &body));
            }
            json::reply(request.verb, &body)
        };
        // A watch answers when it begins, which may be only when there is something to say.
        match request.verb {
            Verb::Watch => exchange.await,
            _ => self.in_time(exchange).await,
        }
    }
}

impl Transport for Remote {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Reply, Status>> {
        Box::pin(self.answer(request))
    }
}

/// 503, with all that is known of why.
fn unreachable_server(server: &str, error: &dyn std::error::Error) -> Status {
    let mut why = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        why = format!("{why}: {cause}");
        source = cause.source();
    }
    Status::unavailable(format!("{server}: {why}"))
}

/// What a refusal says; a server or proxy that does not say it in a `Status` is quoted.
fn failure(head: &http::response::Parts, body: &[u8]) -> Status {
    let mut status = json::status(body).unwrap_or_else(|| Status {
        status: "Failure".into(),
        message: String::from_utf8_lossy(body).trim().to_owned(),
        reason: head.status.canonical_reason().unwrap_or_default().replace(' ', ""),
        code: head.status.as_u16(),
        ..Status::default()
    });
    if status.code == 0 {
        status.code = head.status.as_u16();
    }
    let retry_after = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    if let Some(seconds) = retry_after {
        status.details.get_or_insert_default().retry_after_seconds = seconds;
    }
    status
}

// === impl Token ===

impl Token {
    async fn get(&self) -> Result<Option<HeaderValue>, Status> {
        let token = match &self.file {
            None => self.fixed.clone(),
            Some(file) => self.read(file)?,
        };
        if token.is_empty() {
            return Ok(None);
        }
        let mut value = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| Status::bad_request("the bearer token has bytes that no header may have"))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    fn read(&self, file: &std::path::Path) -> Result<String, Status> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        match &*read {
            Some((at, token)) if at.elapsed() < TOKEN_AGE => Ok(token.clone()),
            _ => {
                // A few hundred bytes of a local file: not worth a thread.
                let token = std::fs::read_to_string(file).map_err(|error| {
                    Status::bad_request(format!("cannot read {}: {error}", file.display()))
                })?;
                let token = token.trim().to_owned();
                *read = Some((Instant::now(), token.clone()));
                Ok(token)
            }
        }
    }
}

// === impl Frames ===

fn frames(body: Incoming) -> Watch {
    let frames = Frames { body, buffer: BytesMut::new(), searched: 0, ended: false };
    stream::unfold(frames, |mut frames| async move { frames.next().await.map(|event| (event, frames)) })
        .boxed()
}

impl Frames {
    /// The next event; `None` when the server has ended the watch.
    async fn next(&mut self) -> Option<WatchEvent> {
        while !self.ended {
            if let Some(line) = self.line() {
                if line.is_empty() {
                    continue;
                }
                let event = json::frame(&line).unwrap_or_else(WatchEvent::Error);
                self.ended = matches!(event, WatchEvent::Error(_));
                return Some(event);
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.buffer.extend_from_slice(data);
                    }
                }
                Some(Err(error)) => return Some(self.fail(format!("the watch broke off: {error}"))),
                None => self.ended = true,
            }
            if self.buffer.len() > FRAME_MAX_BYTES {
                return Some(self.fail("the server sent a watch event that is too long".to_owned()));
            }
        }
        None
    }

    fn fail(&mut self, why: String) -> WatchEvent {
        self.ended = true;
        WatchEvent::Error(Status::unavailable(why))
    }

    fn line(&mut self) -> Option<Bytes> {
        let Some(at) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') else {
            self.searched = self.buffer.len();
            return None;
        };
        let mut line = self.buffer.split_to(self.searched + at + 1);
        self.searched = 0;
        line.truncate(line.len() - 1);
        Some(line.freeze())
    }
}
