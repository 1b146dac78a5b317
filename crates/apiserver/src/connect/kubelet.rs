//! log, exec, attach and port-forward: requests that the pod's kubelet answers.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use decapod_api::{Status, Value};
use hyper::body::Incoming;

use super::forward::forward;
use crate::admission::{Attributes, Operation};
use crate::http::Response;
use crate::http::query::Query;
use crate::http::route::ResourceRoute;
use crate::identity::User;
use crate::registry::Lookup;
use crate::server::Server;

/// Sends the request on to the kubelet of the pod's node.
pub async fn serve(
    server: &Arc<Server>,
    user: &User,
    route: &ResourceRoute,
    query: &Query,
    request: http::Request<Incoming>,
) -> Result<Response, Status> {
    let pods = server.registry.kinds().find("", "pods").ok_or_else(Status::no_such_path)?;
    let (namespace, name) = (route.namespace.as_str(), route.name.as_str());
    let pod = server.registry.draft("", "pods", namespace, name);
    let pod = pod.ok_or_else(|| Status::not_found(&pods.group_resource(), name))?;
    let node = pod.str_at(&["spec", "nodeName"]).unwrap_or_default();
    if node.is_empty() {
        return Err(Status::bad_request(format!("pod {name} does not have a host assigned")));
    }
    let path = match route.subresource.as_str() {
        "portforward" => format!("/portForward/{namespace}/{name}"),
        sub => {
            let container = container(&pod, query.get("container").unwrap_or_default(), sub)?;
            let endpoint = if sub == "log" { "containerLogs" } else { sub };
            format!("/{endpoint}/{namespace}/{name}/{container}")
        }
    };
    if route.subresource != "log" {
        admit(server, user, route, &pod)?;
    }
    let address = address(&*server.registry, node)?;
    let path = with_query(&path, &route.subresource, query);
    let stream = server.dialer.kubelet(address).await?;
    forward(server.env(), stream, request, &path, &address.to_string()).await
}

/// Where a node's kubelet listens.
pub fn address(lookup: &dyn Lookup, node: &str) -> Result<SocketAddr, Status> {
    let unavailable = |why: &str| Status::internal(format!("node {node}: {why}"));
    let object = lookup.draft("", "nodes", "", node).ok_or_else(|| unavailable("it is not registered"))?;
    let port = object.int_at(&["status", "daemonEndpoints", "kubeletEndpoint", "Port"]).unwrap_or(10250);
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

/// Admission sees connections too.
fn admit(server: &Server, user: &User, route: &ResourceRoute, pod: &Value) -> Result<(), Status> {
    let pods = server.registry.kinds().find("", "pods").ok_or_else(Status::no_such_path)?;
    let version = pods.stored().clone();
    let attributes = Attributes {
        operation: Operation::Connect,
        resource: &pods,
        version: &version,
        subresource: &route.subresource,
        namespace: &route.namespace,
        name: &route.name,
        object: pod.clone(),
        old: None,
        user,
        dry_run: false,
        warnings: vec![],
    };
    server.registry.admit_connection(&attributes)
}
