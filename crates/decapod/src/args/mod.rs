//! What can be said on the command line.

mod admission;
pub mod component;
mod doctor;
mod node;
mod parse;
mod refused;
mod token;

use std::net::Ipv4Addr;
use std::path::PathBuf;

use clap::{Args as Arguments, Parser, Subcommand};
use ipnet::Ipv4Net;

pub use admission::Admission;
pub use doctor::Doctor;
pub use node::{Agent, ClusterArgs, Folder, NodeArgs, data_dir};
pub use refused::one_line;
pub use token::{Token, TokenAction, Whose};

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
    /// Start a cluster of one node and keep it running
    ///
    /// Everything is kept under one folder. A context named "decapod" is merged into your kubeconfig; the current
    /// context stays. Containers outlive this process: starting it again finds them. "decapod down" stops them.
    ///
    ///   decapod up -d && kubectl --context decapod get nodes
    #[command(verbatim_doc_comment)]
    Up(Up),
    /// Run the first node of a cluster that others join
    ///
    /// The control plane and a node, in the foreground. DIR/admin.kubeconfig leads to it. To join a machine:
    ///
    ///   decapod server &
    ///   decapod token create
    ///   decapod agent --server https://10.0.0.1:6443 --token TOKEN     # on the other machine
    #[command(verbatim_doc_comment)]
    Server(Server),
    /// Run a node that joins a cluster
    ///
    /// The token is needed once: it says whom to join and allows to ask for a certificate, which the node renews by
    /// itself from then on.
    ///
    ///   decapod agent --server https://10.0.0.1:6443 --token abcdef.0123456789abcdef@sha256:…
    #[command(verbatim_doc_comment)]
    Agent(Agent),
    /// Make, list and delete the tokens that nodes join with
    ///
    /// A token is good for a day unless told otherwise, and for any number of nodes. Run it on the server, as root.
    ///
    ///   decapod token create --print-join-command
    ///   decapod token list
    #[command(verbatim_doc_comment)]
    Token(Token),
    /// Run the API server alone, on the embedded store
    ///
    /// It writes DIR/admin.kubeconfig and is usable at once:
    ///
    ///   decapod apiserver --data-dir /tmp/api --port 6443 &
    ///   kubectl --kubeconfig /tmp/api/admin.kubeconfig get namespaces
    #[command(verbatim_doc_comment)]
    Apiserver(Apiserver),
    /// Run the scheduler alone, for any cluster
    ///
    /// It acts as the kubeconfig's user, and says "ready" when it has seen the cluster. Under a name of its own it runs
    /// beside another and takes only the pods whose schedulerName is that.
    ///
    ///   decapod scheduler --kubeconfig FILE --scheduler-name mine
    #[command(verbatim_doc_comment)]
    Scheduler(component::Scheduler),
    /// Run the controllers alone, for any cluster
    ///
    /// All act as the kubeconfig's user. As upstream's, with a signer and networks for nodes:
    ///
    ///   decapod controller-manager --kubeconfig FILE --allocate-node-cidrs --cluster-cidr 10.42.0.0/16 \
    ///     --cluster-signing-cert-file ca.crt --cluster-signing-key-file ca.key
    #[command(verbatim_doc_comment)]
    ControllerManager(component::ControllerManager),
    /// Run the kubelet alone, with the network of its pods
    ///
    /// It registers the node and waits for a controller to give that a network. "decapod down" and "uninstall" with
    /// the same --data-dir stop it and take away what it has made. It wants root.
    ///
    ///   decapod kubelet --kubeconfig FILE --data-dir /var/lib/node --cluster-dns 10.96.0.10 &
    ///   kubectl --kubeconfig FILE get nodes
    #[command(verbatim_doc_comment)]
    Kubelet(component::Kubelet),
    /// Run the service proxy alone
    ///
    /// Its rules stay when it ends, so that services go on; --cleanup removes them. It wants root.
    ///
    ///   decapod proxy --kubeconfig FILE --service-cidr 10.96.0.0/16
    ///   decapod proxy --kubeconfig FILE --cleanup
    #[command(verbatim_doc_comment)]
    Proxy(component::Proxy),
    /// Stop the cluster or the node and its containers; the data stays
    ///
    /// It works whatever became of the process. The command that started the cluster starts it again, with all its
    /// objects; pods get new containers.
    ///
    ///   decapod down
    ///   decapod down --data-dir /tmp/cluster     # one that is kept elsewhere
    #[command(verbatim_doc_comment)]
    Down(Folder),
    /// Say whether the cluster runs, and how it is
    ///
    /// A line for the process, one for each node, one for the pods. It fails where no cluster runs, so that a script
    /// can ask.
    ///
    ///   decapod status && kubectl --context decapod get nodes
    #[command(verbatim_doc_comment)]
    Status(Folder),
    /// Say whether this machine can run a cluster, and what to do if not
    ///
    /// One line for each thing that a cluster needs: ok, warn or fail. It changes nothing; as root it can try more.
    ///
    ///   decapod doctor
    ///   decapod doctor --port 7443     # would the API server get this port?
    #[command(verbatim_doc_comment)]
    Doctor(Doctor),
    /// Stop the cluster or the node and remove everything that it has made
    ///
    /// Containers, mounts, links, rules, settings, kernel modules, the data and the context in your kubeconfig: the
    /// machine is as before. Nothing of other clusters on it is touched. It can be run again.
    ///
    ///   decapod uninstall
    ///   decapod uninstall --name second     # of several clusters, this one
    #[command(verbatim_doc_comment)]
    Uninstall(Uninstall),
    /// Import or list container images
    ///
    /// Pods find what is imported by its name; no registry is needed. The cluster has to run.
    ///
    ///   docker save my-image:1 -o my-image.tar
    ///   decapod images import my-image.tar
    ///   decapod images list
    #[command(verbatim_doc_comment)]
    Images(Images),
    /// Simulate parts of a cluster
    ///
    /// To see how the rest bears a thousand nodes that nobody has.
    ///
    ///   decapod apiserver --data-dir /tmp/api &
    ///   decapod sim nodes --count 1000 --kubeconfig /tmp/api/admin.kubeconfig
    #[command(verbatim_doc_comment)]
    Sim(crate::commands::sim::Sim),
    /// Print the version
    ///
    /// Its own, and that of the Kubernetes that it is; on one line, for bug reports and scripts.
    ///
    ///   decapod version
    #[command(verbatim_doc_comment)]
    Version,
}

/// Arguments of `decapod up`.
#[derive(Arguments)]
pub struct Up {
    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// The kubeconfig to merge a context into [default: $KUBECONFIG, else ~/.kube/config]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Run in the background; return when the cluster is ready
    #[arg(short, long)]
    pub detach: bool,
}

/// Arguments of `decapod server`.
#[derive(Arguments)]
pub struct Server {
    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// Arguments of `decapod uninstall`.
#[derive(Arguments)]
pub struct Uninstall {
    /// The cluster.
    #[command(flatten)]
    pub folder: Folder,
    /// The kubeconfig that "up" merged a context into [default: $KUBECONFIG, else ~/.kube/config]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

/// Arguments of `decapod images`.
#[derive(Arguments)]
pub struct Images {
    /// What this machine calls the cluster
    #[arg(long, global = true, value_name = "NAME", default_value = "decapod", value_parser = parse::name)]
    pub name: String,
    /// Where the cluster is kept [default: /var/lib/NAME]
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
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
    ///
    /// What "docker save", "podman save", "buildah push oci-archive:" and "skopeo copy" write. The names of the images
    /// are printed: use them in pods as they are. A tag that is not "latest" is not looked for in a registry.
    ///
    ///   decapod images import web.tar db.tar
    ///   kubectl create deployment web --image=docker.io/library/web:1
    #[command(verbatim_doc_comment)]
    Import {
        /// The archives
        #[arg(value_name = "FILE.tar", required = true)]
        files: Vec<PathBuf>,
    },
    /// List the images that are there
    ///
    /// One line an image, with all its names: what pods of this node start from without pulling.
    ///
    ///   decapod images list | grep web
    #[command(verbatim_doc_comment)]
    List,
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
    #[arg(long, value_name = "CIDR", default_value = "10.43.0.0/16", value_parser = parse::cidr)]
    pub service_cidr: Ipv4Net,
    /// The cluster's DNS domain
    #[arg(long, value_name = "DOMAIN", default_value = "cluster.local")]
    pub cluster_domain: String,
    /// Which admission plugins run.
    #[command(flatten)]
    pub admission: Admission,
}
