//! What the plugin is told: its configuration, and what the runtime adds to it (CNI specification 1.1, section 1).

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::config::NetworkConfig;

/// What comes on standard input.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Conf {
    /// The version of the specification that the caller speaks.
    #[serde(default, rename = "cniVersion")]
    pub version: String,
    /// Which plugin is meant.
    #[serde(default, rename = "type")]
    pub plugin: String,
    /// Ours: what the node's network looks like.
    pub network: Option<NetworkConfig>,
    /// What the runtime knows of the container.
    #[serde(default, rename = "runtimeConfig")]
    pub runtime: RuntimeConfig,
    /// For GC: who is still there.
    #[serde(default, rename = "cni.dev/valid-attachments")]
    pub valid_attachments: Option<Vec<ValidAttachment>>,
}

/// What the runtime knows of the container.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct RuntimeConfig {
    /// Its host ports.
    #[serde(default, rename = "portMappings")]
    pub ports: Vec<PortMapping>,
}

/// One host port. containerd writes its fields as Go names them, and Go reads JSON whatever the case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PortMapping {
    /// The node's port.
    #[serde(alias = "HostPort")]
    pub host_port: u16,
    /// The container's port.
    #[serde(alias = "ContainerPort")]
    pub container_port: u16,
    /// `tcp` (the default), `udp` or `sctp`, in any case.
    #[serde(default, alias = "Protocol")]
    pub protocol: String,
    /// The node's address; empty or unspecified for all of them.
    #[serde(default, rename = "hostIP", alias = "HostIP")]
    pub host_ip: String,
}

/// An attachment that GC has to leave alone.
#[derive(Clone, Debug, Deserialize)]
pub struct ValidAttachment {
    /// The container's id.
    #[serde(rename = "containerID")]
    pub container: String,
    /// The interface within it.
    #[serde(rename = "ifname")]
    pub interface: String,
}

// === impl PortMapping ===

impl PortMapping {
    /// The transport protocol's number.
    pub fn protocol_number(&self) -> Option<u8> {
        match self.protocol.to_ascii_lowercase().as_str() {
            "" | "tcp" => Some(6),
            "udp" => Some(17),
            "sctp" => Some(132),
            _ => None,
        }
    }

    /// The one address it is meant for.
    pub fn host_address(&self) -> Option<IpAddr> {
        self.host_ip.parse().ok().filter(|address: &IpAddr| !address.is_unspecified())
    }
}
