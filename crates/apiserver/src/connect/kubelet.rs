//! log, exec, attach and port-forward: requests that the pod's kubelet answers.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use decapod_api::{Status, Value};
use decapod_streams::onward::Onward;
use decapod_streams::remote_command::Options;
use decapod_streams::upgrade;
use http::StatusCode;
use hyper::body::Incoming;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::forward::{failed, handed_on};
use super::{log, streams};
use crate::http::query::Query;
use crate::http::route::ResourceRoute;
use crate::http::{Response, respond};
use crate::registry::Lookup;
use crate::server::Server;

/// Where kubelets listen that do not say where.
const PORT: i64 = 10250;

/// What a pod's kubelet is asked.
pub struct Kubelet {
    address: SocketAddr,
    path: String,
}

/// Sends the request on to the kubelet of the pod's node.
pub async fn serve(
    server: &Arc<Server>,
    route: &ResourceRoute,
    query: &Query,
    request: http::Request<Incoming>,
) -> Result<Response, Status> {
    let pods = server.registry.kinds().find("", "pods").ok_or_else(Status::no_such_path)?;
    let (namespace, name) = (route.namespace.as_str(), route.name.as_str());
    let subresource = route.subresource.as_str();
    let is_log = subresource == "log";
    if is_log {
        log::validate(query, name)?;
    }
    let pod = server.registry.draft("", "pods", namespace, name);
    let pod = pod.ok_or_else(|| Status::not_found(&pods.group_resource(), name))?;
    let container = match subresource {
        "portforward" => String::new(),
        _ => container(&pod, query.get("container").unwrap_or_default(), subresource)?,
    };
    let node = pod.str_at(&["spec", "nodeName"]).unwrap_or_default();
    if node.is_empty() {
        return match is_log {
            // There is nothing yet.
            true => Ok(respond::bytes(StatusCode::OK, "text/plain", "")),
            false => Err(Status::bad_request(format!("pod {name} does not have a host assigned"))),
        };
    }
    let path = match subresource {
        "portforward" => format!("/portForward/{namespace}/{name}"),
        "log" => format!("/containerLogs/{namespace}/{name}/{container}"),
        sub => format!("/{sub}/{namespace}/{name}/{container}"),
    };
    let address = address(&*server.registry, node)?;
    let kubelet = Kubelet { address, path: with_query(&path, subresource, query) };
    let headers = request.headers();
    match subresource {
        "log" => log::serve(server, kubelet, name, request).await,
        _ if !upgrade::is_upgrade(headers) => Err(Status::bad_request("Upgrade request required")),
        "portforward" if upgrade::offers_tunnel(headers) => streams::tunnel(server, kubelet, request).await,
        "exec" | "attach" if upgrade::offers_half_close(headers) => {
            let flags = ["stdin", "stdout", "stderr", "tty"].map(|name| query.flag(name));
            let options = Options::new(flags[0], flags[1], flags[2], flags[3]);
            let options = options.map_err(|error| Status::bad_request(error.to_string()))?;
            Ok(streams::remote_command(server, kubelet, options, request))
        }
        _ => {
            let (host, onward) = (kubelet.host(), kubelet.dial(server).await?);
            let answer = onward.forward(server.env(), request).await;
            answer.map(handed_on).map_err(|error| failed(&host, &error))
        }
    }
}

/// Where a node's kubelet listens.
pub fn address(lookup: &dyn Lookup, node: &str) -> Result<SocketAddr, Status> {
    let unavailable = |why: &str| Status::internal(format!("node {node}: {why}"));
    let object = lookup.draft("", "nodes", "", node).ok_or_else(|| unavailable("it is not registered"))?;
    let port = object.int_at(&["status", "daemonEndpoints", "kubeletEndpoint", "Port"]);
    let port = port.filter(|port| *port > 0).unwrap_or(PORT);
    let addresses = object.list_at(&["status", "addresses"]);
    // Upstream's order of preference.
    let of_kind = |kind: &str| {
        let found = addresses.iter().find(|address| address.str_at(&["type"]) == Some(kind));
        found.and_then(|address| address.str_at(&["address"])).and_then(|text| text.parse::<IpAddr>().ok())
    };
    let ip = of_kind("InternalIP")
        .or_else(|| of_kind("ExternalIP"))
        .ok_or_else(|| unavailable("it has no address"))?;
    let port = u16::try_from(port).map_err(|_| unavailable("its kubelet has no port"))?;
    Ok(SocketAddr::new(ip, port))
}

/// The container that is meant: the one named, or the only one, or the one that the pod's annotation names.
fn container(pod: &Value, asked: &str, subresource: &str) -> Result<String, Status> {
    let names = |field: &str| -> Vec<&str> {
        pod.list_at(&["spec", field]).iter().filter_map(|container| container.str_at(&["name"])).collect()
    };
    let (own, init, ephemeral) = (names("containers"), names("initContainers"), names("ephemeralContainers"));
    let pod_name = pod.str_at(&["metadata", "name"]).unwrap_or_default();
    if !asked.is_empty() {
        let known = own.iter().chain(&init).chain(&ephemeral).any(|name| *name == asked);
        return match known {
            true => Ok(asked.to_owned()),
            false => Err(Status::bad_request(format!("container {asked} is not valid for pod {pod_name}"))),
        };
    }
    let default = pod.str_at(&["metadata", "annotations", "kubectl.kubernetes.io/default-container"]);
    match (own.as_slice(), default) {
        ([only], _) if init.is_empty() || subresource != "log" => Ok((*only).to_owned()),
        (_, Some(default)) if own.contains(&default) => Ok(default.to_owned()),
        ([only], _) if ephemeral.is_empty() && init.is_empty() => Ok((*only).to_owned()),
        _ => {
            let choices = own.join(" ");
            let mut why =
                format!("a container name must be specified for pod {pod_name}, choose one of: [{choices}]");
            if !init.is_empty() {
                why.push_str(&format!(" or one of the init containers: [{}]", init.join(" ")));
            }
            Err(Status::bad_request(why))
        }
    }
}

/// The kubelet's names of the options.
fn with_query(path: &str, subresource: &str, query: &Query) -> String {
    let mut pairs: Vec<String> = Vec::new();
    for (key, value) in query.pairs() {
        let key = match (subresource, key.as_str()) {
            (_, "container") => continue,
            ("exec" | "attach", "stdin") => "input",
            ("exec" | "attach", "stdout") => "output",
            ("exec" | "attach", "stderr") => "error",
            ("portforward", "ports") => "port",
            (_, key) => key,
        };
        let value = match (key, value.as_str()) {
            ("input" | "output" | "error" | "tty", "true") => "1",
            ("input" | "output" | "error" | "tty", "false") => "0",
            (_, value) => value,
        };
        pairs.push(format!("{}={}", encode(key), encode(value)));
    }
    if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", pairs.join("&")) }
}

fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

// === impl Kubelet ===

impl Kubelet {
    /// Its name in messages and requests.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Connects to it.
    pub async fn dial(self, server: &Server) -> Result<Onward<TlsStream<TcpStream>>, Status> {
        let (io, host) = (server.dialer.kubelet(self.address).await?, self.host());
        Ok(Onward { io, path: self.path, host })
    }
}
