//! Endpoint slices as the proxy sees them.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use k8s_openapi::api::discovery::v1::EndpointSlice;

use crate::service::protocol_number;

/// What of an endpoint slice concerns a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    /// The service's name, in the slice's namespace.
    pub service: String,
    /// The ports of all endpoints.
    pub ports: Vec<SlicePort>,
    /// The endpoints.
    pub endpoints: Vec<SliceEndpoint>,
}

/// A port of a slice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlicePort {
    /// The name of the service's port.
    pub name: String,
    /// The transport protocol's number.
    pub protocol: u8,
    /// At the endpoints.
    pub port: u16,
}

/// An endpoint of a slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SliceEndpoint {
    /// Its address.
    pub address: IpAddr,
    /// Whether it is on this node.
    pub local: bool,
    /// What it can do.
    pub condition: Condition,
    /// The zones that should use it; empty if nobody said.
    pub zones: Vec<String>,
    /// The nodes that should use it; empty if nobody said.
    pub nodes: Vec<String>,
}

/// What an endpoint can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// Nothing.
    Down,
    /// It serves, but is about to end.
    Terminating,
    /// It serves, but is not to be used.
    Serving,
    /// It is to be used.
    Ready,
}

/// An endpoint of a service's port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Where it is.
    pub target: SocketAddr,
    /// Whether it is on this node.
    pub local: bool,
    /// What it can do.
    pub condition: Condition,
    /// The zones that should use it; empty if nobody said.
    pub zones: Vec<String>,
    /// The nodes that should use it; empty if nobody said.
    pub nodes: Vec<String>,
}

/// The label by which a slice names its service.
pub const SERVICE_LABEL: &str = "kubernetes.io/service-name";

// === impl Slice ===

impl Slice {
    /// What concerns the node called `node`; `None` for slices without addresses.
    pub fn of(slice: &EndpointSlice, node: &str) -> Option<Slice> {
        if !matches!(slice.address_type.as_str(), "IPv4" | "IPv6") {
            return None;
        }
        let service = slice.metadata.labels.as_ref()?.get(SERVICE_LABEL).filter(|name| !name.is_empty())?;
        let ports = slice.ports.iter().flatten().filter_map(|port| {
            Some(SlicePort {
                name: port.name.clone().unwrap_or_default(),
                protocol: protocol_number(port.protocol.as_deref())?,
                port: u16::try_from(port.port?).ok()?,
            })
        });
        let endpoints = slice.endpoints.iter().flatten().filter_map(|endpoint| {
            let conditions = endpoint.conditions.as_ref();
            let is = |of: fn(&k8s_openapi::api::discovery::v1::EndpointConditions) -> Option<bool>,
                      default: bool| { conditions.and_then(of).unwrap_or(default) };
            let condition =
                match (is(|c| c.ready, true), is(|c| c.serving, true), is(|c| c.terminating, false)) {
                    (true, _, _) => Condition::Ready,
                    (false, true, true) => Condition::Terminating,
                    (false, true, false) => Condition::Serving,
                    (false, false, _) => Condition::Down,
                };
            let hints = endpoint.hints.as_ref();
            let zones = hints.and_then(|hints| hints.for_zones.as_ref()).into_iter().flatten();
            let nodes = hints.and_then(|hints| hints.for_nodes.as_ref()).into_iter().flatten();
            Some(SliceEndpoint {
                // All of an endpoint's addresses are the same to the API; the first is used, as upstream does.
                address: endpoint.addresses.first()?.parse().ok()?,
                local: endpoint.node_name.as_deref() == Some(node),
                condition,
                zones: zones.map(|zone| zone.name.clone()).collect(),
                nodes: nodes.map(|node| node.name.clone()).collect(),
            })
        });
        Some(Slice { service: service.clone(), ports: ports.collect(), endpoints: endpoints.collect() })
    }
}

/// The endpoints of one port of a service, in order of their addresses, from all its slices. An endpoint that two
/// slices have is what the better of them says: one may lag behind while it moves.
pub fn of_port<'a>(
    slices: impl Iterator<Item = &'a Slice>,
    name: &str,
    protocol: u8,
    ipv4: bool,
) -> Vec<Endpoint> {
    let mut found: BTreeMap<SocketAddr, Endpoint> = BTreeMap::new();
    for slice in slices {
        for port in slice.ports.iter().filter(|port| port.protocol == protocol && port.name == name) {
            for endpoint in slice.endpoints.iter().filter(|endpoint| endpoint.address.is_ipv4() == ipv4) {
                let target = SocketAddr::new(endpoint.address, port.port);
                if found.get(&target).is_some_and(|other| other.condition >= endpoint.condition) {
                    continue;
                }
                let SliceEndpoint { local, condition, zones, nodes, .. } = endpoint.clone();
                found.insert(target, Endpoint { target, local, condition, zones, nodes });
            }
        }
    }
    found.into_values().collect()
}
