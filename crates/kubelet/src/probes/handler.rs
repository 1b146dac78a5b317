//! What a probe or hook does: a command, a request, a connection, a health check (pkg/kubelet/prober,
//! pkg/kubelet/lifecycle).

use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, HTTPGetAction, LifecycleHandler, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use prost::Message;
use tonic::client::Grpc;
use tonic::transport::Endpoint;
use tonic_prost::ProstCodec;

use super::http::{Get, HttpError};
use crate::cri::Cri;

/// What is done.
#[derive(Clone, Debug, PartialEq)]
pub enum Handler {
    /// Runs a command in the container.
    Exec(Vec<String>),
    /// Sends a request.
    Http(HTTPGetAction),
    /// Opens a connection.
    Tcp {
        /// The pod's address if `None`.
        host: Option<String>,
        /// A number, or the name of a port.
        port: IntOrString,
    },
    /// Asks the gRPC health service.
    Grpc {
        /// The port.
        port: i32,
        /// Of which service; empty for the server as a whole.
        service: String,
    },
    /// Waits.
    Sleep(Duration),
    /// Nothing is said.
    Nothing,
}

/// To whom it is done.
#[derive(Clone, Debug)]
pub struct Target {
    /// The container's id.
    pub container_id: String,
    /// The pod's address.
    pub ip: String,
    /// The container, for its named ports.
    pub container: Container,
}

/// How it went.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Well.
    Success,
    /// Well, with something to say.
    Warning(String),
    /// Not well: what was said.
    Failure(String),
    /// It could not be tried.
    Error(String),
}

/// `grpc.health.v1.HealthCheckRequest`.
#[derive(Clone, PartialEq, Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

/// `grpc.health.v1.HealthCheckResponse`.
#[derive(Clone, PartialEq, Message)]
struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// How much of a command's output goes into an event.
const OUTPUT_BYTES_MAX: usize = 10 << 10;

// === impl Handler ===

impl From<&Probe> for Handler {
    fn from(probe: &Probe) -> Handler {
        if let Some(exec) = &probe.exec {
            Handler::Exec(exec.command.clone().unwrap_or_default())
        } else if let Some(get) = &probe.http_get {
            Handler::Http(get.clone())
        } else if let Some(tcp) = &probe.tcp_socket {
            Handler::Tcp { host: tcp.host.clone(), port: tcp.port.clone() }
        } else if let Some(grpc) = &probe.grpc {
            Handler::Grpc { port: grpc.port, service: grpc.service.clone().unwrap_or_default() }
        } else {
            Handler::Nothing
        }
    }
}

impl From<&LifecycleHandler> for Handler {
    fn from(hook: &LifecycleHandler) -> Handler {
        if let Some(exec) = &hook.exec {
            Handler::Exec(exec.command.clone().unwrap_or_default())
        } else if let Some(get) = &hook.http_get {
            Handler::Http(get.clone())
        } else if let Some(sleep) = &hook.sleep {
            Handler::Sleep(Duration::from_secs(sleep.seconds.max(0).unsigned_abs()))
        } else {
            Handler::Nothing
        }
    }
}

impl Handler {
    /// Does it, for at most `timeout`.
    pub async fn run(&self, cri: &Cri, target: &Target, timeout: Duration) -> Outcome {
        match self {
            Handler::Exec(command) => exec(cri, target, command, timeout).await,
            Handler::Http(action) => match get(action, target) {
                Err(port) => Outcome::Error(port),
                Ok(get) => http(&get, timeout).await,
            },
            Handler::Tcp { host, port } => match number(port, &target.container) {
                Err(port) => Outcome::Error(port),
                Ok(port) => {
                    tcp(host.as_deref().filter(|host| !host.is_empty()).unwrap_or(&target.ip), port, timeout)
                        .await
                }
            },
            Handler::Grpc { port, service } => grpc(&target.ip, *port, service, timeout).await,
            Handler::Sleep(duration) => {
                tokio::time::sleep(*duration).await;
                Outcome::Success
            }
            Handler::Nothing => Outcome::Success,
        }
    }
}

async fn exec(cri: &Cri, target: &Target, command: &[String], timeout: Duration) -> Outcome {
    match cri.exec_sync(&target.container_id, command.to_vec(), timeout).await {
        Ok(reply) => {
            let mut output = [reply.stdout, reply.stderr].concat();
            output.truncate(OUTPUT_BYTES_MAX);
            match reply.exit_code {
                0 => Outcome::Success,
                _ => Outcome::Failure(String::from_utf8_lossy(&output).into_owned()),
            }
        }
        Err(error) if error.code == tonic::Code::DeadlineExceeded => {
            let shown = command.join(" ");
            Outcome::Failure(format!("command timed out: {shown:?} timed out after {}s", timeout.as_secs()))
        }
        Err(error) => Outcome::Error(error.to_string()),
    }
}

/// The number of a container's port.
fn number(port: &IntOrString, container: &Container) -> Result<u16, String> {
    let found = match port {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(name) => {
            let named = container.ports.iter().flatten().find(|port| port.name.as_deref() == Some(name));
            named.map(|port| port.container_port).or_else(|| name.parse().ok())
        }
    };
    let shown = match port {
        IntOrString::Int(number) => number.to_string(),
        IntOrString::String(name) => name.clone(),
    };
    found
        .and_then(|number| u16::try_from(number).ok())
        .filter(|number| *number > 0)
        .ok_or_else(|| format!("invalid port number: {shown}"))
}

fn get(action: &HTTPGetAction, target: &Target) -> Result<Get, String> {
    Ok(Get {
        tls: action.scheme.as_deref().is_some_and(|scheme| scheme.eq_ignore_ascii_case("https")),
        host: action.host.clone().filter(|host| !host.is_empty()).unwrap_or_else(|| target.ip.clone()),
        port: number(&action.port, &target.container)?,
        path: action.path.clone().unwrap_or_else(|| "/".to_owned()),
        headers: action
            .http_headers
            .iter()
            .flatten()
            .map(|header| (header.name.clone(), header.value.clone()))
            .collect(),
    })
}

async fn http(get: &Get, timeout: Duration) -> Outcome {
    match tokio::time::timeout(timeout, get.send()).await {
        Err(_) => {
            let what = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)";
            Outcome::Failure(format!("Get {:?}: {what}", get.url()))
        }
        Ok(Err(HttpError::Dial { url, address, source })) => {
            Outcome::Failure(format!("Get {url:?}: dial tcp {address}: connect: {}", plain(&source)))
        }
        Ok(Err(error)) => Outcome::Failure(error.to_string()),
        Ok(Ok(answer)) if answer.elsewhere => {
            Outcome::Warning(format!("Probe terminated redirects, Response body: {}", answer.body))
        }
        Ok(Ok(answer)) if (200..400).contains(&answer.status) => Outcome::Success,
        Ok(Ok(answer)) => Outcome::Failure(format!("HTTP probe failed with statuscode: {}", answer.status)),
    }
}

async fn tcp(host: &str, port: u16, timeout: Duration) -> Outcome {
    let shown = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    match tokio::time::timeout(timeout, tokio::net::TcpStream::connect((host, port))).await {
        Err(_) => Outcome::Failure(format!("dial tcp {shown}: i/o timeout")),
        Ok(Err(error)) => Outcome::Failure(format!("dial tcp {shown}: connect: {}", plain(&error))),
        Ok(Ok(_)) => Outcome::Success,
    }
}

/// As Go names the error.
fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        std::io::ErrorKind::HostUnreachable => "no route to host".to_owned(),
        std::io::ErrorKind::NetworkUnreachable => "network is unreachable".to_owned(),
        _ => error.to_string(),
    }
}

async fn grpc(ip: &str, port: i32, service: &str, timeout: Duration) -> Outcome {
    let host = if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
    let address = format!("{host}:{port}");
    let check = async {
        let endpoint =
            Endpoint::from_shared(format!("http://{address}")).map_err(|error| error.to_string())?;
        let endpoint = endpoint.user_agent("kube-probe/1.36").map_err(|error| error.to_string())?;
        let unreachable = |_| format!("error: failed to connect service {address:?}");
        let channel = endpoint.connect().await.map_err(unreachable)?;
        let mut client = Grpc::new(channel);
        client.ready().await.map_err(|error| error.to_string())?;
        let request = tonic::Request::new(HealthCheckRequest { service: service.to_owned() });
        let path = http::uri::PathAndQuery::from_static("/grpc.health.v1.Health/Check");
        let codec = ProstCodec::<HealthCheckRequest, HealthCheckResponse>::default();
        let reply = client.unary(request, path, codec).await.map_err(|status| match status.code() {
            tonic::Code::Unimplemented => {
                format!("error: this server does not implement the grpc health protocol (grpc.health.v1.Health): {}", status.message())
            }
            code => format!("error: health rpc probe failed: rpc error: code = {code:?} desc = {}", status.message()),
        })?;
        Ok::<i32, String>(reply.into_inner().status)
    };
    match tokio::time::timeout(timeout, check).await {
        Err(_) => Outcome::Failure(format!(
            "timeout: failed to connect service {address:?} within {}s",
            timeout.as_secs()
        )),
        Ok(Err(message)) => Outcome::Failure(message),
        Ok(Ok(1)) => Outcome::Success,
        Ok(Ok(status)) => {
            let name = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"]
                .get(usize::try_from(status).unwrap_or(0));
            Outcome::Failure(format!("service unhealthy (responded with {:?})", name.unwrap_or(&"UNKNOWN")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn serve(answer: &'static str) -> u16 {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let env = decapod_sys::Env::system();
        env.spawn("server", async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut buffer = [0; 1024];
                assert!(stream.read(&mut buffer).await.unwrap() > 0);
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        port
    }

    #[tokio::test]
    async fn requests_and_connections() {
        let ok = serve("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        let bad = serve("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n").await;
        let away =
            serve("HTTP/1.1 302 Found\r\nlocation: http://example.org/\r\ncontent-length: 0\r\n\r\n").await;
        let container: Container =
            serde_json::from_value(json!({ "name": "a", "ports": [{ "name": "web", "containerPort": ok }] }))
                .unwrap();
        let target = Target { container_id: String::new(), ip: "127.0.0.1".into(), container };
        let cri = Cri::new(std::path::Path::new("/nowhere")).unwrap();
        for (probe, expected) in [
            (json!({ "httpGet": { "port": "web", "path": "x" } }), Outcome::Success),
            (
                json!({ "httpGet": { "port": bad } }),
                Outcome::Failure("HTTP probe failed with statuscode: 503".into()),
            ),
            (
                json!({ "httpGet": { "port": away } }),
                Outcome::Warning("Probe terminated redirects, Response body: ".into()),
            ),
            (json!({ "tcpSocket": { "port": ok } }), Outcome::Success),
            (
                json!({ "tcpSocket": { "port": 1 } }),
                Outcome::Failure("dial tcp 127.0.0.1:1: connect: connection refused".into()),
            ),
            (
                json!({ "httpGet": { "port": 1 } }),
                Outcome::Failure(
                    "Get \"http://127.0.0.1:1/\": dial tcp 127.0.0.1:1: connect: connection refused".into(),
                ),
            ),
            (json!({ "httpGet": { "port": "nope" } }), Outcome::Error("invalid port number: nope".into())),
        ] {
            let handler = Handler::from(&serde_json::from_value::<Probe>(probe.clone()).unwrap());
            assert_eq!(handler.run(&cri, &target, Duration::from_secs(5)).await, expected, "{probe}");
        }
    }
}
