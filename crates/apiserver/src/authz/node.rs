//! The node authorizer: a kubelet reads and writes what its pods need, and nothing else
//! (k8s.io/kubernetes/plugin/pkg/auth/authorizer/node).

use decapod_api::Value;

use super::{Authorizer, Decision, Question, Rules, What};
use crate::identity::User;
use crate::registry::Lookup;

/// Decides for users `system:node:<name>` of the group `system:nodes`.
#[derive(Default)]
pub struct NodeAuthorizer;

/// What any kubelet may do, whatever its name: group, resource, subresource and verbs
/// (upstream's `NodeRules` of plugin/pkg/auth/authorizer/rbac/bootstrappolicy).
const RULES: &[(&str, &str, &str, &[&str])] = &[
    ("authentication.k8s.io", "tokenreviews", "", &["create"]),
    ("authorization.k8s.io", "subjectaccessreviews", "", &["create"]),
    ("authorization.k8s.io", "localsubjectaccessreviews", "", &["create"]),
    ("", "services", "", &["get", "list", "watch"]),
    ("", "nodes", "", &["create", "update", "patch"]),
    ("", "nodes", "status", &["update", "patch"]),
    ("", "events", "", &["create", "update", "patch"]),
    ("", "pods", "", &["get", "list", "watch", "create", "delete"]),
    ("", "pods", "status", &["update", "patch"]),
    ("", "pods", "eviction", &["create"]),
    ("certificates.k8s.io", "certificatesigningrequests", "", &["create", "get", "list", "watch"]),
    ("", "persistentvolumeclaims", "status", &["get", "update", "patch"]),
    ("storage.k8s.io", "csidrivers", "", &["get", "list", "watch"]),
    ("node.k8s.io", "runtimeclasses", "", &["get", "list", "watch"]),
];

impl Authorizer for NodeAuthorizer {
    fn authorize(&self, question: &Question, lookup: &dyn Lookup) -> Decision {
        let Some(node) = question.user.as_node() else { return deny("") };
        let What::Resource { verb, group, resource, subresource, namespace, name } = question.what else {
            return deny("");
        };
        let reads = matches!(verb, "get" | "list" | "watch");
        let used = |field: Field| {
            if name.is_empty() {
                return deny("No Object name found");
            }
            match field.is_used(lookup, node, namespace, name) {
                true => Decision::Allow(String::new()),
                false => {
                    Decision::Deny(format!("no relationship found between node '{node}' and this object"))
                }
            }
        };
        // A list or watch has to name the one object, which then counts as a get.
        let read = |field: Field| match (reads, subresource, namespace) {
            (false, _, _) => deny("can only read resources of this type"),
            (true, "", "") => deny("can only read namespaced object of this type"),
            (true, "", _) => used(field),
            (true, _, _) => deny("cannot read subresource"),
        };
        let get = |field: Field| match (verb, subresource) {
            ("get", "") => used(field),
            ("get", _) => deny("cannot get subresource"),
            _ => deny("can only get individual resources of this type"),
        };
        match (group, resource) {
            ("", "secrets") => read(Field::Secret),
            ("", "configmaps") => read(Field::ConfigMap),
            ("", "persistentvolumeclaims") if subresource.is_empty() => get(Field::Claim),
            ("", "persistentvolumes") => get(Field::Volume),
            ("", "pods") if subresource.is_empty() && reads && !name.is_empty() => used(Field::Pod),
            ("", "nodes") if subresource.is_empty() && reads => itself(node, name),
            ("storage.k8s.io", "volumeattachments") => get(Field::Attachment),
            ("", "serviceaccounts") if subresource.is_empty() && verb == "get" => read(Field::Account),
            ("", "serviceaccounts") => match (verb, subresource) {
                ("create", "token") if !name.is_empty() => used(Field::Account),
                ("create", _) if !name.is_empty() => {
                    deny("can only create token subresource of serviceaccount")
                }
                _ => deny("can only create tokens for individual service accounts"),
            },
            ("coordination.k8s.io", "leases") => lease(node, verb, namespace, name),
            ("storage.k8s.io", "csinodes") => csi_node(node, verb, subresource, name),
            _ => {
                let rule = RULES.iter().find(|(g, r, s, verbs)| {
                    (*g, *r, *s) == (group, resource, subresource) && verbs.contains(&verb)
                });
                if rule.is_some() { Decision::Allow(String::new()) } else { deny("") }
            }
        }
    }

    fn rules(&self, _user: &User, _namespace: &str, _lookup: &dyn Lookup) -> Rules {
        Rules { incomplete: true, ..Rules::default() }
    }
}

fn deny(why: &str) -> Decision {
    Decision::Deny(why.to_owned())
}

/// Reads of a node.
fn itself(node: &str, name: &str) -> Decision {
    match name {
        own if own == node => Decision::Allow(String::new()),
        "" => Decision::Deny(format!("node '{node}' cannot read all nodes, only its own Node object")),
        other => Decision::Deny(format!("node '{node}' cannot read '{other}', only its own Node object")),
    }
}

fn lease(node: &str, verb: &str, namespace: &str, name: &str) -> Decision {
    match (verb, namespace) {
        ("get" | "create" | "update" | "patch" | "delete", "kube-node-lease") => {
            own(node, verb, name, "node lease")
        }
        ("get" | "create" | "update" | "patch" | "delete", _) => {
            deny("can only access leases in the \"kube-node-lease\" system namespace")
        }
        _ => deny("can only get, create, update, patch, or delete a node lease"),
    }
}

fn csi_node(node: &str, verb: &str, subresource: &str, name: &str) -> Decision {
    match (verb, subresource) {
        ("get" | "create" | "update" | "patch" | "delete", "") => own(node, verb, name, "CSINode"),
        ("get" | "create" | "update" | "patch" | "delete", _) => {
            deny("cannot authorize CSINode subresources")
        }
        _ => deny("can only get, create, update, patch, or delete a CSINode"),
    }
}

/// Whether the object has the node's name. On create nobody knows its name yet: NodeRestriction looks at it.
fn own(node: &str, verb: &str, name: &str, what: &str) -> Decision {
    match verb == "create" || name == node {
        true => Decision::Allow(String::new()),
        false => Decision::Deny(format!("can only access {what} with the same name as the requesting node")),
    }
}

/// What a node's pods may refer to, and what names the node itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    Secret,
    ConfigMap,
    Claim,
    Volume,
    Account,
    /// A pod that is bound to the node.
    Pod,
    /// A volume attachment to the node.
    Attachment,
}

impl Field {
    /// Whether a pod of `node` uses the object.
    fn is_used(self, lookup: &dyn Lookup, node: &str, namespace: &str, name: &str) -> bool {
        let names_node = |plural: &str, group: &str| {
            let object = lookup.object(group, plural, namespace, name);
            object.is_some_and(|object| object.text(&["spec", "nodeName"]).as_deref() == Some(node))
        };
        match self {
            Field::Pod => return names_node("pods", ""),
            Field::Attachment => return names_node("volumeattachments", "storage.k8s.io"),
            _ => {}
        }
        if self == Field::Volume {
            let Some(volume) = lookup.draft("", "persistentvolumes", "", name) else { return false };
            let claim =
                |field: &str| volume.str_at(&["spec", "claimRef", field]).unwrap_or_default().to_owned();
            return Field::Claim.is_used(lookup, node, &claim("namespace"), &claim("name"));
        }
        // Only pods of the node are decoded: their node is read off the bytes.
        lookup
            .objects("", "pods", namespace)
            .iter()
            .filter(|pod| pod.text(&["spec", "nodeName"]).as_deref() == Some(node))
            .filter_map(|pod| serde_json::from_slice::<Value>(pod.body()).ok())
            .any(|pod| self.names(&pod).contains(&name) || self == Field::Claim && is_made_for(&pod, name))
    }

    /// The objects of this kind that a pod refers to.
    fn names(self, pod: &Value) -> Vec<&str> {
        let mut names = Vec::new();
        match self {
            Field::Account => names.extend(pod.str_at(&["spec", "serviceAccountName"])),
            Field::Claim => {
                let volumes = pod.list_at(&["spec", "volumes"]);
                names
                    .extend(volumes.iter().filter_map(|v| v.str_at(&["persistentVolumeClaim", "claimName"])));
            }
            Field::Secret => {
                let pull = pod.list_at(&["spec", "imagePullSecrets"]);
                names.extend(pull.iter().filter_map(|secret| secret.str_at(&["name"])));
                gather(
                    pod,
                    &["secretName", "secretRef", "secretKeyRef", "secret", "nodePublishSecretRef"],
                    &mut names,
                );
            }
            Field::ConfigMap => gather(pod, &["configMapRef", "configMapKeyRef", "configMap"], &mut names),
            Field::Volume | Field::Pod | Field::Attachment => {}
        }
        names
    }
}

/// Whether the claim of this name is one that is made for a volume of `pod`.
fn is_made_for(pod: &Value, claim: &str) -> bool {
    let pod_name = pod.str_at(&["metadata", "name"]).unwrap_or_default();
    let volume = claim.strip_prefix(pod_name).and_then(|rest| rest.strip_prefix('-'));
    let is_it = |of: &Value| of.get("ephemeral").is_some() && of.str_at(&["name"]) == volume;
    volume.is_some() && pod.list_at(&["spec", "volumes"]).iter().any(is_it)
}

/// Every name found under one of `keys`, at any depth of the spec: all references look alike.
fn gather<'a>(value: &'a Value, keys: &[&str], names: &mut Vec<&'a str>) {
    match value {
        Value::List(list) => list.iter().for_each(|item| gather(item, keys, names)),
        Value::Map(map) => {
            for (key, value) in map.iter() {
                if keys.contains(&key.as_str()) {
                    names.extend(value.as_str());
                    names.extend(value.str_at(&["name"]));
                    names.extend(value.str_at(&["secretName"]));
                }
                gather(value, keys, names);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use decapod_api::value;

    use super::*;

    #[test]
    fn claims_that_are_made_for_a_pod_are_its_own() {
        let volumes = value!([{"name": "v", "ephemeral": {}}, {"name": "w", "emptyDir": {}}]);
        let pod = value!({"metadata": {"name": "p"}, "spec": {"volumes": volumes}});
        for (claim, expected) in [("p-v", true), ("p-w", false), ("q-v", false), ("p", false), ("v", false)] {
            assert_eq!(is_made_for(&pod, claim), expected, "{claim}");
        }
    }
}
