//! The proxies to pods, services and nodes.

use std::net::SocketAddr;
use std::sync::Arc;

use decapod_api::meta::GroupResource;
use decapod_api::{Status, Value};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::dialer::is_refused;
use super::forward::forward;
use super::kubelet;
use crate::http::Response;
use crate::http::route::ResourceRoute;
use crate::registry::Lookup;
use crate::server::Server;

/// A name in a proxy's path: `[scheme:]name[:port]`.
struct Named<'a> {
    scheme: &'a str,
    name: &'a str,
    port: &'a str,
}

/// Sends the request on to a pod, to an endpoint of a service, or to a node's kubelet.
pub async fn serve(
    server: &Arc<Server>,
    route: &ResourceRoute,
    request: http::Request<Incoming>,
) -> Result<Response, Status> {
    let named = Named::parse(&route.name)?;
    if let Some(answer) = to_folder(route, &request)? {
        return Ok(answer);
    }
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    let rest = if route.rest.is_empty() { "/" } else { &route.rest };
    let path = format!("{rest}{query}");
    let lookup = &*server.registry;
    let address = match &*route.resource.resource {
        "nodes" => {
            let address = kubelet::address(lookup, named.name)?;
            let stream = server.dialer.kubelet(address).await?;
            return forward(server.env(), stream, request, &path, &address.to_string()).await;
        }
        "services" => service(lookup, &route.namespace, &named)?,
        _ => pod(lookup, &route.namespace, &named)?,
    };
    if is_refused(address.ip()) {
        return Err(Status::bad_request("address not allowed"));
    }
    let host = address.to_string();
    match named.scheme {
        "https" => {
            let stream = server.dialer.endpoint(address).await?;
            forward(server.env(), stream, request, &path, &host).await
        }
        _ => {
            let stream = server.dialer.plain(address).await?;
            forward(server.env(), stream, request, &path, &host).await
        }
    }
}

/// Sends readers of the root to the path with a slash, so that relative links lead to where they should (upstream's
/// proxyRedirectsforRootPath).
fn to_folder(route: &ResourceRoute, request: &http::Request<Incoming>) -> Result<Option<Response>, Status> {
    let reads = matches!(*request.method(), http::Method::GET | http::Method::HEAD);
    let upgrades = request.headers().contains_key(http::header::UPGRADE);
    if !reads || upgrades || !route.rest.is_empty() || request.uri().path().ends_with('/') {
        return Ok(None);
    }
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    let folder = format!("{}/{query}", request.uri().path());
    let empty = http_body_util::Empty::new().map_err(|never| match never {}).boxed_unsync();
    let answer = http::Response::builder()
        .status(http::StatusCode::MOVED_PERMANENTLY)
        .header(http::header::LOCATION, folder)
        .body(empty);
    answer.map(Some).map_err(Status::internal)
}

impl<'a> Named<'a> {
    fn parse(text: &'a str) -> Result<Named<'a>, Status> {
        match text.split(':').collect::<Vec<_>>().as_slice() {
            [name] => Ok(Named { scheme: "", name, port: "" }),
            [name, port] => Ok(Named { scheme: "", name, port }),
            [scheme @ ("" | "http" | "https"), name, port] => Ok(Named { scheme, name, port }),
            _ => Err(Status::bad_request(format!("invalid proxy request {text:?}"))),
        }
    }
}

fn not_found(plural: &'static str, name: &str) -> Status {
    Status::not_found(&GroupResource { group: "".into(), resource: plural.into() }, name)
}

fn pod(lookup: &dyn Lookup, namespace: &str, named: &Named) -> Result<SocketAddr, Status> {
    let pod = lookup.draft("", "pods", namespace, named.name).ok_or_else(|| not_found("pods", named.name))?;
    let ip = pod.str_at(&["status", "podIP"]).and_then(|text| text.parse().ok());
    let ip = ip.ok_or_else(|| Status::bad_request(format!("pod {} has no address yet", named.name)))?;
    let ports =
        || pod.list_at(&["spec", "containers"]).iter().flat_map(|container| container.list_at(&["ports"]));
    let port = match named.port {
        "" => ports().find_map(|port| port.int_at(&["containerPort"])).unwrap_or(80),
        text => match text.parse() {
            Ok(port) => port,
            Err(_) => ports()
                .find(|port| port.str_at(&["name"]) == Some(text))
                .and_then(|port| port.int_at(&["containerPort"]))
                .ok_or_else(|| Status::bad_request(format!("pod {} has no port named {text}", named.name)))?,
        },
    };
    to_address(ip, port)
}

fn service(lookup: &dyn Lookup, namespace: &str, named: &Named) -> Result<SocketAddr, Status> {
    let service = lookup
        .draft("", "services", namespace, named.name)
        .ok_or_else(|| not_found("services", named.name))?;
    let ports = service.list_at(&["spec", "ports"]);
    let wanted = ports.iter().find(|port| match named.port {
        "" => ports.len() == 1,
        text => {
            port.str_at(&["name"]) == Some(text)
                || port.int_at(&["port"]).is_some_and(|n| n.to_string() == text)
        }
    });
    let wanted = wanted.ok_or_else(|| {
        Status::unavailable(format!("no service port {:?} found for service {:?}", named.port, named.name))
    })?;
    let port_name = wanted.str_at(&["name"]).unwrap_or_default();
    let is_ready = |endpoint: &&Value| endpoint.at(&["conditions", "ready"]) != Some(&Value::Bool(false));
    for slice in lookup.drafts("discovery.k8s.io", "endpointslices", namespace) {
        if slice.str_at(&["metadata", "labels", "kubernetes.io/service-name"]) != Some(named.name) {
            continue;
        }
        let port = slice
            .list_at(&["ports"])
            .iter()
            .find(|port| port.str_at(&["name"]).unwrap_or_default() == port_name);
        let endpoint = slice.list_at(&["endpoints"]).iter().find(is_ready);
        let ip = endpoint.and_then(|e| e.list_at(&["addresses"]).first()?.as_str()?.parse().ok());
        if let (Some(port), Some(ip)) = (port.and_then(|port| port.int_at(&["port"])), ip) {
            return to_address(ip, port);
        }
    }
    Err(Status::unavailable(format!("no endpoints available for service {:?}", named.name)))
}

fn to_address(ip: std::net::IpAddr, port: i64) -> Result<SocketAddr, Status> {
    let port = u16::try_from(port).map_err(|_| Status::bad_request(format!("{port} is no port")))?;
    Ok(SocketAddr::new(ip, port))
}
