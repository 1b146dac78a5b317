//! What can be said of a component that runs alone. Options that upstream's program of the same name has are called
//! as they are there.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args as Arguments;
use ipnet::Ipv4Net;

use super::{NodeArgs, parse};

/// The cluster that a component works for.
#[derive(Arguments)]
pub struct Server {
    /// Leads to the API server; the component acts as its user
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: PathBuf,
}

/// Arguments of `decapod scheduler`.
#[derive(Arguments)]
pub struct Scheduler {
    /// The cluster.
    #[command(flatten)]
    pub server: Server,
    /// Whose pods it schedules: those with this schedulerName
    #[arg(long, value_name = "NAME", default_value = "default-scheduler")]
    pub scheduler_name: String,
}

/// Arguments of `decapod controller-manager`.
#[derive(Arguments)]
pub struct ControllerManager {
    /// The cluster.
    #[command(flatten)]
    pub server: Server,
    /// Give every node a network for its pods
    #[arg(long, requires = "cluster_cidr")]
    pub allocate_node_cidrs: bool,
    /// The network of pods, which nodes get theirs out of
    #[arg(long, value_name = "CIDR", requires = "allocate_node_cidrs")]
    pub cluster_cidr: Option<String>,
    /// The network of services, which is kept out of the nodes'
    #[arg(long, value_name = "CIDR", default_value = "", hide_default_value = true)]
    pub service_cluster_ip_range: String,
    /// The length of the prefix of a node's network [default: 24]
    #[arg(long, value_name = "BITS", default_value_t = 0, hide_default_value = true)]
    pub node_cidr_mask_size: u8,
    /// By which pods trust the API server [default: the kubeconfig's]
    #[arg(long, value_name = "FILE")]
    pub root_ca_file: Option<PathBuf>,
    /// The authority that signs CertificateSigningRequests; without it nobody here does
    #[arg(long, value_name = "FILE", requires = "cluster_signing_key_file")]
    pub cluster_signing_cert_file: Option<PathBuf>,
    /// Its key
    #[arg(long, value_name = "FILE", requires = "cluster_signing_cert_file")]
    pub cluster_signing_key_file: Option<PathBuf>,
    /// How long what it signs is good, at most: 24h, 365d
    #[arg(long, value_name = "TIME", default_value = "8760h", value_parser = parse::duration)]
    pub cluster_signing_duration: Duration,
    /// How many pods that have ended are kept; 0 for any number
    #[arg(long, value_name = "COUNT", default_value_t = decapod_controllers::ENDED_PODS_MAX)]
    pub terminated_pod_gc_threshold: usize,
}

/// Arguments of `decapod kubelet`.
#[derive(Arguments)]
pub struct Kubelet {
    /// The cluster.
    #[command(flatten)]
    pub server: Server,
    /// The node.
    #[command(flatten)]
    pub node: NodeArgs,
    /// The nameservers of pods
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    pub cluster_dns: Vec<IpAddr>,
    /// The cluster's DNS domain
    #[arg(long, value_name = "DOMAIN", default_value = "cluster.local")]
    pub cluster_domain: String,
    /// The network of pods
    #[arg(long, value_name = "CIDR", default_value = "10.42.0.0/16", value_parser = parse::cidr)]
    pub cluster_cidr: Ipv4Net,
    /// The network of services
    #[arg(long, value_name = "CIDR", default_value = "10.43.0.0/16", value_parser = parse::cidr)]
    pub service_cidr: Ipv4Net,
    /// Who signs the certificates of those who call the kubelet [default: the kubeconfig's authority]
    #[arg(long, value_name = "FILE")]
    pub client_ca_file: Option<PathBuf>,
    /// The certificate of the kubelet's API [default: one of its own making]
    #[arg(long, value_name = "FILE", requires = "tls_private_key_file")]
    pub tls_cert_file: Option<PathBuf>,
    /// Its key
    #[arg(long, value_name = "FILE", requires = "tls_cert_file")]
    pub tls_private_key_file: Option<PathBuf>,
    /// The socket of a container runtime that runs [default: a containerd is started]
    #[arg(long, value_name = "SOCKET")]
    pub container_runtime_endpoint: Option<String>,
    /// How many pods the node takes
    #[arg(long, value_name = "COUNT", default_value_t = 110)]
    pub max_pods: u32,
}

/// Arguments of `decapod proxy`.
#[derive(Arguments)]
pub struct Proxy {
    /// The cluster.
    #[command(flatten)]
    pub server: Server,
    /// What this machine calls the cluster: part of the names of its rules
    #[arg(long, value_name = "NAME", default_value = "decapod", value_parser = parse::name)]
    pub name: String,
    /// The name of the node [default: the machine's]
    #[arg(long, visible_alias = "hostname-override", value_name = "NAME")]
    pub node_name: Option<String>,
    /// The network of pods
    #[arg(long, value_name = "CIDR", default_value = "10.42.0.0/16", value_parser = parse::cidr)]
    pub cluster_cidr: Ipv4Net,
    /// The network of services
    #[arg(long, value_name = "CIDR", default_value = "10.43.0.0/16", value_parser = parse::cidr)]
    pub service_cidr: Ipv4Net,
    /// Give all traffic to services the node's address, not only that from outside
    #[arg(long)]
    pub masquerade_all: bool,
    /// Remove the rules that a proxy has left, and end
    #[arg(long)]
    pub cleanup: bool,
}
