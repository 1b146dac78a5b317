//! OwnerReferencesPermissionEnforcement: who ties an object to an owner may end the one, and hold up the end of the other
//! (k8s.io/kubernetes/plugin/pkg/admission/gc).

use std::sync::Arc;

use decapod_api::{Status, Value};

use super::{Attributes, Operation, Plugin};
use crate::authz::{Authorizer, Decision, Question, What};
use crate::registry::Lookup;

/// The plugin.
pub struct OwnerReferencesPermissionEnforcement {
    authorizer: Arc<dyn Authorizer>,
}

const FIELD: [&str; 2] = ["metadata", "ownerReferences"];

// === impl OwnerReferencesPermissionEnforcement ===

impl OwnerReferencesPermissionEnforcement {
    /// The plugin that asks `authorizer`.
    pub fn new(authorizer: Arc<dyn Authorizer>) -> OwnerReferencesPermissionEnforcement {
        OwnerReferencesPermissionEnforcement { authorizer }
    }

    /// The reason why the user may not.
    fn refusal(&self, attributes: &Attributes, lookup: &dyn Lookup, what: What) -> Option<String> {
        match self.authorizer.authorize(&Question { user: attributes.user, what }, lookup) {
            Decision::Allow(_) => None,
            Decision::Deny(reason) => Some(format!("{reason}, <nil>")),
        }
    }

    /// Whether the user may hold up the end of the object that `owner` names.
    fn check(&self, attributes: &Attributes, lookup: &dyn Lookup, owner: &Value) -> Result<(), Status> {
        let text = |field: &str| owner.str_at(&[field]).unwrap_or_default();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let rows = lookup.rows();
        let mut found = rows
            .iter()
            .filter(|row| row.group == group && row.kind == kind && row.version(version).is_some())
            .peekable();
        if found.peek().is_none() {
            let why = format!("no matches for kind {kind:?} in version {api_version:?}");
            return Err(attributes.forbid(&format!(
                "cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion {api_version} Kind {kind}: {why}"
            )));
        }
        for row in found {
            let what = What::Resource {
                verb: "update",
                group,
                resource: &row.plural,
                subresource: "finalizers",
                namespace: if row.namespaced { attributes.namespace } else { "" },
                name: text("name"),
            };
            if let Some(reason) = self.refusal(attributes, lookup, what) {
                return Err(attributes.forbid(&format!(
                    "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: {reason}"
                )));
            }
        }
        Ok(())
    }
}

impl Plugin for OwnerReferencesPermissionEnforcement {
    fn name(&self) -> &'static str {
        "OwnerReferencesPermissionEnforcement"
    }

    /// Not the status of pods: it cannot change owners, and old kubelets spoil them.
    fn handles(&self, attributes: &Attributes) -> bool {
        matches!(attributes.operation, Operation::Create | Operation::Update)
            && !(attributes.is("", "pods") && attributes.subresource == "status")
    }

    fn validate(&self, attributes: &Attributes, lookup: &dyn Lookup) -> Result<(), Status> {
        let (old, new) =
            (attributes.old.unwrap_or(&Value::Null).list_at(&FIELD), attributes.object.list_at(&FIELD));
        if old == new {
            return Ok(());
        }
        let (group, resource) = (&*attributes.resource.group, &*attributes.resource.plural);
        if attributes.operation != Operation::Create {
            let (namespace, name) = (attributes.namespace, attributes.name);
            let what = What::Resource {
                verb: "delete",
                group,
                resource,
                subresource: attributes.subresource,
                namespace,
                name,
            };
            if let Some(reason) = self.refusal(attributes, lookup, what) {
                let why = "cannot set an ownerRef on a resource you can't delete";
                return Err(attributes.forbid(&format!("{why}: {reason}")));
            }
        }
        let blocks = |owner: &Value| owner.get("blockOwnerDeletion").and_then(Value::as_bool) == Some(true);
        let blocked = |owner: &Value| {
            let before = old.iter().find(|before| before.str_at(&["uid"]) == owner.str_at(&["uid"]));
            before.is_some_and(blocks)
        };
        let mut blocking = new.iter().filter(|owner| blocks(owner) && !blocked(owner)).peekable();
        let anything = What::Resource {
            verb: "update",
            group: "*",
            resource: "*",
            subresource: "finalizers",
            namespace: "",
            name: "*",
        };
        if blocking.peek().is_none() || self.refusal(attributes, lookup, anything).is_none() {
            return Ok(());
        }
        blocking.try_for_each(|owner| self.check(attributes, lookup, owner))
    }
}
