//! How a cluster and a node of it are set up.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Serialize};

use super::{Error, Paths};

/// What all nodes of a cluster have to know: the control plane publishes it to them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Layout {
    /// The network of pods.
    pub cluster_cidr: Ipv4Net,
    /// The network of services.
    pub service_cidr: Ipv4Net,
    /// The DNS domain.
    pub cluster_domain: String,
}

/// How a node is set up.
#[derive(Clone, Debug)]
pub struct NodeSettings {
    /// What this machine calls the cluster. Names of links, tables and control groups follow from it.
    pub name: String,
    /// Where everything is kept.
    pub paths: Paths,
    /// The name of the node.
    pub node_name: String,
    /// The node's address.
    pub node_ip: Ipv4Addr,
    /// The kubelet's port.
    pub kubelet_port: u16,
    /// Where a container runtime is looked for before PATH.
    pub runtime_dirs: Vec<PathBuf>,
    /// The control group of all pods.
    pub cgroup_root: String,
}

/// How a control plane and its own node are set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The node.
    pub node: NodeSettings,
    /// What all nodes know.
    pub layout: Layout,
    /// The API server's port.
    pub port: u16,
}

/// The name of a machine's only cluster.
pub const DEFAULT_NAME: &str = "decapod";

/// What has to be known to take away what a node has made, kept in its folder.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// What this machine calls the cluster.
    pub name: String,
    /// The control group of all pods.
    pub cgroup_root: String,
}

// === impl Layout ===

impl Layout {
    /// The address of cluster DNS: the tenth of the services' network.
    pub fn dns_address(&self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.service_cidr.network()) + 10)
    }

    /// The network of pods.
    pub fn pods(&self) -> IpNet {
        self.cluster_cidr.into()
    }

    /// The network of services.
    pub fn services(&self) -> IpNet {
        self.service_cidr.into()
    }

    /// The network of services: base and length of the prefix.
    pub fn service_range(&self) -> (Ipv4Addr, u8) {
        (self.service_cidr.network(), self.service_cidr.prefix_len())
    }
}

// === impl Settings ===

impl Settings {
    /// Refuses networks of which one is in the other, or in which the node is.
    pub fn check(&self) -> Result<(), Error> {
        let (pods, services) = (self.layout.cluster_cidr, self.layout.service_cidr);
        if pods.contains(&services) || services.contains(&pods) {
            return Err(Error::Overlap { pods, services });
        }
        let address = self.node.node_ip;
        match [pods, services].into_iter().find(|network| network.contains(&address)) {
            Some(network) => Err(Error::Inside { address, network }),
            None => Ok(()),
        }
    }
}

// === impl NodeSettings ===

impl NodeSettings {
    /// The name as `network` and `proxy` take it: empty for a machine's only cluster.
    pub fn kernel_name(&self) -> &str {
        kernel_name(&self.name)
    }

    /// Writes down what taking it away needs to know.
    pub fn record(&self) -> Result<(), Error> {
        let record = Record { name: self.name.clone(), cgroup_root: self.cgroup_root.clone() };
        let path = self.paths.record();
        let failed = |source| Error::File { path: path.clone(), source };
        let text = serde_json::to_vec_pretty(&record).map_err(|error| failed(error.into()))?;
        std::fs::write(&path, text).map_err(failed)
    }
}

/// What `network` and `proxy` call the cluster `name`.
pub fn kernel_name(name: &str) -> &str {
    if name == DEFAULT_NAME { "" } else { name }
}

/// The control group of the pods of the cluster `name`, where none is given.
pub fn cgroup_root(name: &str) -> String {
    if name == DEFAULT_NAME { "/kubepods".to_owned() } else { format!("/kubepods-{name}") }
}

// === impl Record ===

impl Record {
    /// What is written down in the folder; what a folder of the default name has, if nothing is.
    pub fn read(paths: &Paths) -> Record {
        let text = std::fs::read(paths.record()).ok();
        let record = text.and_then(|text| serde_json::from_slice(&text).ok());
        record.unwrap_or_else(|| Record {
            name: DEFAULT_NAME.to_owned(),
            cgroup_root: cgroup_root(DEFAULT_NAME),
        })
    }
}
