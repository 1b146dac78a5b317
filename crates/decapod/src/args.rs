//! What can be said on the command line.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use clap::{Args as Arguments, Parser, Subcommand};

/// Kubernetes as one small binary.
#[derive(Parser)]
#[command(name = "decapod", version, about, propagate_version = true, arg_required_else_help = true)]
pub struct Args {
    /// Say more of what happens; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Subcommand)]
pub enum Command {
    /// Run the API server alone, on the embedded store
    ///
    /// It writes DIR/admin.kubeconfig and is usable at once:
    ///
    ///   decapod apiserver --data-dir /tmp/api --port 6443 &
    ///   kubectl --kubeconfig /tmp/api/admin.kubeconfig get namespaces
    #[command(verbatim_doc_comment)]
    Apiserver(Apiserver),
    /// Start a cluster of one node and keep it running
    ///
    /// Everything is kept under one folder. A context named "decapod" is merged into your kubeconfig; the current
    /// context stays. Containers outlive this process: starting it again finds them. "decapod down" stops them.
    Up(Up),
    /// Stop the cluster and its containers; the data stays
    Down(Down),
    /// Say whether the cluster runs, and how it is
    Status(Down),
    /// Stop the cluster and remove everything that it has made
    Uninstall(Uninstall),
    /// Import or list container images
    Images(Images),
    /// Print the version
    Version,
}

/// Arguments of `decapod up`.
#[derive(Arguments)]
pub struct Up {
    /// Where everything is kept
    #[arg(long, value_name = "DIR", default_value = "/var/lib/decapod")]
    pub data_dir: PathBuf,
    /// The kubeconfig to merge a context into [default: $KUBECONFIG, else ~/.kube/config]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The API server's port
    #[arg(long, value_name = "PORT", default_value_t = 6443)]
    pub port: u16,
    /// Run in the background; return when the cluster is ready
    #[arg(short, long)]
    pub detach: bool,
    /// The name of the node [default: the machine's]
    #[arg(long, value_name = "NAME")]
    pub node_name: Option<String>,
    /// The address of the node [default: that of the default route]
    #[arg(long, value_name = "ADDRESS")]
    pub node_ip: Option<Ipv4Addr>,
    /// The kubelet's port
    #[arg(long, value_name = "PORT", default_value_t = 10250)]
    pub kubelet_port: u16,
    /// The network of pods
    #[arg(long, value_name = "CIDR", default_value = "10.42.0.0/16", value_parser = cidr)]
    pub cluster_cidr: (Ipv4Addr, u8),
    /// The network of services
    #[arg(long, value_name = "CIDR", default_value = "10.43.0.0/16", value_parser = cidr)]
    pub service_cidr: (Ipv4Addr, u8),
    /// The cluster's DNS domain
    #[arg(long, value_name = "DOMAIN", default_value = "cluster.local")]
    pub cluster_domain: String,
    /// Where containerd is looked for before PATH; may be given again
    #[arg(long, value_name = "DIR", env = "DECAPOD_RUNTIME_DIR")]
    pub runtime_dir: Vec<PathBuf>,
}

/// Arguments of `decapod down` and `decapod status`.
#[derive(Arguments)]
pub struct Down {
    /// Where the cluster is kept
    #[arg(long, value_name = "DIR", default_value = "/var/lib/decapod")]
    pub data_dir: PathBuf,
}

/// Arguments of `decapod uninstall`.
#[derive(Arguments)]
pub struct Uninstall {
    /// Where the cluster is kept
    #[arg(long, value_name = "DIR", default_value = "/var/lib/decapod")]
    pub data_dir: PathBuf,
    /// The kubeconfig that "up" merged a context into [default: $KUBECONFIG, else ~/.kube/config]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

/// Arguments of `decapod images`.
#[derive(Arguments)]
pub struct Images {
    /// Where the cluster is kept
    #[arg(long, global = true, value_name = "DIR", default_value = "/var/lib/decapod")]
    pub data_dir: PathBuf,
    /// Where containerd is looked for before PATH; may be given again
    #[arg(long, global = true, value_name = "DIR", env = "DECAPOD_RUNTIME_DIR")]
    pub runtime_dir: Vec<PathBuf>,
    /// What to do
    #[command(subcommand)]
    pub action: ImagesAction,
}

/// What `decapod images` does.
#[derive(Subcommand)]
pub enum ImagesAction {
    /// Import archives (OCI or Docker)
    Import {
        /// The archives
        #[arg(value_name = "FILE.tar", required = true)]
        files: Vec<PathBuf>,
    },
    /// List the images that are there
    List,
}

impl Up {
    /// The kubeconfig to merge a context into.
    pub fn kubeconfig_path(&self) -> PathBuf {
        kubeconfig_path(self.kubeconfig.as_ref())
    }
}

/// The kubeconfig that is given, or a person's own.
pub fn kubeconfig_path(given: Option<&PathBuf>) -> PathBuf {
    let of_environment =
        || std::env::var_os("KUBECONFIG").and_then(|list| std::env::split_paths(&list).next());
    let of_home =
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/root".into())).join(".kube/config");
    given
        .cloned()
        .or_else(|| of_environment().filter(|path| !path.as_os_str().is_empty()))
        .unwrap_or_else(of_home)
}

/// Arguments of `decapod apiserver`.
#[derive(Arguments)]
pub struct Apiserver {
    /// Where data, keys and certificates are kept
    #[arg(long, value_name = "DIR", default_value = "/var/lib/decapod")]
    pub data_dir: PathBuf,
    /// The port to listen on
    #[arg(long, value_name = "PORT", default_value_t = 6443)]
    pub port: u16,
    /// The address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0")]
    pub bind_address: Ipv4Addr,
    /// The address under which pods and other nodes reach this server [default: that of the default route]
    #[arg(long, value_name = "ADDRESS")]
    pub advertise_address: Option<Ipv4Addr>,
    /// The network that services get their addresses from
    #[arg(long, value_name = "CIDR", default_value = "10.43.0.0/16", value_parser = cidr)]
    pub service_cidr: (Ipv4Addr, u8),
    /// The cluster's DNS domain
    #[arg(long, value_name = "DOMAIN", default_value = "cluster.local")]
    pub cluster_domain: String,
}

/// `10.43.0.0/16`.
pub fn cidr(text: &str) -> Result<(Ipv4Addr, u8), String> {
    let wrong = || format!("{text:?} is no IPv4 network such as 10.43.0.0/16");
    let (address, bits) = text.split_once('/').ok_or_else(wrong)?;
    let address: Ipv4Addr = address.parse().map_err(|_| wrong())?;
    let bits: u8 = bits.parse().map_err(|_| wrong())?;
    if !(8..=28).contains(&bits) {
        return Err(format!("{text:?}: the prefix has to be between /8 and /28"));
    }
    let mask = u32::MAX << (32 - u32::from(bits));
    if u32::from(address) & !mask != 0 {
        return Err(format!("{text:?}: the address has bits set outside the prefix"));
    }
    Ok((address, bits))
}
