//! What the proxy has to know of its node and its cluster.

use std::net::IpAddr;
use std::time::Duration;

use decapod_sys::nftables::Family;
use ipnet::IpNet;

/// How a node's proxy behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyConfig {
    /// The name of the nftables tables, and no other cluster's.
    pub table: String,
    /// The node it runs on.
    pub node: String,
    /// The families it serves.
    pub families: Vec<Family>,
    /// All pods' networks: who comes from there is inside. Empty if that is not known.
    pub cluster_cidrs: Vec<IpNet>,
    /// The services' networks: what is sent to addresses there that no service has is dropped.
    pub service_cidrs: Vec<IpNet>,
    /// Where node ports are served.
    pub node_port_addresses: NodePortAddresses,
    /// Whether all traffic to cluster addresses gets the node's address, not only that from outside.
    pub masquerade_all: bool,
    /// The least time between two syncs; what changes meanwhile goes together.
    pub sync_interval: Duration,
}

/// The node's addresses at which node ports are served. Never a loopback address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NodePortAddresses {
    /// The node's own, as its status says: one of each family.
    #[default]
    Primary,
    /// These.
    Fixed(Vec<IpAddr>),
}

// === impl ProxyConfig ===

impl ProxyConfig {
    /// The proxy of `node` in the cluster that is called `cluster`; empty for the machine's first.
    pub fn new(
        cluster: &str,
        node: &str,
        cluster_cidrs: Vec<IpNet>,
        service_cidrs: Vec<IpNet>,
    ) -> ProxyConfig {
        let table =
            if cluster.is_empty() { "decapod-proxy".to_owned() } else { format!("decapod-proxy-{cluster}") };
        let mut families: Vec<Family> = service_cidrs.iter().map(family_of).collect();
        families.sort();
        families.dedup();
        ProxyConfig {
            table,
            node: node.to_owned(),
            families: if families.is_empty() { vec![Family::Ip] } else { families },
            cluster_cidrs,
            service_cidrs,
            node_port_addresses: NodePortAddresses::default(),
            masquerade_all: false,
            sync_interval: Duration::from_millis(10),
        }
    }
}

/// The family of a network.
pub fn family_of(network: &IpNet) -> Family {
    if network.addr().is_ipv4() { Family::Ip } else { Family::Ip6 }
}
