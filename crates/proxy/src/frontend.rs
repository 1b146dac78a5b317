//! What a service means on a node: addresses and ports, and where what is sent there goes. Pure.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use decapod_client::ObjectKey;
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
    /// Where clients stay with an endpoint: the chains of the [`Affinity`] for flows from inside and outside.
    pub affinity: Option<[Arc<str>; 2]>,
    /// Who may use it; empty for everybody.
    pub sources: Vec<IpNet>,
}

/// A port of a service whose clients stay with an endpoint, whichever of its frontends they use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Affinity {
    /// Unlike any other's.
    pub name: String,
    /// How long they stay, in seconds.
    pub seconds: u32,
    /// The endpoints for flows that may go anywhere.
    pub cluster: Vec<SocketAddr>,
    /// The endpoints for flows that have to stay on the node.
    pub local: Vec<SocketAddr>,
}

/// What a service means on a node, in one family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compiled {
    /// Of two services that claim one frontend, the elder has it.
    pub created: Timestamp,
    /// Its frontends.
    pub frontends: Vec<Frontend>,
    /// Its ports whose clients stay with an endpoint.
    pub affinities: Vec<Affinity>,
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

/// Compiles `service`, known as `key`, with the endpoints in `slices` for `node`.
pub fn compile<'a>(
    key: &ObjectKey,
    service: &ServiceSpec,
    slices: impl Iterator<Item = &'a Slice> + Clone,
    node: &Node,
    family: Family,
) -> Compiled {
    let mut compiled = Compiled { created: service.created, ..Compiled::default() };
    compiled.cluster_ips = of_family(&service.cluster_ips, family).collect();
    for port in &service.ports {
        let endpoints = of_port(slices.clone(), &port.name, port.protocol, family == Family::Ip);
        let name = format!("{key}/{}/{}", port.name, port.protocol);
        compile_port(&mut compiled, service, &name, port, &endpoints, node, family);
    }
    compiled.hairpins.sort();
    compiled.hairpins.dedup();
    compiled
}

fn compile_port(
    compiled: &mut Compiled,
    service: &ServiceSpec,
    name: &str,
    port: &Port,
    endpoints: &[Endpoint],
    node: &Node,
    family: Family,
) {
    let Keys { internal, external, balanced } = Keys::new(service, port, node, family);
    let accessible = port.node_port != 0 || !balanced.is_empty() || !external.is_empty();
    let policies = Policies {
        // Flows from inside to outside addresses may go anywhere, as if they had gone out and come back.
        cluster: !service.internal_local || accessible,
        local: service.internal_local || service.external_local && accessible,
    };
    let mut selected = select(endpoints, policies, &node.name, &node.zone);
    selected.cluster.truncate(ENDPOINTS_MAX);
    selected.local.truncate(ENDPOINTS_MAX);
    let affinity = service.affinity_seconds.map(|seconds| Affinity {
        name: hashed("affinity", name),
        seconds,
        cluster: selected.cluster.clone(),
        local: selected.local.clone(),
    });
    let way = |local: bool| match if local { &selected.local } else { &selected.cluster } {
        _ if !selected.any => Way::Reject,
        targets if targets.is_empty() => Way::Drop,
        targets => Way::Endpoints(targets.clone()),
    };
    let frontend = |key: FrontendKey, kind: Kind, local: bool| Frontend {
        key,
        kind,
        inside: way(local),
        outside: (kind == Kind::ExternalLocal && selected.any).then(|| way(true)),
        affinity: affinity.as_ref().map(|affinity| [affinity.chain(local), affinity.chain(true)]),
        sources: Vec::new(),
    };
    let kind = if service.external_local { Kind::ExternalLocal } else { Kind::External };
    let ranges =
        service.source_ranges.iter().filter(|range| range.addr().is_ipv4() == (family == Family::Ip));
    let ranges: Vec<IpNet> = ranges.copied().collect();
    let walled = |key: &FrontendKey| Frontend { sources: ranges.clone(), ..frontend(*key, kind, false) };
    let all = (internal.iter().map(|key| frontend(*key, Kind::Cluster, service.internal_local)))
        .chain(external.iter().map(|key| frontend(*key, kind, false)))
        .chain(balanced.iter().map(walled));
    for frontend in all {
        // A service may name an address twice, as its load balancer's and as an external one.
        if !compiled.frontends.iter().any(|other| other.key == frontend.key) {
            compiled.frontends.push(frontend);
        }
    }
    compiled.affinities.extend(affinity);
    let used: BTreeSet<&SocketAddr> = selected.cluster.iter().chain(&selected.local).collect();
    let hairpins = endpoints.iter().filter(|endpoint| endpoint.local && used.contains(&endpoint.target));
    compiled.hairpins.extend(hairpins.map(|endpoint| endpoint.target.ip()));
    if port.protocol == UDP {
        // Policies and hints steer new flows only; a flow that an endpoint still answers stays, as TCP's do.
        let serving = endpoints.iter().filter(|endpoint| endpoint.condition > Condition::Down);
        let serving: Vec<SocketAddr> = serving.map(|endpoint| endpoint.target).collect();
        let keys = internal.iter().chain(&external).chain(&balanced);
        compiled.udp.extend(keys.map(|key| (*key, serving.clone())));
    }
}

/// The frontends of a port.
struct Keys {
    internal: Vec<FrontendKey>,
    external: Vec<FrontendKey>,
    balanced: Vec<FrontendKey>,
}

// === impl Keys ===

impl Keys {
    fn new(service: &ServiceSpec, port: &Port, node: &Node, family: Family) -> Keys {
        let protocol = port.protocol;
        let keys = |addresses: &[IpAddr], port: u16| -> Vec<FrontendKey> {
            of_family(addresses, family).map(|address| FrontendKey { address, protocol, port }).collect()
        };
        let mut external = keys(&service.external_ips, port.port);
        if port.node_port != 0 {
            let at_node = keys(&node.addresses, port.node_port);
            external.extend(at_node.into_iter().filter(|key| !key.address.is_loopback()));
        }
        let internal = keys(&service.cluster_ips, port.port);
        Keys { internal, external, balanced: keys(&service.load_balancer_ips, port.port) }
    }
}

// === impl Affinity ===

impl Affinity {
    /// The name of the chain for flows that have to stay on the node, or that may go anywhere.
    pub fn chain(&self, local: bool) -> Arc<str> {
        format!("{}-{}", self.name, if local { "local" } else { "cluster" }).into()
    }

    /// All endpoints.
    pub fn targets(&self) -> BTreeSet<SocketAddr> {
        self.cluster.iter().chain(&self.local).copied().collect()
    }
}

/// A name of `prefix` and what follows from `text`: the same in every process, so that it is found again.
pub fn hashed(prefix: &str, text: &str) -> String {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    format!("{prefix}-{:016x}", text.bytes().fold(0xcbf2_9ce4_8422_2325, step))
}

/// The most endpoints that a frontend can have; more are left out.
const ENDPOINTS_MAX: usize = u16::MAX as usize;

/// UDP's number.
pub const UDP: u8 = 17;

fn of_family(addresses: &[IpAddr], family: Family) -> impl Iterator<Item = IpAddr> {
    addresses.iter().copied().filter(move |address| address.is_ipv4() == (family == Family::Ip))
}
