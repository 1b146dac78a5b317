//! What can be said of a node and of a cluster.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use clap::Args as Arguments;
use ipnet::Ipv4Net;

use super::parse;

/// Which cluster of this machine is meant.
#[derive(Arguments)]
pub struct Folder {
    /// What this machine calls the cluster
    #[arg(long, value_name = "NAME", default_value = "decapod", value_parser = parse::name)]
    pub name: String,
    /// Where it is kept [default: /var/lib/NAME]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// Arguments of everything that runs a node.
#[derive(Arguments)]
pub struct NodeArgs {
    /// Which cluster of this machine.
    #[command(flatten)]
    pub folder: Folder,
    /// The name of the node [default: the machine's]
    #[arg(long, visible_alias = "hostname-override", value_name = "NAME")]
    pub node_name: Option<String>,
    /// The address of the node [default: that of the default route]
    #[arg(long, value_name = "ADDRESS")]
    pub node_ip: Option<Ipv4Addr>,
    /// The kubelet's port
    #[arg(long, value_name = "PORT", default_value_t = 10250)]
    pub kubelet_port: u16,
    /// The control group of all pods [default: /kubepods, or /kubepods-NAME with another name than decapod]
    #[arg(long, value_name = "PATH", value_parser = parse::cgroup)]
    pub cgroup_root: Option<String>,
    /// Where containerd is looked for before PATH; may be given again
    #[arg(long, value_name = "DIR", env = "DECAPOD_RUNTIME_DIR")]
    pub runtime_dir: Vec<PathBuf>,
}

/// Arguments of everything that runs a cluster.
#[derive(Arguments)]
pub struct ClusterArgs {
    /// Its own node.
    #[command(flatten)]
    pub node: NodeArgs,
    /// The API server's port
    #[arg(long, value_name = "PORT", default_value_t = 6443)]
    pub port: u16,
    /// The network of pods
    #[arg(long, value_name = "CIDR", default_value = "10.42.0.0/16", value_parser = parse::cidr)]
    pub cluster_cidr: Ipv4Net,
    /// The network of services
    #[arg(long, value_name = "CIDR", default_value = "10.43.0.0/16", value_parser = parse::cidr)]
    pub service_cidr: Ipv4Net,
    /// The cluster's DNS domain
    #[arg(long, value_name = "DOMAIN", default_value = "cluster.local")]
    pub cluster_domain: String,
}

/// Arguments of `decapod agent`.
#[derive(Arguments)]
pub struct Agent {
    /// The API server, such as https://10.0.0.1:6443
    #[arg(long, value_name = "URL")]
    pub server: String,
    /// A token that "decapod token create" has printed; needed once
    #[arg(long, value_name = "TOKEN", conflicts_with = "token_file")]
    pub token: Option<String>,
    /// A file that holds the token, which other users of the machine do not see there
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The node.
    #[command(flatten)]
    pub node: NodeArgs,
}

// === impl Folder ===

impl Folder {
    /// Where it is kept.
    pub fn path(&self) -> PathBuf {
        data_dir(&self.name, self.data_dir.as_ref())
    }
}

/// The folder that is given, or that of the cluster `name`.
pub fn data_dir(name: &str, given: Option<&PathBuf>) -> PathBuf {
    given.cloned().unwrap_or_else(|| PathBuf::from("/var/lib").join(name))
}
