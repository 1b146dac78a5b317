//! Services as the proxy sees them.

use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{LoadBalancerIngress, Service};

/// What of a service concerns a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceSpec {
    /// When it was made: of two that claim one address, the elder has it.
    pub created: Timestamp,
    /// Its addresses within the cluster.
    pub cluster_ips: Vec<IpAddr>,
    /// Addresses that somebody else leads to the nodes.
    pub external_ips: Vec<IpAddr>,
    /// Addresses of its load balancer, where that delivers packets as they are.
    pub load_balancer_ips: Vec<IpAddr>,
    /// Who may use the load balancer's addresses; empty for everybody.
    pub source_ranges: Vec<IpNet>,
    /// Its ports.
    pub ports: Vec<Port>,
    /// Whether traffic from outside goes to this node's endpoints only.
    pub external_local: bool,
    /// Whether traffic from inside goes to this node's endpoints only.
    pub internal_local: bool,
    /// How long a client stays with an endpoint, in seconds; `None` if it does not.
    pub affinity_seconds: Option<u32>,
}

/// A port of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Port {
    /// Its name; empty if there is only one.
    pub name: String,
    /// The transport protocol's number.
    pub protocol: u8,
    /// At the service's addresses.
    pub port: u16,
    /// At the nodes' addresses; 0 for none.
    pub node_port: u16,
}

/// The timeout of session affinity where the service does not say (core/v1 default).
const AFFINITY_SECONDS: i32 = 10800;

// === impl ServiceSpec ===

impl ServiceSpec {
    /// What concerns a node; `None` for services without an address of their own.
    pub fn of(service: &Service) -> Option<ServiceSpec> {
        let spec = service.spec.as_ref()?;
        let kind = spec.type_.as_deref().unwrap_or("ClusterIP");
        let cluster_ip = spec.cluster_ip.as_deref().unwrap_or_default();
        if kind == "ExternalName" || matches!(cluster_ip, "" | "None") {
            return None;
        }
        let cluster_ips = spec.cluster_ips.as_ref().filter(|ips| !ips.is_empty());
        let cluster_ips = cluster_ips.map_or_else(|| vec![cluster_ip.to_owned()], Clone::clone);
        let external_ips = addresses(spec.external_ips.iter().flatten());
        let accessible = kind != "ClusterIP" || !external_ips.is_empty();
        let config = spec
            .session_affinity_config
            .as_ref()
            .and_then(|config| config.client_ip.as_ref()?.timeout_seconds);
        let sticky = spec.session_affinity.as_deref() == Some("ClientIP");
        let ingress =
            service.status.as_ref().and_then(|status| status.load_balancer.as_ref()?.ingress.as_ref());
        let ports = spec.ports.iter().flatten().filter_map(|port| {
            Some(Port {
                name: port.name.clone().unwrap_or_default(),
                protocol: protocol_number(port.protocol.as_deref())?,
                port: u16::try_from(port.port).ok()?,
                node_port: u16::try_from(port.node_port.unwrap_or_default()).ok()?,
            })
        });
        Some(ServiceSpec {
            created: service.metadata.creation_timestamp.as_ref().map(|time| time.0).unwrap_or_default(),
            cluster_ips: addresses(cluster_ips.iter()),
            external_ips,
            load_balancer_ips: addresses(ingress.into_iter().flatten().filter_map(delivered_as_is)),
            source_ranges: source_ranges(spec.load_balancer_source_ranges.iter().flatten()),
            ports: ports.collect(),
            external_local: accessible && spec.external_traffic_policy.as_deref() == Some("Local"),
            internal_local: spec.internal_traffic_policy.as_deref() == Some("Local"),
            affinity_seconds: sticky.then(|| config.unwrap_or(AFFINITY_SECONDS).max(1).cast_unsigned()),
        })
    }
}

/// The number of a transport protocol that services can have.
pub fn protocol_number(name: Option<&str>) -> Option<u8> {
    match name {
        None | Some("" | "TCP") => Some(6),
        Some("UDP") => Some(17),
        Some("SCTP") => Some(132),
        Some(_) => None,
    }
}

/// The address of a load balancer that does not rewrite packets: one that does brings them to node ports itself.
fn delivered_as_is(ingress: &LoadBalancerIngress) -> Option<&String> {
    ingress.ip.as_ref().filter(|_| matches!(ingress.ip_mode.as_deref(), None | Some("VIP")))
}

fn addresses<'a>(texts: impl Iterator<Item = &'a String>) -> Vec<IpAddr> {
    texts.filter_map(|text| text.parse().ok()).collect()
}

/// Upstream's validation lets white space through. A family with `0/0` is open to everybody.
fn source_ranges<'a>(texts: impl Iterator<Item = &'a String>) -> Vec<IpNet> {
    let ranges: Vec<IpNet> =
        texts.filter_map(|text| text.trim().parse().ok()).map(|net: IpNet| net.trunc()).collect();
    let open =
        |ipv4: bool| ranges.iter().any(|range| range.prefix_len() == 0 && range.addr().is_ipv4() == ipv4);
    let (open4, open6) = (open(true), open(false));
    ranges.into_iter().filter(|range| if range.addr().is_ipv4() { !open4 } else { !open6 }).collect()
}
