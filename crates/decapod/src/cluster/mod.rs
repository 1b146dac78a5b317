//! A cluster in one process: control plane, node, and what ties them together; and a node alone, which joins one.

pub mod addons;
pub mod agent;
pub mod checks;
pub mod ledger;
pub mod modules;
pub mod neighbors;
pub mod node;
pub mod paths;
pub mod plane;
pub mod ports;
pub mod preflight;
pub mod settings;
pub mod teardown;

use std::net::Ipv4Addr;

use decapod_sys::Env;
use ipnet::Ipv4Net;

pub use paths::Paths;
pub use settings::{Layout, NodeSettings, Settings};

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
    /// The machine lacks something.
    #[error(transparent)]
    Machine(#[from] preflight::Error),
    /// Two networks overlap.
    #[error("--cluster-cidr {pods} and --service-cidr {services} overlap: give them networks of their own")]
    Overlap {
        /// The pods'.
        pods: Ipv4Net,
        /// The services'.
        services: Ipv4Net,
    },
    /// The node is in a network of the cluster's.
    #[error(
        "the node's address {address} is in {network}: give the cluster another network, or the node another --node-ip"
    )]
    Inside {
        /// The node's.
        address: Ipv4Addr,
        /// The pods' or services'.
        network: Ipv4Net,
    },
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
    /// A certificate that was made.
    #[error(transparent)]
    Certified(#[from] decapod_client::CertifiedError),
    /// The way to the API server.
    #[error(transparent)]
    Remote(#[from] decapod_client::RemoteError),
    /// Whom a node joins.
    #[error(transparent)]
    Pin(#[from] decapod_client::PinError),
    /// A node's own certificates.
    #[error(transparent)]
    Certificate(#[from] decapod_kubelet::certificate::CertificateError),
    /// A node that has not joined yet, and no token.
    #[error(
        "this node has not joined the cluster yet: give a token with --token or --token-file, made by decapod token create on the server"
    )]
    NoToken,
    /// A token that does not say which cluster it is of.
    #[error(
        "the token does not say which cluster it is of: use one that decapod token create has printed, or add @sha256: and the hash of the cluster's CA to it"
    )]
    NoPin,
    /// What the control plane says about the cluster.
    #[error("reading {what}, which says what the cluster looks like: {status}: is the server a decapod?")]
    Layout {
        /// Where it should stand.
        what: String,
        /// Why it is not known.
        status: decapod_api::Status,
    },
    /// Who signs certificates.
    #[error(transparent)]
    Authority(#[from] decapod_controllers::csrsigning::AuthorityError),
    /// The kernel's network interface.
    #[error("talking to the kernel: {0}")]
    Kernel(#[from] decapod_sys::netlink::NetlinkError),
    /// The controllers.
    #[error(transparent)]
    Controllers(#[from] decapod_controllers::ConfigError),
    /// DNS.
    #[error(transparent)]
    Dns(#[from] decapod_dns::DnsError),
    /// The data directory.
    #[error("cannot keep data in {}: {source}: choose another folder with --data-dir", path.display())]
    Data {
        /// Which.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A port.
    #[error(transparent)]
    Port(#[from] ports::Busy),
    /// A file.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

// === impl Cluster ===

impl Cluster {
    /// Starts everything; `say` hears of each step. When it returns, the node is ready and DNS answers.
    pub async fn start(env: &Env, settings: &Settings, say: &dyn Fn(&str)) -> Result<Cluster, Error> {
        ports::check(settings.port, "--port")?;
        ports::check(settings.node.kubelet_port, "--kubelet-port")?;
        say("starting the API server");
        let plane = plane::Plane::start(env, settings).await?;
        addons::apply(&plane, settings).await?;
        say("starting the node");
        let access = node::Access::local(env, &plane.server, &settings.node)?;
        let node = node::Node::start(env, &settings.node, &settings.layout, access).await?;
        Ok(Cluster { plane, node })
    }
}
