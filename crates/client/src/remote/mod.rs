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
pub mod wire;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use decapod_api::Status;
use decapod_sys::Env;
use futures::future::BoxFuture;
use http::header::{ACCEPT, AUTHORIZATION, HeaderValue, USER_AGENT};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use tokio::time::Instant;

use crate::request::{Reply, Request, Verb};
use crate::transport::Transport;
use connect::TlsConnector;

pub use connect::RemoteError;
pub use pin::{Pin, PinError, pinned_authority};

/// How long an answer may take, watches aside: the server's own limit and some more.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(90);
/// How long a token file's content is taken as current (as client-go does).
const TOKEN_AGE: Duration = Duration::from_secs(60);

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
            if head.status.is_success() { Ok(body) } else { Err(wire::failure(&head, &body)) }
        };
        self.in_time(exchange).await
    }

    async fn send(&self, request: &Request) -> Result<http::Response<Incoming>, Status> {
        let http = wire::builder(request, &self.base);
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
            let unreachable = |error: &hyper::Error| unreachable_server(&self.base, error);
            wire::reply(request.verb, response, unreachable).await
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
