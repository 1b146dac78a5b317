//! What a simulated kubelet says of its node and when: a pure function of what it has said so far
//! (pkg/kubelet kubelet_node_status.go, nodestatus/setters.go; k8s.io/component-helpers/apimachinery/lease).

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::{
    DaemonEndpoint, Node, NodeAddress, NodeCondition, NodeDaemonEndpoints, NodeStatus, NodeSystemInfo,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference, Time};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Config;

/// In this namespace are all nodes' leases.
pub const LEASE_NAMESPACE: &str = "kube-node-lease";
/// How often the lease is renewed, but for a jitter of up to 4 %: a quarter of its duration.
pub const RENEW_EVERY: Duration = Duration::from_secs(10);
/// For how long others take the node to be alive.
const LEASE_SECONDS: i32 = 40;
/// How often the status is written though nothing has changed.
pub const REPORT_EVERY: Duration = Duration::from_secs(300);
/// The version that the kubelet says it is.
const VERSION: &str = "v1.36.3";
/// The nodes' own addresses, and those of their pods until somebody gives the node a range: a /24 each.
const NODE_ADDRESSES: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 0);
const POD_ADDRESSES: Ipv4Addr = Ipv4Addr::new(100, 64, 0, 0);
/// How many nodes have addresses of their own.
const NODES_MAX: u32 = 1 << 14;

/// A node as its kubelet remembers it.
pub struct NodeState {
    /// Its name.
    pub name: String,
    /// Its own address.
    pub ip: Ipv4Addr,
    /// Whether its machine is off: it says and does nothing.
    pub is_off: bool,
    /// The node object's UID; empty until it is registered.
    pub uid: String,
    /// The resourceVersion of the lease; empty if there is none that we know.
    pub lease_version: String,
    /// When the lease is due.
    pub renew_at: Instant,
    /// When it was last renewed.
    pub renewed_at: Option<Instant>,
    /// When the status is due.
    pub report_at: Instant,
    /// Where its pods' addresses begin.
    range: u32,
    taken: BTreeSet<u8>,
    next: u8,
}

/// What a node has to tell next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    /// That it is there.
    Register,
    /// That it is alive.
    Renew,
    /// How it is.
    Report,
    /// Nothing, for so long.
    Rest(Duration),
}

// === impl NodeState ===

impl NodeState {
    /// The node of this index, before it has said anything.
    pub fn new(config: &Config, index: usize, now: Instant) -> NodeState {
        let index_bits = u32::try_from(index).unwrap_or_default() % NODES_MAX;
        NodeState {
            name: config.name(index),
            ip: Ipv4Addr::from(u32::from(NODE_ADDRESSES) + index_bits + 1),
            is_off: false,
            uid: String::new(),
            lease_version: String::new(),
            renew_at: now,
            renewed_at: None,
            report_at: now,
            range: u32::from(POD_ADDRESSES) + (index_bits << 8),
            taken: BTreeSet::new(),
            next: 1,
        }
    }

    /// What is due.
    pub fn duty(&self, now: Instant) -> Duty {
        if self.uid.is_empty() {
            Duty::Register
        } else if self.renew_at <= now {
            Duty::Renew
        } else if self.report_at <= now {
            Duty::Report
        } else {
            Duty::Rest(self.renew_at.min(self.report_at) - now)
        }
    }

    /// Takes the range of addresses that `node` has been given, while no pod has an address of another.
    pub fn adopt_range(&mut self, cidr: &str) {
        let base = cidr.split_once('/').and_then(|(base, _)| base.parse::<Ipv4Addr>().ok());
        if let Some(base) = base.filter(|_| self.taken.is_empty()) {
            self.range = u32::from(base);
        }
    }

    /// An address for a pod. When all are taken, one that is taken.
    pub fn take_address(&mut self) -> Ipv4Addr {
        for _ in 0..=u8::MAX {
            self.next = self.next.checked_add(1).unwrap_or(2);
            if self.taken.insert(self.next) {
                break;
            }
        }
        Ipv4Addr::from(self.range + u32::from(self.next))
    }

    /// Notes that a pod has `address`.
    pub fn hold_address(&mut self, address: Ipv4Addr) {
        self.taken.insert(address.octets()[3]);
    }

    /// A pod has its address no more.
    pub fn give_back(&mut self, address: Ipv4Addr) {
        self.taken.remove(&address.octets()[3]);
    }

    /// The node as it registers.
    pub fn object(&self, config: &Config, now: Timestamp) -> Node {
        let labels = [
            ("kubernetes.io/hostname", self.name.as_str()),
            ("kubernetes.io/os", "linux"),
            ("kubernetes.io/arch", "amd64"),
            ("beta.kubernetes.io/os", "linux"),
            ("beta.kubernetes.io/arch", "amd64"),
            ("type", "simulated"),
        ];
        let labels: BTreeMap<String, String> =
            labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        Node {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                labels: Some(labels),
                ..ObjectMeta::default()
            },
            status: Some(self.status(config, now)),
            ..Node::default()
        }
    }

    fn status(&self, config: &Config, now: Timestamp) -> NodeStatus {
        let amounts = [
            ("cpu", config.cpu.clone()),
            ("memory", config.memory.clone()),
            ("ephemeral-storage", "1Ti".to_owned()),
            ("pods", config.pods_max.to_string()),
        ];
        let amounts: BTreeMap<String, Quantity> =
            amounts.into_iter().map(|(name, amount)| (name.to_owned(), Quantity(amount))).collect();
        let address = |kind: &str, address: String| NodeAddress { type_: kind.to_owned(), address };
        NodeStatus {
            addresses: Some(vec![
                address("InternalIP", self.ip.to_string()),
                address("Hostname", self.name.clone()),
            ]),
            capacity: Some(amounts.clone()),
            allocatable: Some(amounts),
            conditions: Some(conditions(now)),
            daemon_endpoints: Some(NodeDaemonEndpoints {
                kubelet_endpoint: Some(DaemonEndpoint { port: 10250 }),
            }),
            node_info: Some(NodeSystemInfo {
                architecture: "amd64".to_owned(),
                container_runtime_version: "simulated://1".to_owned(),
                kubelet_version: VERSION.to_owned(),
                operating_system: "linux".to_owned(),
                os_image: "simulated".to_owned(),
                ..NodeSystemInfo::default()
            }),
            ..NodeStatus::default()
        }
    }

    /// The lease as it is to be; an update if `lease_version` is known.
    pub fn lease(&self, now: Timestamp) -> Lease {
        let owner = OwnerReference {
            api_version: "v1".to_owned(),
            kind: "Node".to_owned(),
            name: self.name.clone(),
            uid: self.uid.clone(),
            ..OwnerReference::default()
        };
        Lease {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                namespace: Some(LEASE_NAMESPACE.to_owned()),
                resource_version: (!self.lease_version.is_empty()).then(|| self.lease_version.clone()),
                owner_references: Some(vec![owner]),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.name.clone()),
                lease_duration_seconds: Some(LEASE_SECONDS),
                renew_time: Some(MicroTime(now)),
                ..LeaseSpec::default()
            }),
        }
    }
}

/// What the kubelet says of a node that is well.
fn conditions(now: Timestamp) -> Vec<NodeCondition> {
    let now = Time(Timestamp::from_second(now.as_second()).unwrap_or(now));
    let all = [
        ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    ];
    all.map(|(kind, status, reason, message)| NodeCondition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_heartbeat_time: Some(now.clone()),
        last_transition_time: Some(now.clone()),
    })
    .into()
}

/// Whether others have stopped to believe that the node is ready.
pub fn is_lost(node: &Node) -> bool {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status != "True")
}

/// The patch of a heartbeat: conditions that hold already keep the time since when they do.
pub fn heartbeat(before: &[NodeCondition], now: Timestamp) -> Value {
    let told = conditions(now).into_iter().map(|mut condition| {
        let same = before.iter().find(|old| old.type_ == condition.type_ && old.status == condition.status);
        if let Some(same) = same {
            condition.last_transition_time.clone_from(&same.last_transition_time);
        }
        condition
    });
    json!({"status": {"conditions": told.collect::<Vec<_>>()}})
}
