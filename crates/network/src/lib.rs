//! Pod networking on one node: routed links, address management, host ports, and the CNI plugin that ties a
//! container to them.
//!
//! Each pod has a pair of links of its own and addresses without a network (`/32`, `/128`): every packet between two
//! pods passes this node's routing. So services, network policies and connection tracking see all traffic, whatever
//! `br_netfilter` is set to on the machine, and pods share no segment on which one could speak for another. (A bridge
//! with isolated ports was tried first: where `net.bridge.bridge-nf-call-iptables` is on, as Docker leaves it, the
//! kernel bridges translated packets past the routing, and the isolation drops them.)
//!
//! Everything here is reached by names that come from a [`NetworkConfig`], so that several clusters share a machine.
#![forbid(unsafe_code)]

pub mod cni;
pub mod config;
pub mod install;
pub mod ipam;
pub mod kernel;
pub mod ledger;
pub mod node;
pub mod routes;
pub mod table;

#[cfg(test)]
mod tests;

pub use config::NetworkConfig;
pub use kernel::Kernel;
pub use ledger::Ledger;
pub use node::{ensure, plan, remove};
pub use routes::Routes;

use decapod_sys::netlink::NetlinkError;
use decapod_sys::netns::NamespaceError;
use decapod_sys::nftables::NftablesError;

/// Why the network could not be set up, changed or removed.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// Links, addresses or routes.
    #[error("{step}: {error}")]
    Link {
        /// What was being done.
        step: &'static str,
        /// What the kernel said.
        error: NetlinkError,
    },
    /// Packet filter rules.
    #[error(transparent)]
    Rules(#[from] NftablesError),
    /// A kernel setting.
    #[error("cannot set {name}: {error}")]
    Sysctl {
        /// Which.
        name: String,
        /// Why.
        error: std::io::Error,
    },
    /// The container's network namespace.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// Address management.
    #[error(transparent)]
    Ipam(#[from] ipam::IpamError),
}

/// Names the step at which a netlink request failed.
pub(crate) fn at<T>(step: &'static str, result: Result<T, NetlinkError>) -> Result<T, NetworkError> {
    result.map_err(|error| NetworkError::Link { step, error })
}
