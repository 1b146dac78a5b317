//! Exec, attach and port-forward: the runtime opens the stream, we hand the connection through, whatever it speaks
//! (SPDY or WebSocket).

use http::uri::Uri;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::{Body, Server, first, flag, query, text};
use crate::cri::CriError;
use crate::cri::types::{
    AttachRequest, ContainerFilter, ContainerStateValue, ExecRequest, PodSandboxFilter, PortForwardRequest,
};
use crate::pod::observed::labels;

/// The connection cannot be handed through.
#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error("the runtime's address {0:?} is of no use")]
    Address(String),
    #[error("cannot reach the runtime's stream server: {0}")]
    Dial(#[from] std::io::Error),
    #[error("the runtime's stream server: {0}")]
    Exchange(#[from] hyper::Error),
    #[error("cannot ask the runtime's stream server: {0}")]
    Request(#[from] http::Error),
}

impl Server {
    /// Runs a command in a container.
    pub(super) async fn exec(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        request: Request<Incoming>,
    ) -> Response<Body> {
        let query = query(request.uri().query().unwrap_or_default());
        let id = match self.running_container(namespace, pod, container).await {
            Ok(id) => id,
            Err(response) => return response,
        };
        let cmd = query.iter().filter(|(key, _)| key == "command").map(|(_, value)| value.clone()).collect();
        let (stdin, stdout, stderr, tty) = streams(&query);
        let wanted = ExecRequest { container_id: id, cmd, tty, stdin, stdout, stderr };
        self.relay_to(self.cri.exec(wanted).await, request).await
    }

    /// Joins a container's own process.
    pub(super) async fn attach(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        request: Request<Incoming>,
    ) -> Response<Body> {
        let query = query(request.uri().query().unwrap_or_default());
        let id = match self.running_container(namespace, pod, container).await {
            Ok(id) => id,
            Err(response) => return response,
        };
        let (stdin, stdout, stderr, _) = streams(&query);
        // The terminal is the container's, whoever asks.
        let tty = self
            .workers
            .find(namespace, pod)
            .and_then(|pod| pod.find(container).map(|(_, container)| container.tty == Some(true)))
            .unwrap_or(false);
        let wanted = AttachRequest { container_id: id, stdin, tty, stdout, stderr: stderr && !tty };
        self.relay_to(self.cri.attach(wanted).await, request).await
    }

    /// Connects to ports of a pod.
    pub(super) async fn port_forward(
        &self,
        namespace: &str,
        pod: &str,
        request: Request<Incoming>,
    ) -> Response<Body> {
        let query = query(request.uri().query().unwrap_or_default());
        let Some(found) = self.workers.find(namespace, pod) else {
            return text(StatusCode::NOT_FOUND, "pod does not exist");
        };
        let selector = [(labels::POD_UID.to_owned(), found.uid().to_owned())].into();
        let sandboxes = self
            .cri
            .list_sandboxes(PodSandboxFilter { label_selector: selector, ..Default::default() })
            .await;
        let newest = sandboxes
            .unwrap_or_default()
            .into_iter()
            .filter(|sandbox| sandbox.state == 0)
            .max_by_key(|sandbox| sandbox.created_at);
        let Some(sandbox) = newest else {
            return text(
                StatusCode::INTERNAL_SERVER_ERROR,
                &format!("failed to find sandbox {namespace}/{pod}"),
            );
        };
        let ports = first(&query, "port").unwrap_or_default();
        let port = ports.split(',').filter_map(|port| port.parse().ok()).collect();
        let wanted = PortForwardRequest { pod_sandbox_id: sandbox.id, port };
        self.relay_to(self.cri.port_forward(wanted).await, request).await
    }

    async fn running_container(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
    ) -> Result<String, Response<Body>> {
        let Some(found) = self.workers.find(namespace, pod) else {
            return Err(text(StatusCode::NOT_FOUND, "pod does not exist"));
        };
        let selector = [
            (labels::POD_UID.to_owned(), found.uid().to_owned()),
            (labels::CONTAINER_NAME.to_owned(), container.to_owned()),
        ];
        let running = ContainerStateValue { state: crate::cri::types::ContainerState::Running as i32 };
        let filter =
            ContainerFilter { label_selector: selector.into(), state: Some(running), ..Default::default() };
        match self.cri.list_containers(filter).await {
            Ok(list) => {
                let newest = list.into_iter().max_by_key(|container| container.created_at);
                newest.map(|container| container.id).ok_or_else(|| {
                    text(StatusCode::INTERNAL_SERVER_ERROR, &format!("container not found ({container:?})"))
                })
            }
            Err(error) => Err(text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string())),
        }
    }

    async fn relay_to(&self, url: Result<String, CriError>, request: Request<Incoming>) -> Response<Body> {
        let url = match url {
            Ok(url) => url,
            Err(error) => return text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        };
        match self.relay(&url, request).await {
            Ok(response) => response,
            Err(error) => text(StatusCode::BAD_GATEWAY, &error.to_string()),
        }
    }

    /// Sends the request on to `url` and, if the other side upgrades, joins the two connections.
    async fn relay(&self, url: &str, mut request: Request<Incoming>) -> Result<Response<Body>, RelayError> {
        let uri: Uri = url.parse().map_err(|_| RelayError::Address(url.to_owned()))?;
        let authority = uri.authority().ok_or_else(|| RelayError::Address(url.to_owned()))?.clone();
        let stream = TcpStream::connect(authority.as_str()).await?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        self.env.spawn("runtime-stream", async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "a stream of the runtime ended badly");
            }
        });
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let mut onward = Request::builder()
            .method(request.method().clone())
            .uri(path)
            .body(Empty::<bytes::Bytes>::new())?;
        *onward.headers_mut() = request.headers().clone();
        onward.headers_mut().remove(header::AUTHORIZATION);
        let host = header::HeaderValue::from_str(authority.as_str()).map_err(http::Error::from)?;
        onward.headers_mut().insert(header::HOST, host);
        let mut answer = sender.send_request(onward).await?;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            let (parts, body) = answer.into_parts();
            return Ok(Response::from_parts(parts, body.map_err(std::io::Error::other).boxed()));
        }
        let theirs = hyper::upgrade::on(&mut answer);
        let ours = hyper::upgrade::on(&mut request);
        self.env.spawn("stream-relay", async move {
            let (Ok(ours), Ok(theirs)) = tokio::join!(ours, theirs) else { return };
            let (mut ours, mut theirs) = (TokioIo::new(ours), TokioIo::new(theirs));
            if let Err(error) = tokio::io::copy_bidirectional(&mut ours, &mut theirs).await {
                tracing::debug!(%error, "a stream ended badly");
            }
        });
        let mut response = text(StatusCode::SWITCHING_PROTOCOLS, "");
        *response.headers_mut() = answer.headers().clone();
        Ok(response)
    }
}

/// Which streams are asked for, by the names that API server and kubectl use: stdin, stdout, stderr, terminal.
fn streams(query: &[(String, String)]) -> (bool, bool, bool, bool) {
    let any = |names: [&str; 2]| names.iter().any(|name| flag(query, name));
    let tty = flag(query, "tty");
    (any(["input", "stdin"]), any(["output", "stdout"]), any(["error", "stderr"]) && !tty, tty)
}
