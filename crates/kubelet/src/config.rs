//! What a kubelet is told when it starts.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

/// What a kubelet is told when it starts.
#[derive(Clone, Debug)]
pub struct Config {
    /// The name of its Node.
    pub node_name: String,
    /// Where it keeps everything: pods' volumes, containerd's data, the pause image.
    pub data_dir: PathBuf,
    /// Where logs of containers go; upstream's is `/var/log/pods`.
    pub pod_log_dir: PathBuf,
    /// Which container runtime.
    pub runtime: RuntimeChoice,
    /// The address of the node, and of pods on its network; found out when `None`.
    pub node_ip: Option<IpAddr>,
    /// The nameservers of pods with `dnsPolicy: ClusterFirst`.
    pub cluster_dns: Vec<IpAddr>,
    /// Such as `cluster.local`.
    pub cluster_domain: String,
    /// The nameservers of the node itself.
    pub resolv_conf: PathBuf,
    /// Where manifests of static pods are.
    pub manifest_dir: Option<PathBuf>,
    /// The kubelet's own API; `None` for none.
    pub server: Option<ServerConfig>,
    /// The control group of all pods, such as `/kubepods`.
    pub cgroup_root: String,
    /// How many pods the node takes.
    pub pods_max: u32,
    /// Where CNI's configuration is.
    pub cni_conf_dir: PathBuf,
    /// Where CNI's plugins are.
    pub cni_bin_dir: PathBuf,
    /// What the node's own processes need, taken off what pods may have.
    pub reserved: Reserved,
    /// Labels of the Node when it registers, beside the well-known ones.
    pub node_labels: Vec<(String, String)>,
    /// Taints of the Node when it registers: key, value, effect.
    pub node_taints: Vec<(String, String, String)>,
    /// Sysctls that pods may set though they are not safe, such as `net.core.somaxconn` or `kernel.shm*`.
    pub allowed_unsafe_sysctls: Vec<String>,
}

/// Where the container runtime comes from.
#[derive(Clone, Debug)]
pub enum RuntimeChoice {
    /// One that runs, at this socket.
    Socket(PathBuf),
    /// A containerd of our own: the newest of those in `dirs` and in PATH.
    Containerd {
        /// Looked at before PATH.
        dirs: Vec<PathBuf>,
    },
}

/// The kubelet's own API.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Where it listens; upstream's port is 10250.
    pub listen: SocketAddr,
    /// The server's certificate, which may be renewed.
    pub certificate: Arc<dyn rustls::server::ResolvesServerCert>,
    /// Who signs clients' certificates, PEM.
    pub client_ca_pem: Vec<u8>,
}

/// What the node's own processes need.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reserved {
    /// Thousandths of a core.
    pub cpu_millis: i64,
    /// Memory.
    pub memory_bytes: i64,
}

// === impl Config ===

impl Config {
    /// A configuration with upstream's defaults.
    pub fn new(node_name: impl Into<String>, data_dir: impl Into<PathBuf>) -> Config {
        Config {
            node_name: node_name.into(),
            data_dir: data_dir.into(),
            pod_log_dir: "/var/log/pods".into(),
            runtime: RuntimeChoice::Containerd { dirs: Vec::new() },
            node_ip: None,
            cluster_dns: Vec::new(),
            cluster_domain: "cluster.local".to_owned(),
            resolv_conf: "/etc/resolv.conf".into(),
            manifest_dir: None,
            server: None,
            cgroup_root: "/kubepods".to_owned(),
            pods_max: 110,
            cni_conf_dir: "/etc/cni/net.d".into(),
            cni_bin_dir: "/opt/cni/bin".into(),
            reserved: Reserved::default(),
            node_labels: Vec::new(),
            node_taints: Vec::new(),
            allowed_unsafe_sysctls: Vec::new(),
        }
    }

    /// Where the files of a pod are.
    pub fn pod_dir(&self, uid: &str) -> PathBuf {
        self.data_dir.join("kubelet/pods").join(uid)
    }

    /// Where the logs of a pod are (kuberuntime BuildPodLogsDirectory).
    pub fn log_dir(&self, namespace: &str, name: &str, uid: &str) -> PathBuf {
        self.pod_log_dir.join(format!("{namespace}_{name}_{uid}"))
    }
}
