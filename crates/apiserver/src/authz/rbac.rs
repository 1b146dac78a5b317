//! Role-based access control (k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac).
//!
//! Roles and bindings are read from the store's memory as compiled forms, kept by revision: an object that has not
//! changed is never decoded twice.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use decapod_api::{Object, Value};

use super::{Authorizer, Decision, Question, Rules, What};
use crate::identity::User;
use crate::registry::Lookup;

const GROUP: &str = "rbac.authorization.k8s.io";

/// The authorizer, with what it has compiled so far.
#[derive(Default)]
pub struct Rbac {
    roles: Mutex<Compiled<Vec<Rule>>>,
    bindings: Mutex<Compiled<Binding>>,
}

/// Compiled objects by UID, each with the revision it was compiled from.
type Compiled<T> = HashMap<String, (u64, Arc<T>)>;

/// One rule of a role.
#[derive(Clone, Debug, Default)]
pub struct Rule {
    verbs: Vec<String>,
    groups: Vec<String>,
    resources: Vec<String>,
    names: Vec<String>,
    paths: Vec<String>,
}

/// Is shown the rules that a binding gives, or that its role is not there, with the reason to give; says whether it wants
/// more.
type Visitor<'v> = dyn FnMut(Result<&[Rule], String>, &dyn Fn() -> String) -> bool + 'v;

/// Who gets which role.
struct Binding {
    cluster_role: bool,
    role: String,
    subjects: Vec<Subject>,
}

enum Subject {
    User(String),
    Group(String),
    ServiceAccount { namespace: String, name: String },
}

/// Most compiled objects that are kept.
const COMPILED_MAX: usize = 65_536;

// === impl Rbac ===

impl Authorizer for Rbac {
    fn authorize(&self, question: &Question, lookup: &dyn Lookup) -> Decision {
        let mut decision = Decision::Deny(String::new());
        let namespace = match question.what {
            What::Resource { namespace, .. } => namespace,
            What::Path { .. } => "",
        };
        let mut missing: Vec<String> = Vec::new();
        self.visit(question.user, namespace, lookup, &mut |found, reason| {
            let rules = match found {
                Ok(rules) => rules,
                Err(error) => {
                    if !missing.contains(&error) {
                        missing.push(error);
                    }
                    return true;
                }
            };
            let allowed = rules.iter().any(|rule| rule.allows(&question.what));
            if allowed {
                decision = Decision::Allow(reason());
            }
            !allowed
        });
        match (&decision, missing.as_slice()) {
            (Decision::Deny(_), [only]) => Decision::Deny(format!("RBAC: {only}")),
            (Decision::Deny(_), [_, ..]) => Decision::Deny(format!("RBAC: [{}]", missing.join(", "))),
            _ => decision,
        }
    }

    fn rules(&self, user: &User, namespace: &str, lookup: &dyn Lookup) -> Rules {
        let mut found = Rules::default();
        self.visit(user, namespace, lookup, &mut |rules, _| {
            for rule in rules.unwrap_or_default() {
                match rule.paths.is_empty() {
                    true => found.resource.push(rule.to_value()),
                    false => found.non_resource.push(rule.to_value()),
                }
            }
            true
        });
        found
    }
}

impl Rbac {
    /// All rules that apply to `user` in `namespace`, cluster-wide ones included.
    pub fn rules_of(&self, user: &User, namespace: &str, lookup: &dyn Lookup) -> Vec<Rule> {
        let mut found = Vec::new();
        self.visit(user, namespace, lookup, &mut |rules, _| {
            found.extend_from_slice(rules.unwrap_or_default());
            true
        });
        found
    }

    /// Shows `visitor` what every binding that names `user` gives, until it has enough.
    fn visit(&self, user: &User, namespace: &str, lookup: &dyn Lookup, visitor: &mut Visitor) {
        for object in lookup.objects(GROUP, "clusterrolebindings", "") {
            if !self.visit_binding(&object, user, "", lookup, visitor) {
                return;
            }
        }
        if !namespace.is_empty() {
            for object in lookup.objects(GROUP, "rolebindings", namespace) {
                if !self.visit_binding(&object, user, namespace, lookup, visitor) {
                    return;
                }
            }
        }
    }

    fn visit_binding(
        &self,
        object: &Object,
        user: &User,
        namespace: &str,
        lookup: &dyn Lookup,
        visitor: &mut Visitor,
    ) -> bool {
        let binding = compiled(&self.bindings, object, |draft| Binding::compile(draft, namespace));
        if !binding.subjects.iter().any(|subject| subject.is(user)) {
            return true;
        }
        let role = match binding.cluster_role {
            true => lookup.object(GROUP, "clusterroles", "", &binding.role),
            false => lookup.object(GROUP, "roles", namespace, &binding.role),
        };
        let reason = || {
            let kind = if namespace.is_empty() { "ClusterRoleBinding" } else { "RoleBinding" };
            let of = if binding.cluster_role { "ClusterRole" } else { "Role" };
            let place = if namespace.is_empty() { String::new() } else { format!("/{namespace}") };
            format!(
                "RBAC: allowed by {kind} \"{}{place}\" of {of} \"{}\" to {}",
                object.name(),
                binding.role,
                who(user)
            )
        };
        let Some(role) = role else {
            let kind = if binding.cluster_role { "clusterrole" } else { "role" };
            return visitor(Err(format!("{kind}.{GROUP} {:?} not found", binding.role)), &reason);
        };
        visitor(Ok(&compiled(&self.roles, &role, rules_of_role)), &reason)
    }
}

fn who(user: &User) -> String {
    match user.name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':')) {
        Some((namespace, name)) => format!("ServiceAccount \"{name}/{namespace}\""),
        None => format!("User \"{}\"", user.name),
    }
}

fn compiled<T>(cache: &Mutex<Compiled<T>>, object: &Object, compile: impl FnOnce(&Value) -> T) -> Arc<T> {
    let mut cache = cache.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let uid = object.uid();
    if let Some((revision, value)) = cache.get(uid.as_ref())
        && *revision == object.revision()
    {
        return value.clone();
    }
    if cache.len() >= COMPILED_MAX {
        cache.clear();
    }
    let draft: Value = serde_json::from_slice(object.body()).unwrap_or_default();
    let value = Arc::new(compile(&draft));
    cache.insert(uid.into_owned(), (object.revision(), value.clone()));
    value
}

/// The compiled rules of a Role or ClusterRole draft.
pub fn rules_of_role(draft: &Value) -> Vec<Rule> {
    draft.list_at(&["rules"]).iter().map(Rule::compile).collect()
}

// === impl Rule ===

impl Rule {
    fn compile(rule: &Value) -> Rule {
        let texts = |field: &str| {
            rule.list_at(&[field]).iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
        };
        Rule {
            verbs: texts("verbs"),
            groups: texts("apiGroups"),
            resources: texts("resources"),
            names: texts("resourceNames"),
            paths: texts("nonResourceURLs"),
        }
    }

    /// Whether this rule alone allows it.
    pub fn allows(&self, what: &What) -> bool {
        let has = |list: &[String], wanted: &str| list.iter().any(|item| item == "*" || item == wanted);
        match *what {
            What::Path { verb, path } => {
                has(&self.verbs, verb)
                    && self.paths.iter().any(|rule| match rule.strip_suffix('*') {
                        Some(prefix) => path.starts_with(prefix),
                        None => rule == path,
                    })
            }
            What::Resource { verb, group, resource, subresource, name, .. } => {
                has(&self.verbs, verb)
                    && has(&self.groups, group)
                    && self.covers(resource, subresource)
                    && (self.names.is_empty() || self.names.iter().any(|item| item == name))
            }
        }
    }

    fn covers(&self, resource: &str, subresource: &str) -> bool {
        self.resources.iter().any(|rule| match rule.split_once('/') {
            _ if rule == "*" => true,
            None => subresource.is_empty() && rule == resource,
            Some(("*", sub)) => sub == subresource && !subresource.is_empty(),
            Some((res, sub)) => res == resource && sub == subresource && !subresource.is_empty(),
        })
    }

    /// Whether these rules together allow all that this one does: what one may grant
    /// (k8s.io/component-helpers/auth/rbac/validation).
    pub fn is_covered_by(&self, owned: &[Rule]) -> bool {
        let any = |list: &[String]| if list.is_empty() { vec![String::new()] } else { list.to_vec() };
        let paths_covered = self.paths.iter().all(|path| {
            self.verbs.iter().all(|verb| {
                owned.iter().any(|rule| {
                    rule.verbs.iter().any(|v| v == "*" || v == verb)
                        && rule.paths.iter().any(|p| {
                            p == path || p.strip_suffix('*').is_some_and(|prefix| path.starts_with(prefix))
                        })
                })
            })
        });
        let resources_covered = self.resources.is_empty()
            || self.verbs.iter().all(|verb| {
                self.groups.iter().all(|group| {
                    self.resources.iter().all(|resource| {
                        any(&self.names)
                            .iter()
                            .all(|name| owned.iter().any(|rule| rule.has(verb, group, resource, name)))
                    })
                })
            });
        paths_covered && resources_covered
    }

    fn has(&self, verb: &str, group: &str, resource: &str, name: &str) -> bool {
        let has = |list: &[String], wanted: &str| list.iter().any(|item| item == "*" || item == wanted);
        let covers = has(&self.resources, resource)
            || resource
                .split_once('/')
                .is_some_and(|(_, sub)| self.resources.iter().any(|r| r.strip_prefix("*/") == Some(sub)));
        let named = self.names.is_empty() || (!name.is_empty() && self.names.iter().any(|n| n == name));
        has(&self.verbs, verb) && has(&self.groups, group) && covers && named
    }

    fn to_value(&self) -> Value {
        let texts = |list: &[String]| Value::List(list.iter().map(|text| text.as_str().into()).collect());
        let mut value = Value::map();
        value.set_at(&["verbs"], texts(&self.verbs));
        for (field, list) in [
            ("apiGroups", &self.groups),
            ("resources", &self.resources),
            ("resourceNames", &self.names),
            ("nonResourceURLs", &self.paths),
        ] {
            if !list.is_empty() {
                value.set_at(&[field], texts(list));
            }
        }
        value
    }
}

// === impl Binding, Subject ===

impl Binding {
    fn compile(draft: &Value, namespace: &str) -> Binding {
        let subject = |subject: &Value| {
            let text = |field: &str| subject.str_at(&[field]).unwrap_or_default().to_owned();
            match subject.str_at(&["kind"])? {
                "User" => Some(Subject::User(text("name"))),
                "Group" => Some(Subject::Group(text("name"))),
                "ServiceAccount" => {
                    let of = text("namespace");
                    let namespace = if of.is_empty() { namespace.to_owned() } else { of };
                    Some(Subject::ServiceAccount { namespace, name: text("name") })
                }
                _ => None,
            }
        };
        Binding {
            cluster_role: draft.str_at(&["roleRef", "kind"]) == Some("ClusterRole"),
            role: draft.str_at(&["roleRef", "name"]).unwrap_or_default().to_owned(),
            subjects: draft.list_at(&["subjects"]).iter().filter_map(subject).collect(),
        }
    }
}

impl Subject {
    fn is(&self, user: &User) -> bool {
        match self {
            Subject::User(name) => *name == user.name,
            Subject::Group(name) => user.in_group(name),
            Subject::ServiceAccount { namespace, name } => {
                let rest = user.name.strip_prefix("system:serviceaccount:");
                rest.and_then(|rest| rest.split_once(':')) == Some((namespace.as_str(), name.as_str()))
            }
        }
    }
}
