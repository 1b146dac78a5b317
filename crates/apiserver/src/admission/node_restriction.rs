//! NodeRestriction: a kubelet changes its own node and its own pods, and of those not everything
//! (k8s.io/kubernetes/plugin/pkg/admission/noderestriction).

use decapod_api::{Status, Value};

use super::{Attributes, Operation, Plugin};
use crate::registry::Lookup;

/// The plugin.
pub struct NodeRestriction;

const MIRROR: &str = "kubernetes.io/config.mirror";
/// Labels under this prefix are an administrator's.
const RESTRICTED: &str = "node-restriction.kubernetes.io/";
/// Labels of `kubernetes.io` and `k8s.io` that a kubelet may set.
const ALLOWED_LABELS: [&str; 13] = [
    "kubernetes.io/hostname",
    "kubernetes.io/os",
    "kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/instance-type",
    "node.kubernetes.io/instance-type",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.kubernetes.io/zone",
    "failure-domain.kubernetes.io/region",
];
const ALLOWED_PREFIXES: [&str; 2] = ["kubelet.kubernetes.io/", "node.kubernetes.io/"];

impl Plugin for NodeRestriction {
    fn name(&self) -> &'static str {
        "NodeRestriction"
    }

    fn handles(&self, attributes: &Attributes) -> bool {
        attributes.user.in_group(crate::identity::NODES)
    }

    fn validate(&self, attributes: &Attributes, lookup: &dyn Lookup) -> Result<(), Status> {
        let Some(node) = attributes.user.as_node() else {
            return Err(attributes.forbid("could not determine node from user"));
        };
        match (&*attributes.resource.group, &*attributes.resource.plural) {
            ("", "pods") => pod(attributes, node, lookup),
            ("", "nodes") => own_node(attributes, node),
            ("", "serviceaccounts") if attributes.subresource == "token" => Ok(()),
            ("coordination.k8s.io", "leases") if attributes.namespace != "kube-node-lease" => {
                Err(attributes.forbid("can only access leases in the \"kube-node-lease\" system namespace"))
            }
            ("coordination.k8s.io", "leases") if object_name(attributes) != node => {
                Err(attributes.forbid("can only access node lease with the same name as the requesting node"))
            }
            ("storage.k8s.io", "csinodes") if object_name(attributes) != node => {
                Err(attributes.forbid("can only access CSINode with the same name as the requesting node"))
            }
            _ => Ok(()),
        }
    }
}

fn object_name<'a>(attributes: &'a Attributes) -> &'a str {
    match attributes.name {
        "" => attributes.object.str_at(&["metadata", "name"]).unwrap_or_default(),
        name => name,
    }
}

fn pod(attributes: &Attributes, node: &str, lookup: &dyn Lookup) -> Result<(), Status> {
    let bound_here = |pod: &Value| pod.str_at(&["spec", "nodeName"]) == Some(node);
    match (attributes.operation, attributes.subresource) {
        (Operation::Create, "") => mirror_pod(attributes, node, lookup),
        (Operation::Delete, "") | (Operation::Update, "status") | (Operation::Create, "eviction") => {
            match attributes.old.is_none_or(bound_here) {
                true => Ok(()),
                false => {
                    let what = match (attributes.operation, attributes.subresource) {
                        (Operation::Delete, _) => format!("node {node:?} can only delete pods"),
                        (_, "status") => format!("node {node:?} can only update pod status for pods"),
                        _ => format!("node {node} can only evict pods"),
                    };
                    Err(attributes.forbid(&format!("{what} with spec.nodeName set to itself")))
                }
            }
        }
        (_, "") => Err(attributes.forbid(&format!(
            "unexpected operation \"UPDATE\", node {node:?} can only create and delete mirror pods"
        ))),
        (_, subresource) => Err(attributes.forbid(&format!(
            "unexpected pod subresource {subresource:?}, only 'status' and 'eviction' are allowed"
        ))),
    }
}

fn mirror_pod(attributes: &Attributes, node: &str, lookup: &dyn Lookup) -> Result<(), Status> {
    let pod = &attributes.object;
    let refuse = |why: String| Err(attributes.forbid(&why));
    if pod.at(&["metadata", "annotations", MIRROR]).is_none() {
        return refuse(format!(
            "pod does not have {MIRROR:?} annotation, node {node:?} can only create mirror pods"
        ));
    }
    if pod.str_at(&["spec", "nodeName"]) != Some(node) {
        return refuse(format!("node {node:?} can only create pods with spec.nodeName set to itself"));
    }
    let owners = pod.list_at(&["metadata", "ownerReferences"]);
    let own_uid = lookup.object("", "nodes", "", node).map(|object| object.uid().into_owned());
    if owners.iter().any(|owner| {
        owner.str_at(&["uid"]).map(str::to_owned) != own_uid || owner.str_at(&["kind"]) != Some("Node")
    }) {
        return refuse(format!("node {node:?} can only create pods with an owner reference set to itself"));
    }
    if !pod.str_at(&["spec", "serviceAccountName"]).unwrap_or_default().is_empty() {
        return refuse(format!("node {node:?} can not create pods that reference a service account"));
    }
    if !pod.list_at(&["spec", "resourceClaims"]).is_empty() {
        return refuse(format!("node {node:?} can not create pods that reference resource claims"));
    }
    for volume in pod.list_at(&["spec", "volumes"]) {
        for kind in ["secret", "configMap", "persistentVolumeClaim", "ephemeral", "projected"] {
            if volume.get(kind).is_some() {
                return refuse(format!("node {node:?} can not create pods that reference a {kind} volume"));
            }
        }
    }
    Ok(())
}

fn own_node(attributes: &Attributes, node: &str) -> Result<(), Status> {
    let refuse = |why: String| Err(attributes.forbid(&why));
    if attributes.operation == Operation::Delete {
        return refuse(format!("node {node:?} is not allowed to delete nodes"));
    }
    if object_name(attributes) != node {
        return refuse(format!("node {node:?} is not allowed to modify node {:?}", object_name(attributes)));
    }
    let new = &attributes.object;
    let labels = |value: &Value| {
        value.at(&["metadata", "labels"]).and_then(Value::as_map).cloned().unwrap_or_default()
    };
    let (before, after) = (attributes.old.map(labels).unwrap_or_default(), labels(new));
    let changed = after
        .iter()
        .filter(|(key, value)| before.get(key) != Some(value))
        .chain(before.iter().filter(|(key, _)| !after.contains(key)))
        .map(|(key, _)| key.as_str());
    for label in changed {
        if !may_set(label) {
            return refuse(format!("is not allowed to modify labels: {label}"));
        }
    }
    if let Some(old) = attributes.old {
        for (path, what) in
            [(["spec", "taints"], "taints"), (["metadata", "ownerReferences"], "ownerReferences")]
        {
            if old.list_at(&path) != new.list_at(&path) && attributes.subresource.is_empty() {
                return refuse(format!("node {node:?} is not allowed to modify {what}"));
            }
        }
    }
    Ok(())
}

fn may_set(label: &str) -> bool {
    let prefix = label.split_once('/').map_or("", |(prefix, _)| prefix);
    if label.starts_with(RESTRICTED) {
        return false;
    }
    let reserved = prefix == "kubernetes.io"
        || prefix == "k8s.io"
        || prefix.ends_with(".kubernetes.io")
        || prefix.ends_with(".k8s.io");
    !reserved
        || ALLOWED_LABELS.contains(&label)
        || ALLOWED_PREFIXES.iter().any(|allowed| label.starts_with(allowed))
}
