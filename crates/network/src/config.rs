//! What a node's network looks like. It is also what the CNI plugin reads from its configuration.

use std::net::IpAddr;
use std::path::PathBuf;

use decapod_sys::nftables::Family;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// The network of one node of one cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkConfig {
    /// The name of the node's own link of this network: at most 15 bytes, and no other cluster's.
    pub link: String,
    /// What the names of the pods' links on the node begin with: at most 5 bytes, and no other cluster's.
    pub pod_links: String,
    /// The name of the nftables tables, and no other cluster's.
    pub table: String,
    /// Where this node's pods get their addresses from: one network, or one of each family.
    pub pod_cidrs: Vec<IpNet>,
    /// All pods' networks: traffic within them keeps its source.
    pub cluster_cidrs: Vec<IpNet>,
    /// The services' networks: this machine's own traffic there finds a route without a default one.
    #[serde(default)]
    pub service_cidrs: Vec<IpNet>,
    /// The largest packet in bytes; 0 for the kernel's default.
    #[serde(default)]
    pub mtu: u32,
    /// Whether pods' traffic that leaves the cluster gets this node's address.
    pub masquerade: bool,
    /// Where leases are kept. They are worth nothing after a reboot.
    pub state_dir: PathBuf,
}

/// Link names have at most this many bytes.
const LINK_NAME_MAX: usize = 15;

// === impl NetworkConfig ===

impl NetworkConfig {
    /// The network of the cluster that is called `cluster`; empty for the machine's first. Its names follow from
    /// that.
    pub fn new(cluster: &str, pod_cidr: IpNet, cluster_cidr: IpNet, state_dir: PathBuf) -> NetworkConfig {
        let (link, table) = match cluster {
            "" => ("decapod0".to_owned(), "decapod-network".to_owned()),
            cluster => (link_name("dcp-", cluster), format!("decapod-network-{cluster}")),
        };
        let mut pod_links = format!("p{:016x}", fnv(cluster.as_bytes()));
        pod_links.truncate(4);
        NetworkConfig {
            link,
            pod_links: pod_links + "-",
            table,
            pod_cidrs: vec![pod_cidr],
            cluster_cidrs: vec![cluster_cidr],
            service_cidrs: Vec::new(),
            mtu: 0,
            masquerade: true,
            state_dir,
        }
    }

    /// The address of this node that pods send everything to: the first of `pod_cidr`.
    pub fn gateway(pod_cidr: &IpNet) -> IpAddr {
        offset(pod_cidr, 1)
    }

    /// The families that pods have addresses of.
    pub fn families(&self) -> Vec<Family> {
        self.pod_cidrs.iter().map(family_of).collect()
    }

    /// The name of the node's link of the pair whose other link is `interface` of `container`.
    pub fn pod_link(&self, container: &str, interface: &str) -> String {
        let mut name =
            format!("{}{:016x}", self.pod_links, fnv(format!("{container}/{interface}").as_bytes()));
        name.truncate(LINK_NAME_MAX);
        name
    }
}

/// The family of a network.
pub fn family_of(network: &IpNet) -> Family {
    if network.addr().is_ipv4() { Family::Ip } else { Family::Ip6 }
}

/// The address `offset` past the first of `network`.
pub(crate) fn offset(network: &IpNet, offset: u128) -> IpAddr {
    match network.network() {
        IpAddr::V4(first) => IpAddr::V4(u32::from(first).wrapping_add(offset as u32).into()),
        IpAddr::V6(first) => IpAddr::V6(u128::from(first).wrapping_add(offset).into()),
    }
}

/// A link's name: `prefix` and the text where it fits and reads as one, else a hash of it.
fn link_name(prefix: &str, text: &str) -> String {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if plain && prefix.len() + text.len() <= LINK_NAME_MAX {
        return format!("{prefix}{text}");
    }
    let mut hash = format!("{:016x}", fnv(text.as_bytes()));
    hash.truncate(LINK_NAME_MAX - prefix.len());
    format!("{prefix}{hash}")
}

/// FNV-1a: the same in every release, for names that have to be found again.
fn fnv(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_and_differ() {
        let cidr: IpNet = "10.42.0.0/24".parse().expect("cidr");
        let config = |cluster: &str| NetworkConfig::new(cluster, cidr, cidr, PathBuf::new());
        assert_eq!(config("").link, "decapod0");
        assert_eq!(config("test").link, "dcp-test");
        assert_eq!(config("a-very-long-cluster-name").link.len(), LINK_NAME_MAX);
        let (a, b) = (config("").pod_link("c1", "eth0"), config("").pod_link("c2", "eth0"));
        assert_ne!(a, b);
        assert_eq!(a.len(), LINK_NAME_MAX);
        assert_eq!(a, config("").pod_link("c1", "eth0"));
        assert_ne!(a, config("test").pod_link("c1", "eth0"));
    }
}
