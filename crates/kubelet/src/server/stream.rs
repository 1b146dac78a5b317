//! Exec, attach and port-forward: the runtime opens the streams, we hand the connection through, as it speaks SPDY and
//! WebSocket up to v4 itself (pkg/kubelet/server's getExec, getAttach, getPortForward). What newer clients speak the API
//! server translates, ours and upstream's alike: a node says that it wants none of it by not declaring
//! `ExtendWebSocketsToKubelet`.

use decapod_streams::onward::{Onward, OnwardError};
use decapod_streams::remote_command::{NoStreams, Options};
use decapod_streams::{port_forward, upgrade};
use http::uri::Uri;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::net::TcpStream;

use super::{Body, Server, flag, query, text};
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
    Exchange(#[from] OnwardError),
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
        let Options { stdin, stdout, stderr, tty } = match streams(&query) {
            Ok(options) => options,
            Err(error) => return text(StatusCode::BAD_REQUEST, &error.to_string()),
        };
        let id = match self.running_container(namespace, pod, container).await {
            Ok(id) => id,
            Err(response) => return response,
        };
        let cmd = query.iter().filter(|(key, _)| key == "command").map(|(_, value)| value.clone()).collect();
        let wanted = ExecRequest { container_id: id, cmd, tty, stdin, stdout, stderr };
        self.relay(self.cri.exec(wanted).await, request).await
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
        let Options { stdin, stdout, stderr, .. } = match streams(&query) {
            Ok(options) => options,
            Err(error) => return text(StatusCode::BAD_REQUEST, &error.to_string()),
        };
        let id = match self.running_container(namespace, pod, container).await {
            Ok(id) => id,
            Err(response) => return response,
        };
        // The terminal is the container's, whoever asks.
        let tty = self
            .workers
            .find(namespace, pod)
            .and_then(|pod| pod.find(container).map(|(_, container)| container.tty == Some(true)))
            .unwrap_or(false);
        let wanted = AttachRequest { container_id: id, stdin, tty, stdout, stderr: stderr && !tty };
        self.relay(self.cri.attach(wanted).await, request).await
    }

    /// Connects to ports of a pod.
    pub(super) async fn port_forward(
        &self,
        namespace: &str,
        pod: &str,
        request: Request<Incoming>,
    ) -> Response<Body> {
        let query = query(request.uri().query().unwrap_or_default());
        // Over SPDY each stream names its port.
        let port = if upgrade::is_web_socket(request.headers()) {
            let values = query.iter().filter(|(key, _)| key == "port").map(|(_, value)| value.as_str());
            match port_forward::ports(values) {
                Ok(ports) => ports.into_iter().map(i32::from).collect(),
                Err(error) => return text(StatusCode::BAD_REQUEST, &error.to_string()),
            }
        } else {
            Vec::new()
        };
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
        let wanted = PortForwardRequest { pod_sandbox_id: sandbox.id, port };
        self.relay(self.cri.port_forward(wanted).await, request).await
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

    /// Sends the request on to the runtime's stream server; the two connections are joined if that upgrades.
    async fn relay(&self, url: Result<String, CriError>, request: Request<Incoming>) -> Response<Body> {
        let onward = match url {
            Ok(url) => dial(&url).await,
            Err(error) => return text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        };
        let answer = match onward {
            Ok(onward) => onward.forward(&self.env, request).await.map_err(RelayError::from),
            Err(error) => Err(error),
        };
        match answer {
            Ok(answer) => answer.map(|body| body.map_err(std::io::Error::other).boxed()),
            Err(error) => text(StatusCode::BAD_GATEWAY, &error.to_string()),
        }
    }
}

/// Connects to the runtime's stream server.
async fn dial(url: &str) -> Result<Onward<TcpStream>, RelayError> {
    let address = || RelayError::Address(url.to_owned());
    let uri: Uri = url.parse().map_err(|_| address())?;
    let host = uri.authority().ok_or_else(address)?.to_string();
    let io = TcpStream::connect(&host).await?;
    decapod_sys::tcp::set_up(&io)?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    Ok(Onward { io, path, host })
}

/// Which streams are asked for, by the names that API server and kubectl use.
fn streams(query: &[(String, String)]) -> Result<Options, NoStreams> {
    let any = |names: [&str; 2]| names.iter().any(|name| flag(query, name));
    let (stdin, stdout, stderr) =
        (any(["input", "stdin"]), any(["output", "stdout"]), any(["error", "stderr"]));
    Options::new(stdin, stdout, stderr, flag(query, "tty"))
}
