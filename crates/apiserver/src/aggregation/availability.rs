//! Whether an API server behind a service is there, and the condition that says so
//! (k8s.io/kube-aggregator/pkg/controllers/status/remote).

use decapod_api::{Status, Value, value};
use decapod_client::Options;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use http::StatusCode;

use super::api_service::{ApiService, Condition, Reference};
use super::fetch::{self, Question};
use super::remote::Remote;
use crate::identity::{MASTERS, User};
use crate::registry::{Edit, Lookup, Preconditions, Target};
use crate::server::Server;

/// As whom the server asks.
const ASKER: &str = "system:kube-aggregator";
/// How many endpoints are asked, of which one has to answer.
const ATTEMPTS: usize = 5;

/// What is wrong with the service, before anybody is asked; nothing, if all is well. `slices` are the service's own.
pub fn of_service(reference: &Reference, service: Option<&Value>, slices: &[Value]) -> Option<Condition> {
    let Reference { namespace, name, port, .. } = reference;
    let failed = |reason: &str, message: String| Some(Condition::new("False", reason, message));
    let Some(service) = service else {
        return failed("ServiceNotFound", format!("service/{name} in {namespace:?} is not present"));
    };
    if service.str_at(&["spec", "type"]) != Some("ClusterIP") {
        return None;
    }
    let ports = service.list_at(&["spec", "ports"]);
    let Some(offered) = ports.iter().find(|offered| offered.int_at(&["port"]) == Some(i64::from(*port)))
    else {
        let why = format!("service/{name} in {namespace:?} is not listening on port {port}");
        return failed("ServicePortError", why);
    };
    let port_name = offered.str_at(&["name"]).unwrap_or_default();
    if slices.is_empty() {
        let why = format!("cannot find endpointslices for service/{name} in {namespace:?}");
        return failed("EndpointsNotFound", why);
    }
    let is_ready = |endpoint: &Value| endpoint.at(&["conditions", "ready"]) != Some(&Value::Bool(false));
    let has_port = |port: &Value| {
        port.str_at(&["name"]).unwrap_or_default() == port_name && port.int_at(&["port"]).is_some()
    };
    let serves = |slice: &Value| {
        slice.list_at(&["endpoints"]).iter().any(is_ready) && slice.list_at(&["ports"]).iter().any(has_port)
    };
    if !slices.iter().any(serves) {
        let why = format!(
            "endpointslices for service/{name} in {namespace:?} have no addresses with port name {port_name:?}"
        );
        return failed("MissingEndpoints", why);
    }
    None
}

/// Looks whether it is there.
pub async fn check(server: &Server, service: &ApiService, remote: &Remote) -> Condition {
    let reference = &remote.reference;
    let lookup = &*server.registry;
    let found = lookup.draft("", "services", &reference.namespace, &reference.name);
    let slices: Vec<Value> = lookup
        .drafts("discovery.k8s.io", "endpointslices", &reference.namespace)
        .into_iter()
        .filter(|slice| {
            slice.str_at(&["metadata", "labels", "kubernetes.io/service-name"]) == Some(&reference.name)
        })
        .collect();
    if let Some(wrong) = of_service(reference, found.as_ref(), &slices) {
        return wrong;
    }
    match answers(server, service, remote).await {
        Ok(()) => Condition::new("True", "Passed", "all checks passed"),
        Err(why) => Condition::new("False", "FailedDiscoveryCheck", why),
    }
}

/// Whether an endpoint says what it serves.
async fn answers(server: &Server, service: &ApiService, remote: &Remote) -> Result<(), String> {
    let path = fetch::discovery_path(&service.group, &service.version);
    let user = User { groups: vec![MASTERS.to_owned()], name: ASKER.to_owned(), ..User::default() };
    let addresses = remote.backend.addresses(server).await?;
    let mut asked: FuturesUnordered<_> = addresses
        .iter()
        .take(ATTEMPTS)
        .map(|address| {
            let question = Question { path: &path, accept: "*/*", etag: "", user: &user };
            let url = format!("https://{address}{path}");
            async move {
                let why = match fetch::ask_at(server, remote, *address, &question).await {
                    Ok(answer) if answer.code.is_success() => return Ok(()),
                    Ok(answer) => bad_status(&url, answer.code),
                    Err(why) => format!("Get {url:?}: {why}"),
                };
                Err(format!("failing or missing response from {url}: {why}"))
            }
        })
        .collect();
    let mut last = Err("no addresses".to_owned());
    while let Some(answered) = asked.next().await {
        last = answered;
        if last.is_ok() {
            break;
        }
    }
    last
}

fn bad_status(url: &str, code: StatusCode) -> String {
    format!("bad status from {url}: {}", code.as_u16())
}

/// Writes the condition, unless it is said already, or what was looked at is not what is there now.
pub async fn write(server: &Server, service: &ApiService, condition: &Condition) -> Result<(), Status> {
    let now = server.env().now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let uid = Some(service.uid.clone());
    let written = change(server, &service.name, uid, "status", |object| {
        if ApiService::read(object).reference == service.reference {
            set_condition(object, condition, &now);
        }
    });
    match written.await {
        Err(status) if status.is_not_found() || status.code == 409 => Ok(()),
        written => written,
    }
}

/// Changes an APIService, or a part of it, as the server itself does.
pub async fn change(
    server: &Server,
    name: &str,
    uid: Option<String>,
    subresource: &str,
    edit: impl Fn(&mut Value),
) -> Result<(), Status> {
    let registry = &server.registry;
    let target = Target {
        resource: registry.kinds().find(super::GROUP, super::PLURAL).ok_or_else(Status::no_such_path)?,
        version: 0,
        namespace: String::new(),
        name: name.to_owned(),
        subresource: subresource.to_owned(),
    };
    let expect = Preconditions { uid, ..Preconditions::default() };
    let set = |current: &Value| {
        let mut new = current.clone();
        edit(&mut new);
        Ok(Edit::Update(new))
    };
    registry.change(&super::context(), &target, &Options::default(), &expect, set).await.map(drop)
}

/// Upstream's `SetAPIServiceCondition`: the time is that of the last change from one status to another.
fn set_condition(object: &mut Value, condition: &Condition, now: &str) {
    let Condition { status, reason, message } = condition;
    let conditions = object.entry_at(&["status", "conditions"]).ensure_list();
    let place = conditions.iter().position(|other| other.str_at(&["type"]) == Some("Available"));
    let earlier = place.map(|at| &conditions[at]).filter(|old| old.str_at(&["status"]) == Some(status));
    let since = earlier.and_then(|old| old.str_at(&["lastTransitionTime"])).unwrap_or(now).to_owned();
    let new = value!({"type": "Available", "status": status.as_str(), "lastTransitionTime": since,
        "reason": reason.as_str(), "message": message.as_str()});
    match place {
        Some(at) => conditions[at] = new,
        None => conditions.push(new),
    }
}
