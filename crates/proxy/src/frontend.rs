//! What a service means on a node: addresses and ports, and where what is sent there goes. Pure.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use decapod_sys::nftables::Family;
use ipnet::IpNet;
use jiff::Timestamp;

use crate::endpoints::{Condition, Endpoint, Slice, of_port};
use crate::select::{Policies, select};
use crate::service::{Port, ServiceSpec};

/// Where a client sends its packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FrontendKey {
    /// The address.
    pub address: IpAddr,
    /// The transport protocol's number.
    pub protocol: u8,
    /// The port.
    pub port: u16,
}

/// What happens to a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// It goes to one of these, of which there is at least one.
    Endpoints(Vec<SocketAddr>),
    /// It is dropped: there are endpoints, but none that it may go to from here.
    Drop,
    /// It is refused: there are no endpoints.
    Reject,
}

/// Which kind of address a frontend has; it decides whose source becomes the node's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The cluster's: flows from outside the cluster.
    Cluster,
    /// The outside's, of a service that sends flows to any node: all flows.
    External,
    /// The outside's, of a service that keeps flows on their node: the node's own flows.
    ExternalLocal,
}

/// One address and port of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frontend {
    /// Where clients send their packets.
    pub key: FrontendKey,
    /// Which kind of address it has.
    pub kind: Kind,
    /// What happens to flows, or to those from inside where those from outside differ.
    pub inside: Way,
    /// What happens to flows from outside the cluster.
    pub outside: Option<Way>,
    /// How long a client stays with an endpoint, in seconds.
    pub affinity_seconds: Option<u32>,
    /// Who may use it; empty for everybody.
    pub sources: Vec<IpNet>,
}

/// What a service means on a node, in one family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compiled {
    /// Of two services that claim one frontend, the elder has it.
    pub created: Timestamp,
    /// Its frontends.
    pub frontends: Vec<Frontend>,
    /// Its addresses within the cluster.
    pub cluster_ips: Vec<IpAddr>,
    /// Its endpoints on this node: those that might reach themselves.
    pub hairpins: Vec<IpAddr>,
    /// Where UDP flows to a frontend may go on going; others have to be forgotten.
    pub udp: Vec<(FrontendKey, Vec<SocketAddr>)>,
}

/// The node, as compilation sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its zone; empty if unknown.
    pub zone: String,
    /// The addresses at which node ports are served.
    pub addresses: Vec<IpAddr>,
}

/// Compiles `service` with the endpoints in `slices` for `node`.
pub fn compile<'a>(
    service: &ServiceSpec,
    slices: impl Iterator<Item = &'a Slice> + Clone,
    node: &Node,
    family: Family,
) -> Compiled {
    let mut compiled = Compiled { created: service.created, ..Compiled::default() };
    compiled.cluster_ips = of_family(&service.cluster_ips, family).collect();
    for port in &service.ports {
        let endpoints = of_port(slices.clone(), &port.name, port.protocol, family == Family::Ip);
        compile_port(&mut compiled, service, port, &endpoints, node, family);
    }
    compiled.hairpins.sort();
    compiled.hairpins.dedup();
    compiled
}

fn compile_port(
    compiled: &mut Compiled,
    service: &ServiceSpec,
    port: &Port,
    endpoints: &[Endpoint],
    node: &Node,
    family: Family,
) {
    let protocol = port.protocol;
    let at = |port: u16| move |address: IpAddr| FrontendKey { address, protocol, port };
    let internal: Vec<FrontendKey> = of_family(&service.cluster_ips, family).map(at(port.port)).collect();
    let balanced: Vec<FrontendKey> =
        of_family(&service.load_balancer_ips, family).map(at(port.port)).collect();
    let mut external: Vec<FrontendKey> =
        of_family(&service.external_ips, family).map(at(port.port)).collect();
    if port.node_port != 0 {
        let addresses = of_family(&node.addresses, family).filter(|address| !address.is_loopback());
        external.extend(addresses.map(at(port.node_port)));
    }
    let accessible = port.node_port != 0 || !balanced.is_empty() || !external.is_empty();
    let policies = Policies {
        // Flows from inside to outside addresses may go anywhere, as if they had gone out and come back.
        cluster: !service.internal_local || accessible,
        local: service.internal_local || service.external_local && accessible,
    };
    let selected = select(endpoints, policies, &node.name, &node.zone);
    let way = |targets: &[SocketAddr]| match targets {
        _ if !selected.any => Way::Reject,
        [] => Way::Drop,
        targets => Way::Endpoints(targets[..targets.len().min(ENDPOINTS_MAX)].to_vec()),
    };
    let frontend = |key: FrontendKey, kind: Kind, inside: &[SocketAddr], sources: &[IpNet]| Frontend {
        key,
        kind,
        inside: way(inside),
        outside: (kind == Kind::ExternalLocal && selected.any).then(|| way(&selected.local)),
        affinity_seconds: service.affinity_seconds,
        sources: sources
            .iter()
            .filter(|range| range.addr().is_ipv4() == key.address.is_ipv4())
            .copied()
            .collect(),
    };
    let inside = if service.internal_local { &selected.local } else { &selected.cluster };
    let kind = if service.external_local { Kind::ExternalLocal } else { Kind::External };
    let all = (internal.iter().map(|key| frontend(*key, Kind::Cluster, inside, &[])))
        .chain(external.iter().map(|key| frontend(*key, kind, &selected.cluster, &[])))
        .chain(balanced.iter().map(|key| frontend(*key, kind, &selected.cluster, &service.source_ranges)));
    for frontend in all {
        // A service may name an address twice, as its load balancer's and as an external one.
        if !compiled.frontends.iter().any(|other| other.key == frontend.key) {
            compiled.frontends.push(frontend);
        }
    }
    let used: BTreeSet<&SocketAddr> = selected.cluster.iter().chain(&selected.local).collect();
    let hairpins = endpoints.iter().filter(|endpoint| endpoint.local && used.contains(&endpoint.target));
    compiled.hairpins.extend(hairpins.map(|endpoint| endpoint.target.ip()));
    if protocol == UDP {
        // Policies and hints steer new flows only; a flow that an endpoint still answers stays, as TCP's do.
        let serving = endpoints.iter().filter(|endpoint| endpoint.condition > Condition::Down);
        let serving: Vec<SocketAddr> = serving.map(|endpoint| endpoint.target).collect();
        let keys = internal.iter().chain(&external).chain(&balanced);
        compiled.udp.extend(keys.map(|key| (*key, serving.clone())));
    }
}

/// The most endpoints that a frontend can have; more are left out.
const ENDPOINTS_MAX: usize = u16::MAX as usize;

/// UDP's number.
pub const UDP: u8 = 17;

fn of_family(addresses: &[IpAddr], family: Family) -> impl Iterator<Item = IpAddr> {
    addresses.iter().copied().filter(move |address| address.is_ipv4() == (family == Family::Ip))
}
