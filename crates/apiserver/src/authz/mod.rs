//! Authorization: may they. Masters may everything; then the node authorizer, then RBAC.

pub mod node;
pub mod rbac;

use decapod_api::meta::GroupResource;
use decapod_api::{Status, Value};

use crate::identity::{MASTERS, User};
use crate::registry::Lookup;

/// A question to an authorizer.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Who.
    pub user: &'a User,
    /// What they want.
    pub what: What<'a>,
}

/// What somebody wants to do.
#[derive(Clone, Copy, Debug)]
pub enum What<'a> {
    /// Something with a resource.
    Resource {
        /// Such as `get`.
        verb: &'a str,
        /// The group; empty for the core group.
        group: &'a str,
        /// The plural.
        resource: &'a str,
        /// Such as `status`; empty for the object itself.
        subresource: &'a str,
        /// Empty for cluster-scoped resources and all namespaces.
        namespace: &'a str,
        /// Empty for collections.
        name: &'a str,
    },
    /// Something with a path outside the resources.
    Path {
        /// The HTTP method in lower case.
        verb: &'a str,
        /// Such as `/healthz`.
        path: &'a str,
    },
}

/// The answer, with a reason that may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// They may.
    Allow(String),
    /// They may not.
    Deny(String),
}

/// What a user may do in a namespace, as SelfSubjectRulesReview shows it.
#[derive(Default)]
pub struct Rules {
    /// `ResourceRule`s.
    pub resource: Vec<Value>,
    /// `NonResourceRule`s.
    pub non_resource: Vec<Value>,
    /// Whether somebody else might allow more.
    pub incomplete: bool,
}

/// Decides.
pub trait Authorizer: Send + Sync {
    /// Whether they may.
    fn authorize(&self, question: &Question, lookup: &dyn Lookup) -> Decision;

    /// What they may do in `namespace`.
    fn rules(&self, user: &User, namespace: &str, lookup: &dyn Lookup) -> Rules;
}

/// Refuses what `question` asks for unless it is allowed (403).
pub fn check(authorizer: &dyn Authorizer, question: &Question, lookup: &dyn Lookup) -> Result<(), Status> {
    match authorizer.authorize(question, lookup) {
        Decision::Allow(_) => Ok(()),
        Decision::Deny(reason) => Err(forbidden(question, &reason)),
    }
}

/// 403 in upstream's words (k8s.io/apiserver/pkg/endpoints/handlers/responsewriters, `forbiddenMessage`).
fn forbidden(question: &Question, reason: &str) -> Status {
    let user = &question.user.name;
    let because = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    match question.what {
        What::Path { verb, path } => {
            let why = format!("User \"{user}\" cannot {verb} path \"{path}\"{because}");
            Status::forbidden(&GroupResource { group: "".into(), resource: "".into() }, path, &why)
        }
        What::Resource { verb, group, resource, subresource, namespace, name } => {
            let slash = if subresource.is_empty() { String::new() } else { format!("/{subresource}") };
            let scope = match namespace {
                "" => " at the cluster scope".to_owned(),
                namespace => format!(" in the namespace \"{namespace}\""),
            };
            let why = format!(
                "User \"{user}\" cannot {verb} resource \"{resource}{slash}\" in API group \"{group}\"{scope}{because}"
            );
            let resource =
                GroupResource { group: group.to_owned().into(), resource: resource.to_owned().into() };
            Status::forbidden(&resource, name, &why)
        }
    }
}

/// The authorizers of a cluster: `--authorization-mode=Node,RBAC`.
#[derive(Default)]
pub struct Union {
    node: node::NodeAuthorizer,
    rbac: rbac::Rbac,
}

impl Authorizer for Union {
    fn authorize(&self, question: &Question, lookup: &dyn Lookup) -> Decision {
        if question.user.in_group(MASTERS) {
            return Decision::Allow(String::new());
        }
        match self.node.authorize(question, lookup) {
            allow @ Decision::Allow(_) => allow,
            Decision::Deny(node) => match self.rbac.authorize(question, lookup) {
                Decision::Deny(rbac) if rbac.is_empty() => Decision::Deny(node),
                decision => decision,
            },
        }
    }

    fn rules(&self, user: &User, namespace: &str, lookup: &dyn Lookup) -> Rules {
        let mut rules = self.rbac.rules(user, namespace, lookup);
        if user.in_group(MASTERS) {
            let all = decapod_api::value!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]});
            rules.resource.insert(0, all);
            rules.non_resource.insert(0, decapod_api::value!({"verbs": ["*"], "nonResourceURLs": ["*"]}));
        }
        rules
    }
}
