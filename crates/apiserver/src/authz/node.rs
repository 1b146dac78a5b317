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
    ("", "nodes", "", &["create", "get", "list", "watch", "update", "patch"]),
    ("", "nodes", "status", &["update", "patch"]),
    ("", "events", "", &["create", "update", "patch"]),
    ("", "pods", "", &["get", "list", "watch", "create", "delete"]),
    ("", "pods", "status", &["update", "patch"]),
    ("", "pods", "eviction", &["create"]),
    ("certificates.k8s.io", "certificatesigningrequests", "", &["create", "get", "list", "watch"]),
    ("", "persistentvolumeclaims", "status", &["get", "update", "patch"]),
    ("storage.k8s.io", "csidrivers", "", &["get", "list", "watch"]),
    ("storage.k8s.io", "csinodes", "", &["create", "delete", "get", "patch", "update"]),
    ("node.k8s.io", "runtimeclasses", "", &["get", "list", "watch"]),
    ("coordination.k8s.io", "leases", "", &["get", "create", "update", "patch", "delete"]),
];

impl Authorizer for NodeAuthorizer {
    fn authorize(&self, question: &Question, lookup: &dyn Lookup) -> Decision {
        let deny = |why: &str| Decision::Deny(why.to_owned());
        let Some(node) = question.user.as_node() else { return deny("") };
        let What::Resource { verb, group, resource, subresource, namespace, name } = question.what else {
            return deny("");
        };
        let reads = matches!(verb, "get" | "list" | "watch");
        let used = |field: Field| {
            // A list or watch has to name the one object, which then counts as a get.
            if !reads || !subresource.is_empty() {
                return deny("can only read resources of this type");
            }
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
        match (group, resource) {
            ("", "secrets") => used(Field::Secret),
            ("", "configmaps") => used(Field::ConfigMap),
            ("", "persistentvolumeclaims") if subresource.is_empty() => used(Field::Claim),
            ("", "persistentvolumes") => used(Field::Volume),
            ("storage.k8s.io", "volumeattachments") => {
                let attachment = lookup.draft(group, resource, "", name);
                match attachment.is_some_and(|a| a.str_at(&["spec", "nodeName"]) == Some(node)) && reads {
                    true => Decision::Allow(String::new()),
                    false => deny("can only get individual resources of this type"),
                }
            }
            ("", "serviceaccounts") if subresource == "token" && verb == "create" => {
                match Field::Account.is_used(lookup, node, namespace, name) {
                    true => Decision::Allow(String::new()),
                    false => {
                        Decision::Deny(format!("no relationship found between node '{node}' and this object"))
                    }
                }
            }
            ("", "serviceaccounts") if subresource.is_empty() => used(Field::Account),
            ("coordination.k8s.io", "leases") => {
                match namespace == "kube-node-lease" && (name == node || verb == "create") {
                    true => Decision::Allow(String::new()),
                    false => deny(
                        "can only access leases in the \"kube-node-lease\" system namespace with the same name as the requesting node",
                    ),
                }
            }
            ("storage.k8s.io", "csinodes") if name != node && verb != "create" => {
                deny("can only access CSINode with the same name as the requesting node")
            }
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

/// What a pod may refer to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    Secret,
    ConfigMap,
    Claim,
    Volume,
    Account,
}

impl Field {
    /// Whether a pod of `node` uses the object.
    fn is_used(self, lookup: &dyn Lookup, node: &str, namespace: &str, name: &str) -> bool {
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
            .any(|pod| self.names(&pod).contains(&name))
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
            Field::Volume => {}
        }
        names
    }
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
