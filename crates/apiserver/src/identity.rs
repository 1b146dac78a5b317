//! Who asks.

use std::collections::BTreeMap;

/// A user, as authentication found it.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct User {
    /// The name, such as `system:admin` or `system:serviceaccount:default:builder`.
    #[serde(rename = "username")]
    pub name: String,
    /// The UID, where there is one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// The groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// What else is known.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, Vec<String>>,
}

/// Everybody who has shown who they are.
pub const AUTHENTICATED: &str = "system:authenticated";
/// Everybody who has not.
pub const UNAUTHENTICATED: &str = "system:unauthenticated";
/// Whom nothing is refused.
pub const MASTERS: &str = "system:masters";
/// The kubelets.
pub const NODES: &str = "system:nodes";

// === impl User ===

impl User {
    /// A user of this name and these groups, and of `system:authenticated`.
    pub fn new(name: impl Into<String>, groups: &[&str]) -> User {
        let groups = groups.iter().chain(&[AUTHENTICATED]).map(ToString::to_string).collect();
        User { name: name.into(), groups, ..User::default() }
    }

    /// Whoever did not say.
    pub fn anonymous() -> User {
        User { name: "system:anonymous".into(), groups: vec![UNAUTHENTICATED.into()], ..User::default() }
    }

    /// The service account `name` of `namespace` (k8s.io/apiserver/pkg/authentication/serviceaccount).
    pub fn service_account(namespace: &str, name: &str) -> User {
        let of_namespace = format!("system:serviceaccounts:{namespace}");
        User::new(
            format!("system:serviceaccount:{namespace}:{name}"),
            &["system:serviceaccounts", &of_namespace],
        )
    }

    /// The kubelet of `node`.
    pub fn node(node: &str) -> User {
        User::new(format!("system:node:{node}"), &[NODES])
    }

    /// Whether it is in `group`.
    pub fn in_group(&self, group: &str) -> bool {
        self.groups.iter().any(|g| g == group)
    }

    /// The node whose kubelet this is.
    pub fn as_node(&self) -> Option<&str> {
        self.name.strip_prefix("system:node:").filter(|_| self.in_group(NODES))
    }
}
