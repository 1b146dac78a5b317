//! What a machine must have before a node can be on it. Kernel features are tried out in a network namespace of their own,
//! so that nothing is left of it, and so that the kernel loads what it has as a module.

use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::PathBuf;

use decapod_network::NetworkConfig;
use decapod_proxy::ProxyConfig;
use decapod_proxy::table::Sets;
use decapod_sys::mount;
use decapod_sys::netlink::{Links, Mac, NetlinkError, RouteSocket, Veth};
use decapod_sys::netns::{Namespace, NamespaceError};
use decapod_sys::nftables::{Family, Nftables, NftablesSocket};
use ipnet::{IpNet, Ipv4Net};

/// Why no node can be here.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// The process has no right to mounts, links and rules.
    #[error("a node needs root, for mounts, links and rules: run it with sudo")]
    NotRoot,
    /// The kernel has no such things.
    #[error("this kernel has no {}: load what is missing with modprobe, or boot a kernel that has it", .0.join(", no "))]
    Kernel(Vec<String>),
}

/// A feature of the kernel that a node needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    /// In a word, such as `nftables`.
    pub subject: &'static str,
    /// What the kernel lacks of it, as a person would look for it.
    pub missing: Option<String>,
}

/// What may be missing, as a person would look for it.
const NAMESPACES: &str = "network namespaces (CONFIG_NET_NS)";
const OVERLAY: &str = "overlayfs (module overlay)";
const BRIDGE: &str = "bridges (module bridge)";
const VETH: &str = "veth links (module veth)";
const NFTABLES: &str = "nftables (module nf_tables)";
const MTU: u32 = 1500;

/// Whether a node can be on this machine.
pub fn check() -> Result<(), Error> {
    if !rustix::process::geteuid().is_root() {
        return Err(Error::NotRoot);
    }
    let missing: Vec<String> = features().into_iter().filter_map(|feature| feature.missing).collect();
    if missing.is_empty() { Ok(()) } else { Err(Error::Kernel(missing)) }
}

/// The features that a node needs, tried out, for which the process has to be root.
pub fn features() -> Vec<Feature> {
    let is_missing = matches!(mount::is_known("overlay"), Ok(false));
    let overlay = Feature { subject: "overlayfs", missing: is_missing.then(|| OVERLAY.to_owned()) };
    let network = Namespace::create().and_then(|scratch| network(&scratch));
    let network = network
        .unwrap_or_else(|_| vec![Feature { subject: "namespaces", missing: Some(NAMESPACES.to_owned()) }]);
    [vec![overlay], network].concat()
}

/// What the network of a node needs, in the namespace `scratch`.
fn network(scratch: &Namespace) -> Result<Vec<Feature>, NamespaceError> {
    let other = Namespace::create()?;
    scratch.run(|| {
        let bridge = |links: &RouteSocket| links.add_bridge("try", mac(1), MTU);
        let veth = |links: &RouteSocket| {
            links.add_veth(&Veth {
                name: "try0",
                mac: mac(2),
                peer: "try1",
                peer_mac: mac(3),
                peer_namespace: other.as_fd(),
                mtu: MTU,
            })
        };
        let tried = |subject, what: &str, found: Result<(), NetlinkError>| Feature {
            subject,
            missing: found.err().map(|_| what.to_owned()),
        };
        vec![
            tried("bridges", BRIDGE, RouteSocket::open().and_then(|links| bridge(&links))),
            tried("veth links", VETH, RouteSocket::open().and_then(|links| veth(&links))),
            Feature { subject: "nftables", missing: filter() },
        ]
    })
}

/// Any hardware address.
fn mac(last: u8) -> Mac {
    Mac([2, 0, 0, 0, 0, last])
}

/// What the packet filter lacks for the tables of a node.
fn filter() -> Option<String> {
    let nftables = match NftablesSocket::open() {
        Ok(nftables) if nftables.tables().is_ok() => nftables,
        _ => return Some(NFTABLES.to_owned()),
    };
    let pods = IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(10, 42, 0, 0), 24));
    let network = NetworkConfig::new("", pods, pods, PathBuf::new());
    let proxy = ProxyConfig::new("", "", vec![pods], vec![pods]);
    let tables = [
        decapod_network::table::compile(&network, Family::Ip),
        decapod_proxy::table::skeleton(&proxy, Family::Ip, &Sets::new(Family::Ip)),
    ];
    let tried = tables.iter().try_for_each(|table| nftables.apply(table));
    tried.err().map(|error| format!("part of nftables (modules nft_*: {error})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said_in_one_line() {
        let error = Error::Kernel(vec![OVERLAY.to_owned(), VETH.to_owned()]);
        assert_eq!(
            error.to_string(),
            "this kernel has no overlayfs (module overlay), no veth links (module veth): \
             load what is missing with modprobe, or boot a kernel that has it"
        );
    }
}
