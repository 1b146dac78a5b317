//! Where services are that the server asks itself: admission webhooks and aggregated API servers.
//!
//! A service is its ready endpoints, for the server need not be on a node (upstream's --enable-aggregator-routing); one
//! that is only a name is looked up (k8s.io/apiserver/pkg/util/proxy, `ResolveEndpoint` and `ResolveCluster`).

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};

use decapod_sys::Env;

use super::proxy::endpoints;
use crate::registry::Lookup;

/// The addresses of a service at its port `port`, each as likely as another to be the first. The text of an error is
/// upstream's.
pub async fn addresses(
    env: &Env,
    lookup: &dyn Lookup,
    namespace: &str,
    name: &str,
    port: u16,
) -> Result<Vec<SocketAddr>, String> {
    let mut found = match external_name(lookup, namespace, name) {
        Some(host) => of_host(&host, port).await?,
        None => endpoints(lookup, namespace, name, &port.to_string()).map_err(|status| {
            match status.is_not_found() {
                true => format!("service {name:?} not found"),
                false => status.message,
            }
        })?,
    };
    let first = env.random_below(found.len().max(1) as u64) as usize;
    found.rotate_left(first);
    Ok(found)
}

/// The addresses of a host by name or address.
pub async fn of_host(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let found = tokio::net::lookup_host((host, port)).await;
    found.map(Iterator::collect).map_err(|_| format!("dial tcp: lookup {host}: no such host"))
}

/// Where a service leads that is only a name.
fn external_name(lookup: &dyn Lookup, namespace: &str, name: &str) -> Option<String> {
    let service = lookup.draft("", "services", namespace, name)?;
    let is_name = service.str_at(&["spec", "type"]) == Some("ExternalName");
    service.str_at(&["spec", "externalName"]).filter(|_| is_name).map(str::to_owned)
}

/// Why nobody could be connected to, in the words of Go's net.
pub fn undialed(address: SocketAddr, error: &std::io::Error) -> String {
    let why = match error.kind() {
        ErrorKind::ConnectionRefused => "connect: connection refused".to_owned(),
        ErrorKind::HostUnreachable => "connect: no route to host".to_owned(),
        ErrorKind::NetworkUnreachable => "connect: network is unreachable".to_owned(),
        ErrorKind::TimedOut => "i/o timeout".to_owned(),
        _ => error.to_string(),
    };
    format!("dial tcp {address}: {why}")
}

/// Why an exchange failed.
pub fn explain(error: &hyper::Error) -> String {
    if error.is_incomplete_message() || error.is_canceled() { "EOF".to_owned() } else { error.to_string() }
}
