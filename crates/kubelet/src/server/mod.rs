//! The kubelet's own API, over TLS: health, pods, logs, and streams into containers (pkg/kubelet/server).

mod access;
mod logs;
mod stream;
mod tls;

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use decapod_streams::upgrade;
use decapod_sys::Env;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::config::ServerConfig;
use crate::cri::Cri;
use crate::status::Statuses;
use crate::workers::Workers;

pub use access::{Authorize, Caller, Reviews, Wish};

/// The body of an answer.
type Body = BoxBody<Bytes, io::Error>;

/// The server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Its address is taken or not this machine's.
    #[error(
        "the kubelet cannot listen on {address}: {source}: stop what uses the port, or choose another with --kubelet-port"
    )]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// Its certificate, key or authority is of no use.
    #[error("the kubelet's TLS certificates: {0}")]
    Tls(String),
}

/// What the server serves.
pub struct Server {
    /// The surroundings.
    pub env: Env,
    /// The pods.
    pub workers: Workers,
    /// How they are.
    pub statuses: Statuses,
    /// The container runtime.
    pub cri: Cri,
    /// Changes with every event of the runtime.
    pub events: watch::Receiver<u64>,
    /// Who may what.
    pub access: Arc<dyn Authorize>,
}

// === impl Server ===

impl Server {
    /// Listens as long as the scope lives; the address, for port 0 the one that was given.
    pub async fn start(self, config: &ServerConfig) -> Result<std::net::SocketAddr, ServerError> {
        let acceptor = TlsAcceptor::from(Arc::new(tls::server_config(config)?));
        let listen = |source| ServerError::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let server = Arc::new(self);
        let accepting = Arc::clone(&server);
        server.env.spawn("kubelet-server", async move { accepting.accept(listener, acceptor).await });
        Ok(address)
    }

    async fn accept(self: Arc<Self>, listener: TcpListener, acceptor: TlsAcceptor) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let (server, acceptor) = (Arc::clone(&self), acceptor.clone());
                    self.env.spawn("kubelet-connection", async move { server.serve(stream, acceptor).await });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn serve(self: Arc<Self>, stream: TcpStream, acceptor: TlsAcceptor) {
        if let Err(error) = decapod_sys::tcp::set_up(&stream) {
            tracing::debug!(%error, "socket options");
        }
        let stream = match acceptor.accept(stream).await {
            Ok(stream) => stream,
            Err(error) => {
                tracing::debug!(%error, "a TLS handshake failed");
                return;
            }
        };
        let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let caller = certificate.and_then(|certificate| access::caller(certificate));
        let service = hyper::service::service_fn(move |request| {
            let (server, caller) = (Arc::clone(&self), caller.clone());
            async move { Ok::<_, std::convert::Infallible>(server.answer(request, caller).await) }
        });
        let connection =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "a connection ended badly");
        }
    }

    async fn answer(&self, request: Request<Incoming>, caller: Option<Caller>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let caller = match (caller, access::bearer(request.headers())) {
            (Some(caller), _) => Some(caller),
            (None, Some(token)) => self.access.authenticate(token).await,
            (None, None) => None,
        };
        let Some(caller) = caller else { return text(StatusCode::UNAUTHORIZED, "Unauthorized") };
        let wish = Wish::new(request.method(), &parts);
        if !self.access.authorize(&caller, &wish).await {
            let what = format!(
                "Forbidden (user={}, verb={}, resource=nodes, subresource(s)=[{}])",
                caller.name, wish.verb, wish.subresource
            );
            return text(StatusCode::FORBIDDEN, &what);
        }
        let get = request.method() == Method::GET;
        match parts.as_slice() {
            ["healthz"] if get => text(StatusCode::OK, "ok"),
            ["pods"] if get => self.pods(),
            ["containerLogs", namespace, pod, container] if get => {
                let query = request.uri().query().unwrap_or_default();
                self.container_logs(namespace, pod, container, query).await
            }
            ["exec" | "attach" | "portForward", ..] if !upgrade::is_upgrade(request.headers()) => {
                text(StatusCode::BAD_REQUEST, "Upgrade request required")
            }
            ["exec", namespace, pod, container] | ["exec", namespace, pod, _, container] => {
                self.exec(namespace, pod, container, request).await
            }
            ["attach", namespace, pod, container] | ["attach", namespace, pod, _, container] => {
                self.attach(namespace, pod, container, request).await
            }
            ["portForward", namespace, pod] | ["portForward", namespace, pod, _] => {
                self.port_forward(namespace, pod, request).await
            }
            _ => text(StatusCode::NOT_FOUND, "404 page not found\n"),
        }
    }

    fn pods(&self) -> Response<Body> {
        let with_status = |pod: &Arc<crate::pod::NodePod>| {
            let status = self.statuses.get(pod.uid()).or_else(|| pod.pod.status.clone());
            Pod { status, ..pod.pod.clone() }
        };
        let items: Vec<Pod> = self.workers.list().iter().map(with_status).collect();
        let list =
            serde_json::json!({ "kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items });
        let mut response = text(StatusCode::OK, &list.to_string());
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        response
    }
}

/// An answer of plain text.
fn text(status: StatusCode, text: &str) -> Response<Body> {
    let body = Full::new(Bytes::from(text.to_owned())).map_err(|never| match never {}).boxed();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let plain = header::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}

/// The values of a query, percent-decoded, in order.
fn query(text: &str) -> Vec<(String, String)> {
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key), decode(value))
    };
    text.split('&').filter(|pair| !pair.is_empty()).map(pair).collect()
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = text.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (bytes[at], hex) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
                continue;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The first value of `key`.
fn first<'a>(query: &'a [(String, String)], key: &str) -> Option<&'a str> {
    query.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
}

/// Whether `key` is set to something true.
fn flag(query: &[(String, String)], key: &str) -> bool {
    matches!(first(query, key), Some("1" | "true" | "True" | "TRUE" | "t"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_decoded() {
        let query = query("command=sh&command=-c&command=echo+%22a%26b%22&tty=1&x");
        let commands: Vec<&str> =
            query.iter().filter(|(key, _)| key == "command").map(|(_, value)| value.as_str()).collect();
        assert_eq!(commands, ["sh", "-c", "echo \"a&b\""]);
        assert!(flag(&query, "tty") && !flag(&query, "x"));
    }
}
