//! Refuses pods that do not fit this node, whoever has put them here (pkg/kubelet/lifecycle/predicate.go).

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use decapod_client::labels::{contains, selects_node};
use k8s_openapi::api::core::v1::{Node, NodeSelector};

use crate::pod::NodePod;
use crate::pod::qos::Class;
use crate::pod::resize::Pending;
use crate::pod::resources::{Amounts, amounts_of, pod_requests};

/// What the node's pods have been promised.
pub struct Admission {
    allocatable: Amounts,
    pods_max: u32,
    allowed_unsafe_sysctls: Vec<String>,
    admitted: Mutex<BTreeMap<String, Promise>>,
}

/// What a pod has been promised.
struct Promise {
    class: Class,
    amounts: Amounts,
    ports: Vec<HostPort>,
}

/// A port of the node: address, protocol, number.
#[derive(Clone, PartialEq, Eq)]
struct HostPort {
    ip: String,
    protocol: String,
    number: i32,
}

/// Sysctls that belong to a pod's own namespaces and harm nobody (pkg/kubelet/sysctl/safe_sysctls.go).
const SAFE_SYSCTLS: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
];

// === impl Admission ===

impl Admission {
    /// A node that has `allocatable`.
    pub fn new(allocatable: Amounts, pods_max: u32, allowed_unsafe_sysctls: Vec<String>) -> Admission {
        Admission { allocatable, pods_max, allowed_unsafe_sysctls, admitted: Mutex::default() }
    }

    /// Whether `pod` has to be held against the node's object: its labels, or resources that others have put there.
    pub fn minds_object(&self, pod: &NodePod) -> bool {
        let spec = pod.spec();
        spec.node_selector.as_ref().is_some_and(|labels| !labels.is_empty())
            || node_affinity(pod).is_some()
            || pod_requests(pod).keys().any(|name| !self.allocatable.contains_key(name))
    }

    /// Promises `pod` what it asks for; else the reason and message of its failure. `node` is the node's object, for
    /// those that mind it; when it cannot be had they are taken as they are.
    pub fn admit(&self, pod: &NodePod, node: Option<&Node>) -> Result<(), (String, String)> {
        self.check_sysctls(pod)?;
        let asked = pod_requests(pod);
        let mut admitted = self.admitted.lock().unwrap_or_else(PoisonError::into_inner);
        // One that runs already, before a restart, stays.
        let runs = pod.status().phase.as_deref() == Some("Running");
        if !runs && !admitted.contains_key(pod.uid()) {
            if admitted.len() >= self.pods_max as usize {
                return Err(out_of("pods", 1, admitted.len() as i64, self.pods_max.into()));
            }
            let status = node.and_then(|node| node.status.as_ref());
            let mut allocatable = amounts_of(status.and_then(|status| status.allocatable.as_ref()));
            allocatable.extend(self.allocatable.clone());
            // What no node object names is for somebody else to mind.
            let asked = asked.iter().filter(|(_, amount)| **amount > 0);
            for (name, amount, capacity) in asked.filter_map(|(n, a)| Some((n, a, *allocatable.get(n)?))) {
                let used: i64 = admitted.values().filter_map(|promise| promise.amounts.get(name)).sum();
                if used + amount > capacity {
                    return Err(out_of(name, *amount, used, capacity));
                }
            }
            node.map_or(Ok(()), |node| check_labels(pod, node))?;
            let taken = |port: &HostPort| {
                admitted.values().any(|promise| promise.ports.iter().any(|other| other.meets(port)))
            };
            if host_ports(pod).iter().any(taken) {
                return Err(predicate(
                    "NodePorts",
                    "node(s) didn't have free ports for the requested pod ports",
                ));
            }
        }
        admitted.insert(pod.uid().to_owned(), Promise::of(pod, asked));
        Ok(())
    }

    /// Promises a pod that runs already what it asks for now, or says why it keeps what it has
    /// (pkg/kubelet/allocation canResizePod).
    pub fn resize(&self, pod: &NodePod) -> Result<(), Pending> {
        let asked = pod_requests(pod);
        let mut admitted = self.admitted.lock().unwrap_or_else(PoisonError::into_inner);
        let of_others = |name: &str| -> i64 {
            let others = admitted.iter().filter(|(uid, _)| *uid != pod.uid());
            others.filter_map(|(_, promise)| promise.amounts.get(name)).sum()
        };
        for name in ["cpu", "memory"] {
            let requested = asked.get(name).copied().unwrap_or(0);
            let capacity = self.allocatable.get(name).copied().unwrap_or(0);
            if requested > capacity {
                let message = format!(
                    "Node didn't have enough capacity: {name}, requested: {requested}, capacity: {capacity}"
                );
                return Err(Pending { reason: "Infeasible", message });
            }
            let used = of_others(name);
            if used + requested > capacity {
                let (_, message) = out_of(name, requested, used, capacity);
                return Err(Pending { reason: "Deferred", message });
            }
        }
        admitted.insert(pod.uid().to_owned(), Promise::of(pod, asked));
        Ok(())
    }

    /// What the burstable pods have been promised together.
    pub fn burstable_cpu_millis(&self) -> i64 {
        let admitted = self.admitted.lock().unwrap_or_else(PoisonError::into_inner);
        let burstable = admitted.values().filter(|promise| promise.class == Class::Burstable);
        burstable.filter_map(|promise| promise.amounts.get("cpu")).sum()
    }

    /// Takes back what the pod was promised.
    pub fn forget(&self, uid: &str) {
        self.admitted.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }

    fn check_sysctls(&self, pod: &NodePod) -> Result<(), (String, String)> {
        let spec = pod.spec();
        let context = spec.security_context.as_ref();
        for sysctl in context.and_then(|context| context.sysctls.as_ref()).into_iter().flatten() {
            let name = sysctl.name.replace('/', ".");
            let allowed = |pattern: &String| match pattern.strip_suffix('*') {
                Some(prefix) => name.starts_with(prefix),
                None => *pattern == name,
            };
            if !SAFE_SYSCTLS.contains(&name.as_str()) && !self.allowed_unsafe_sysctls.iter().any(allowed) {
                return Err((
                    "SysctlForbidden".to_owned(),
                    format!("forbidden sysctl: {:?} not allowlisted", sysctl.name),
                ));
            }
        }
        Ok(())
    }
}

// === impl Promise ===

impl Promise {
    fn of(pod: &NodePod, amounts: Amounts) -> Promise {
        Promise { class: Class::of(pod), amounts, ports: host_ports(pod) }
    }
}

// === impl HostPort ===

impl HostPort {
    /// Whether both cannot be had at once.
    fn meets(&self, other: &HostPort) -> bool {
        let everywhere = |ip: &str| matches!(ip, "0.0.0.0" | "::");
        (self.number, &self.protocol) == (other.number, &other.protocol)
            && (self.ip == other.ip || everywhere(&self.ip) || everywhere(&other.ip))
    }
}

/// The node's ports that the pod's containers want while it runs: all but those of init containers that end.
fn host_ports(pod: &NodePod) -> Vec<HostPort> {
    let spec = pod.spec();
    let sidecars =
        spec.init_containers.iter().flatten().filter(|c| c.restart_policy.as_deref() == Some("Always"));
    let ports = sidecars.chain(&spec.containers).flat_map(|container| container.ports.iter().flatten());
    let wanted = ports.filter_map(|port| {
        let or = |text: &Option<String>, default: &str| {
            text.as_deref().filter(|text| !text.is_empty()).unwrap_or(default).to_owned()
        };
        Some(HostPort {
            ip: or(&port.host_ip, "0.0.0.0"),
            protocol: or(&port.protocol, "TCP"),
            number: port.host_port.filter(|number| *number > 0)?,
        })
    });
    wanted.collect()
}

/// The nodes that the pod requires beside its node selector.
fn node_affinity(pod: &NodePod) -> Option<NodeSelector> {
    let spec = pod.spec();
    spec.affinity.clone()?.node_affinity?.required_during_scheduling_ignored_during_execution
}

fn check_labels(pod: &NodePod, node: &Node) -> Result<(), (String, String)> {
    let labels = node.metadata.labels.clone().unwrap_or_default();
    let name = node.metadata.name.as_deref().unwrap_or_default();
    let fits = pod.spec().node_selector.as_ref().is_none_or(|wanted| contains(&labels, wanted))
        && node_affinity(pod).is_none_or(|selector| selects_node(&selector, name, &labels));
    if fits {
        return Ok(());
    }
    Err(predicate("NodeAffinity", "node(s) didn't match Pod's node affinity/selector"))
}

fn predicate(name: &str, why: &str) -> (String, String) {
    (name.to_owned(), format!("Predicate {name} failed: {why}"))
}

fn out_of(name: &str, requested: i64, used: i64, capacity: i64) -> (String, String) {
    let message = format!(
        "Node didn't have enough resource: {name}, requested: {requested}, used: {used}, capacity: {capacity}"
    );
    (format!("OutOf{name}"), message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod::tests::{pod, pod_of};
    use serde_json::json;

    #[test]
    fn what_does_not_fit_is_refused() {
        let allocatable = Amounts::from([("cpu".to_owned(), 1000)]);
        let admission = Admission::new(allocatable, 2, vec!["kernel.msg*".into()]);
        let node: Node = serde_json::from_value(json!({
            "metadata": { "name": "n", "labels": { "disk": "ssd" } },
            "status": { "allocatable": { "cpu": "9", "x.io/card": "1" } },
        }))
        .unwrap();
        let refused = |spec: serde_json::Value| {
            let pod = pod(spec);
            let node = admission.minds_object(&pod).then_some(&node);
            let refused = admission.admit(&pod, node).err().map(|(reason, _)| reason);
            admission.forget("u1");
            refused
        };
        let asks = |name: &str, amount: &str| json!({ "containers": [{ "name": "a", "resources": { "requests": { name: amount } } }] });
        assert_eq!(refused(asks("cpu", "2")).as_deref(), Some("OutOfcpu"));
        assert_eq!(refused(asks("cpu", "1")), None);
        assert_eq!(refused(asks("x.io/card", "1")), None);
        assert_eq!(refused(asks("x.io/card", "2")).as_deref(), Some("OutOfx.io/card"));
        assert_eq!(refused(asks("y.io/unknown", "2")), None);
        let sysctl = |name: &str| json!({ "containers": [], "securityContext": { "sysctls": [{ "name": name, "value": "1" }] } });
        assert_eq!(refused(sysctl("kernel.msgmax")), None);
        assert_eq!(refused(sysctl("net.core.somaxconn")).as_deref(), Some("SysctlForbidden"));
        let selector = |value: &str| json!({ "containers": [], "nodeSelector": { "disk": value } });
        assert_eq!(refused(selector("ssd")), None);
        assert_eq!(refused(selector("tape")).as_deref(), Some("NodeAffinity"));
        let named = |name: &str| {
            let field = json!({ "key": "metadata.name", "operator": "In", "values": [name] });
            let required = json!({ "nodeSelectorTerms": [{ "matchFields": [field] }] });
            let affinity =
                json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": required } });
            json!({ "containers": [], "affinity": affinity })
        };
        assert_eq!(refused(named("n")), None);
        assert_eq!(refused(named("m")).as_deref(), Some("NodeAffinity"));
    }

    #[test]
    fn a_port_of_the_node_is_given_once() {
        let admission = Admission::new(Amounts::new(), 9, vec![]);
        let with = |uid: &str, ip: &str, protocol: &str| {
            let port = json!({ "containerPort": 1, "hostPort": 80, "hostIP": ip, "protocol": protocol });
            let spec = json!({ "containers": [{ "name": "a", "ports": [port] }] });
            admission.admit(&pod_of(uid, spec), None).err().map(|(reason, _)| reason)
        };
        assert_eq!(with("u1", "127.0.0.1", "TCP"), None);
        assert_eq!(with("u2", "127.0.0.2", "TCP"), None);
        assert_eq!(with("u3", "127.0.0.1", "UDP"), None);
        assert_eq!(with("u4", "127.0.0.1", "TCP").as_deref(), Some("NodePorts"));
        assert_eq!(with("u5", "", "TCP").as_deref(), Some("NodePorts"));
        admission.forget("u1");
        assert_eq!(with("u4", "127.0.0.1", "TCP"), None);
    }
}
