//! A cluster of one node in one process: control plane, node, and what ties them together.

pub mod addons;
pub mod node;
pub mod paths;
pub mod plane;
pub mod teardown;

use std::net::Ipv4Addr;

use decapod_sys::Env;

pub use paths::Paths;

/// How a cluster is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where everything is kept.
    pub paths: Paths,
    /// The API server's port.
    pub port: u16,
    /// The name of the node.
    pub node_name: String,
    /// The node's address.
    pub node_ip: Ipv4Addr,
    /// The network of pods.
    pub cluster_cidr: (Ipv4Addr, u8),
    /// The network of services.
    pub service_cidr: (Ipv4Addr, u8),
    /// The DNS domain.
    pub cluster_domain: String,
    /// The kubelet's port.
    pub kubelet_port: u16,
    /// Where a container runtime is looked for before PATH.
    pub runtime_dirs: Vec<std::path::PathBuf>,
}

/// A cluster that runs.
pub struct Cluster {
    /// The control plane.
    pub plane: plane::Plane,
    /// The node.
    pub node: node::Node,
}

/// Why a cluster did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server.
    #[error(transparent)]
    Apiserver(#[from] decapod_apiserver::StartError),
    /// Keys and certificates.
    #[error(transparent)]
    Pki(#[from] decapod_apiserver::pki::Error),
    /// An object that the cluster needs.
    #[error("making {what}: {status}")]
    Object {
        /// Which.
        what: String,
        /// Why not.
        status: decapod_api::Status,
    },
    /// The kubelet.
    #[error(transparent)]
    Kubelet(#[from] decapod_kubelet::StartError),
    /// The network.
    #[error(transparent)]
    Network(#[from] decapod_network::NetworkError),
    /// The kernel's network interface.
    #[error("talking to the kernel: {0}")]
    Kernel(#[from] decapod_sys::netlink::NetlinkError),
    /// The controllers.
    #[error(transparent)]
    Controllers(#[from] decapod_controllers::ConfigError),
    /// DNS.
    #[error(transparent)]
    Dns(#[from] decapod_dns::DnsError),
    /// A file.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

// === impl Settings ===

impl Settings {
    /// The address of cluster DNS: the tenth of the services' network.
    pub fn dns_address(&self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.service_cidr.0) + 10)
    }
}

// === impl Cluster ===

impl Cluster {
    /// Starts everything; `say` hears of each step. When it returns, the node is ready and DNS answers.
    pub async fn start(env: &Env, settings: &Settings, say: &dyn Fn(&str)) -> Result<Cluster, Error> {
        settings.paths.make()?;
        say("starting the API server");
        let plane = plane::Plane::start(env, settings).await?;
        addons::apply(&plane, settings).await?;
        say("starting the node");
        let node = node::Node::start(env, settings, &plane).await?;
        Ok(Cluster { plane, node })
    }
}
