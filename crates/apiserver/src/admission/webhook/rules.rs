//! What a webhook is asked about (k8s.io/apiserver/pkg/admission/plugin/webhook/predicates/rules).

use decapod_api::Value;

use crate::admission::Operation;

/// A rule: an operation on a resource matches if all of its lists have it, or `*`.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    operations: Vec<String>,
    groups: Vec<String>,
    versions: Vec<String>,
    /// Such as `pods`, `pods/status`, `*/scale`.
    resources: Vec<String>,
    scope: Scope,
}

/// Whether objects in namespaces are meant. Namespaces themselves are in none.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Scope {
    All,
    Cluster,
    Namespaced,
}

/// What is done to which resource.
#[derive(Clone, Copy, Debug)]
pub struct What<'a> {
    /// What is done.
    pub operation: Operation,
    /// The group.
    pub group: &'a str,
    /// The version.
    pub version: &'a str,
    /// The plural.
    pub plural: &'a str,
    /// The subresource; empty for the whole.
    pub subresource: &'a str,
    /// Whether the object is in a namespace.
    pub namespaced: bool,
}

// === impl Rule ===

impl Rule {
    /// From a `RuleWithOperations`.
    pub fn new(rule: &Value) -> Rule {
        let texts = |field: &str| {
            rule.list_at(&[field]).iter().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        Rule {
            operations: texts("operations"),
            groups: texts("apiGroups"),
            versions: texts("apiVersions"),
            resources: texts("resources"),
            scope: match rule.str_at(&["scope"]) {
                Some("Cluster") => Scope::Cluster,
                Some("Namespaced") => Scope::Namespaced,
                _ => Scope::All,
            },
        }
    }

    /// Whether `what` is meant.
    pub fn matches(&self, what: &What) -> bool {
        let in_scope = match self.scope {
            Scope::All => true,
            Scope::Cluster => !what.namespaced,
            Scope::Namespaced => what.namespaced,
        };
        in_scope
            && has(&self.operations, what.operation.as_str())
            && has(&self.groups, what.group)
            && has(&self.versions, what.version)
            && self.resources.iter().any(|resource| {
                let (plural, subresource) = resource.split_once('/').unwrap_or((resource, ""));
                (plural == "*" || plural == what.plural)
                    && (subresource == "*" || subresource == what.subresource)
            })
    }
}

fn has(items: &[String], wanted: &str) -> bool {
    items.iter().any(|item| item == "*" || item == wanted)
}
