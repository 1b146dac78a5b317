//! Connections to what runs on nodes: log, exec, attach, port-forward and the proxies.
//!
//! The server is in the middle: it finds the node (or the endpoint), sends the request on, and copies bytes once both
//! sides have upgraded. Kubelets speak SPDY: what newer clients say in WebSockets is translated here, as upstream's
//! API server does. It follows no redirect and hands on nothing but what the other side answered
//! (CVE-2018-1002105, CVE-2020-8559).

mod admit;
pub mod backend;
mod dialer;
pub mod forward;
mod kubelet;
pub mod links;
mod log;
pub mod proxy;
pub mod service;
mod streams;
pub mod trust;
mod unverified;

use std::net::IpAddr;
use std::sync::Arc;

use decapod_api::Status;
use hyper::body::Incoming;

use crate::http::query::Query;
use crate::http::route::ResourceRoute;
use crate::http::{Response, respond};
use crate::identity::User;
use crate::server::Server;
pub use dialer::Dialer;

/// The address that a request came from; an extension of the request.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// Whether a request opens a connection, instead of reading or writing an object.
pub fn is_connection(route: &ResourceRoute) -> bool {
    matches!(
        (&*route.resource.group, &*route.resource.resource, route.subresource.as_str()),
        ("", "pods", "log" | "exec" | "attach" | "portforward" | "proxy")
            | ("", "services" | "nodes", "proxy")
    )
}

/// The verb that authorization asks about beside the request's own: connections into containers are created, whatever
/// the method that opens them (upstream's AuthorizePodWebsocketUpgradeCreatePermission).
pub fn verb(route: &ResourceRoute) -> Option<&'static str> {
    let opens =
        is_connection(route) && matches!(route.subresource.as_str(), "exec" | "attach" | "portforward");
    opens.then_some("create")
}

/// Answers a request that opens a connection.
pub async fn serve(
    server: &Arc<Server>,
    user: &User,
    route: ResourceRoute,
    query: &Query,
    request: http::Request<Incoming>,
) -> Result<Response, Status> {
    let warnings = admit::connection(server, user, &route, query).await?;
    let mut response = match (&*route.resource.resource, route.subresource.as_str()) {
        ("pods", "log" | "exec" | "attach" | "portforward") => {
            kubelet::serve(server, &route, query, request).await
        }
        _ => proxy::serve(server, &route, request).await,
    }?;
    respond::warn(&mut response, warnings);
    Ok(response)
}
