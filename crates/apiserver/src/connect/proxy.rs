//! The proxies to pods, services and nodes.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use decapod_api::meta::GroupResource;
use decapod_api::{Status, Value};
use decapod_streams::upgrade::is_upgrade;
use http::header::{HOST, HeaderName, HeaderValue};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::dialer::is_refused;
use super::forward::forward;
use super::links::{self, Site};
use super::{Peer, kubelet};
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

/// Whom a request goes on to.
enum Backend {
    /// A kubelet.
    Kubelet(SocketAddr),
    /// A pod over TLS.
    Tls(SocketAddr),
    /// A pod.
    Plain(SocketAddr),
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Sends the request on to a pod, to an endpoint of a service, or to a node's kubelet.
pub async fn serve(
    server: &Arc<Server>,
    route: &ResourceRoute,
    mut request: http::Request<Incoming>,
) -> Result<Response, Status> {
    let named = Named::parse(&route.name)?;
    if let Some(answer) = to_folder(route, &request)? {
        return Ok(answer);
    }
    let backend = Backend::find(&*server.registry, route, &named)?;
    let (prefix, path) = split(route, request.uri().path());
    let (prefix, path) = (prefix.to_owned(), if path.is_empty() { "/" } else { path }.to_owned());
    let site = Site { prefix, asked: asked(&request), backend: backend.names() };
    let (upgrades, method) = (is_upgrade(request.headers()), request.method().clone());
    forwarded_for(&mut request);
    if !upgrades {
        links::announce(&site, &path, request.headers_mut());
    }
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    let host = if site.asked.is_empty() { backend.address().to_string() } else { site.asked.clone() };
    let answer = backend.forward(server, request, &format!("{path}{query}"), &host).await;
    match upgrades {
        true => answer,
        false => links::rewrite(site, &method, answer.map_err(unreachable)?),
    }
}

/// Upstream's transport says so of whatever keeps a backend from answering.
fn unreachable(status: Status) -> Status {
    let why = status.details.as_ref().and_then(|details| details.causes.first());
    let why = why.map_or(status.message.as_str(), |cause| cause.message.as_str());
    Status::unavailable(format!("error trying to reach service: {why}"))
}

/// The path up to `proxy`, and what follows it, as the client has encoded them.
fn split<'a>(route: &ResourceRoute, path: &'a str) -> (&'a str, &'a str) {
    let segments = if route.namespace.is_empty() { 5 } else { 7 };
    let first = path.len() - path.trim_start_matches('/').len();
    let slash = path[first..].match_indices('/').nth(segments - 1);
    path.split_at(slash.map_or(path.len(), |(at, _)| first + at))
}

/// By which name and port the client asked.
pub fn asked(request: &http::Request<Incoming>) -> String {
    let authority = request.uri().authority().map(|authority| authority.as_str());
    let header = || request.headers().get(HOST).and_then(|host| host.to_str().ok());
    authority.or_else(header).unwrap_or_default().to_owned()
}

/// Adds the client to those for whom the request was forwarded.
pub fn forwarded_for(request: &mut http::Request<Incoming>) {
    let Some(Peer(client)) = request.extensions().get::<Peer>().copied() else { return };
    let earlier = request.headers().get_all(X_FORWARDED_FOR);
    let mut clients: Vec<&str> = earlier.iter().filter_map(|value| value.to_str().ok()).collect();
    let client = client.to_string();
    clients.push(&client);
    if let Ok(clients) = HeaderValue::from_str(&clients.join(", ")) {
        request.headers_mut().insert(X_FORWARDED_FOR, clients);
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

// === impl Backend ===

impl Backend {
    fn find(lookup: &dyn Lookup, route: &ResourceRoute, named: &Named) -> Result<Backend, Status> {
        let address = match &*route.resource.resource {
            "nodes" => return kubelet::address(lookup, named.name).map(Backend::Kubelet),
            "services" => {
                let found = endpoints(lookup, &route.namespace, named.name, named.port)?;
                *found.first().ok_or_else(|| no_endpoints(named.name))?
            }
            _ => pod(lookup, &route.namespace, named)?,
        };
        if is_refused(address.ip()) {
            return Err(Status::bad_request("address not allowed"));
        }
        Ok(if named.scheme == "https" { Backend::Tls(address) } else { Backend::Plain(address) })
    }

    fn address(&self) -> SocketAddr {
        match self {
            Backend::Kubelet(address) | Backend::Tls(address) | Backend::Plain(address) => *address,
        }
    }

    /// How its own links may call it.
    fn names(&self) -> Vec<String> {
        let (address, usual) = (self.address(), if matches!(self, Backend::Plain(_)) { 80 } else { 443 });
        let mut names = vec![address.to_string()];
        if address.port() == usual {
            names.push(match address.ip() {
                IpAddr::V4(ip) => ip.to_string(),
                IpAddr::V6(ip) => format!("[{ip}]"),
            });
        }
        names
    }

    async fn forward(
        &self,
        server: &Server,
        request: http::Request<Incoming>,
        path: &str,
        host: &str,
    ) -> Result<Response, Status> {
        let (env, dialer) = (server.env(), &server.dialer);
        match self {
            Backend::Kubelet(at) => forward(env, dialer.kubelet(*at).await?, request, path, host).await,
            Backend::Tls(at) => forward(env, dialer.endpoint(*at).await?, request, path, host).await,
            Backend::Plain(at) => forward(env, dialer.plain(*at).await?, request, path, host).await,
        }
    }
}

// === impl Named ===

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

/// The addresses of the ready endpoints of a service, at its port of this name or number; at its only one, if that is
/// empty. At least one.
pub fn endpoints(
    lookup: &dyn Lookup,
    namespace: &str,
    name: &str,
    port: &str,
) -> Result<Vec<SocketAddr>, Status> {
    let service = lookup.draft("", "services", namespace, name).ok_or_else(|| not_found("services", name))?;
    let ports = service.list_at(&["spec", "ports"]);
    let wanted = ports.iter().find(|offered| match port {
        "" => ports.len() == 1,
        text => {
            offered.str_at(&["name"]) == Some(text)
                || offered.int_at(&["port"]).is_some_and(|n| n.to_string() == text)
        }
    });
    let wanted = wanted
        .ok_or_else(|| Status::unavailable(format!("no service port {port:?} found for service {name:?}")))?;
    let port_name = wanted.str_at(&["name"]).unwrap_or_default();
    let is_ready = |endpoint: &&Value| endpoint.at(&["conditions", "ready"]) != Some(&Value::Bool(false));
    let mut found = Vec::new();
    for slice in lookup.drafts("discovery.k8s.io", "endpointslices", namespace) {
        if slice.str_at(&["metadata", "labels", "kubernetes.io/service-name"]) != Some(name) {
            continue;
        }
        let port = slice
            .list_at(&["ports"])
            .iter()
            .find(|port| port.str_at(&["name"]).unwrap_or_default() == port_name);
        let Some(port) = port.and_then(|port| port.int_at(&["port"])) else { continue };
        for endpoint in slice.list_at(&["endpoints"]).iter().filter(is_ready) {
            let address = endpoint.list_at(&["addresses"]).first().and_then(Value::as_str);
            if let Some(ip) = address.and_then(|address| address.parse().ok()) {
                found.push(to_address(ip, port)?);
            }
        }
    }
    if found.is_empty() { Err(no_endpoints(name)) } else { Ok(found) }
}

fn no_endpoints(service: &str) -> Status {
    Status::unavailable(format!("no endpoints available for service {service:?}"))
}

fn to_address(ip: std::net::IpAddr, port: i64) -> Result<SocketAddr, Status> {
    let port = u16::try_from(port).map_err(|_| Status::bad_request(format!("{port} is no port")))?;
    Ok(SocketAddr::new(ip, port))
}
