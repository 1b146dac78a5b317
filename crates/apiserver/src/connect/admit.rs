//! Admission of connections: it sees who opens what, and the options of it
//! (k8s.io/apiserver/pkg/endpoints/handlers, `ConnectResource`).

use decapod_api::meta::GroupVersionKind;
use decapod_api::{Status, Value};

use crate::admission::{Attributes, Operation, Rounds};
use crate::http::query::Query;
use crate::http::route::ResourceRoute;
use crate::identity::User;
use crate::registry::Warnings;
use crate::server::Server;

/// Asks admission about a connection. Reading a log is none. Returns what the client is to be told.
pub async fn connection(
    server: &Server,
    user: &User,
    route: &ResourceRoute,
    query: &Query,
) -> Result<Vec<String>, Status> {
    if route.subresource == "log" {
        return Ok(vec![]);
    }
    let resource = server.registry.kinds().find(&route.resource.group, &route.resource.resource);
    let resource = resource.ok_or_else(Status::no_such_path)?;
    let version = resource.version(&route.resource.version).ok_or_else(Status::no_such_path)?;
    let kind = &version.subresource(&route.subresource).ok_or_else(Status::no_such_path)?.kind;
    let warnings = Warnings::default();
    let mut attributes = Attributes {
        operation: Operation::Connect,
        resource: &resource,
        version,
        subresource: &route.subresource,
        namespace: &route.namespace,
        name: &route.name,
        object: options(kind, route, query),
        old: None,
        kind,
        options: &|| Value::Null,
        user,
        dry_run: false,
        warnings: &warnings,
        rounds: Rounds::default(),
    };
    server.registry.admit_connection(&mut attributes).await?;
    Ok(warnings.take())
}

/// The options that the query says, such as `PodExecOptions`.
fn options(kind: &GroupVersionKind, route: &ResourceRoute, query: &Query) -> Value {
    let mut options = Value::map();
    if kind.kind.ends_with("ProxyOptions") {
        if !route.rest.is_empty() {
            options.set_at(&["path"], route.rest.as_str());
        }
        return options;
    }
    for (key, value) in query.pairs() {
        match key.as_str() {
            "stdin" | "stdout" | "stderr" | "tty" if query.flag(key) => options.set_at(&[key], true),
            "container" => options.set_at(&[key], value.as_str()),
            "command" => options.entry_at(&[key]).ensure_list().push(value.as_str().into()),
            "ports" => {
                let ports = value.split(',').filter_map(|port| port.parse::<i64>().ok());
                options.entry_at(&[key]).ensure_list().extend(ports.map(Value::from));
            }
            _ => {}
        }
    }
    options
}
