//! A request's place in the registry.

use std::sync::Arc;

use decapod_api::custom::Custom;
use decapod_api::kinds::{Resource, Verb, Version};
use decapod_api::meta::GroupVersionKind;
use decapod_api::schema::TypeRef;
use decapod_api::{Cause, Object, Status, Value};

/// A resource, in a version, and which of its objects is meant.
#[derive(Clone)]
pub struct Target {
    /// The row.
    pub resource: Arc<Resource>,
    /// Which of the row's versions the client speaks.
    pub version: usize,
    /// The namespace; empty for cluster-scoped resources and all namespaces.
    pub namespace: String,
    /// The name; empty for collections.
    pub name: String,
    /// The subresource; empty for the object itself.
    pub subresource: String,
}

// === impl Target ===

impl Target {
    /// The version that the client speaks.
    pub fn version(&self) -> &Version {
        &self.resource.versions[self.version]
    }

    /// The kind in that version.
    pub fn kind(&self) -> &GroupVersionKind {
        &self.version().kind
    }

    /// The kind in the version in which objects are worked on: the stored one, but of custom resources the client's, for
    /// only that one's schema knows what they are held against.
    pub fn working_kind(&self) -> &GroupVersionKind {
        match self.custom() {
            Some(_) => self.kind(),
            None => self.resource.stored_kind(),
        }
    }

    /// What objects of that version look like, if they are custom.
    pub fn custom(&self) -> Option<&Arc<Custom>> {
        self.version().custom.as_ref()
    }

    /// Whether only the subresource `status` sets status.
    pub fn resets_status(&self) -> bool {
        match self.custom() {
            Some(custom) => custom.has_status,
            None => self.resource.resets_status(),
        }
    }

    /// The fields at fault, besides those of metadata.
    pub fn validate(&self, new: &Value, old: Option<&Value>, verb: Verb) -> Vec<Cause> {
        match self.custom() {
            Some(custom) => custom.validate(new, old, verb),
            None => self.resource.strategy.validate(new, old, verb),
        }
    }

    /// The type by which managed fields are reckoned.
    pub fn fields_type(&self) -> Result<TypeRef<'_>, Status> {
        match self.custom() {
            Some(custom) => Ok(custom.ty()),
            None => super::draft::schema_of(self.kind()),
        }
    }

    /// The key of the object.
    pub fn key(&self) -> String {
        self.resource.key(&self.namespace, &self.name)
    }

    /// The prefix of the collection's keys.
    pub fn prefix(&self) -> String {
        self.resource.prefix_in(if self.resource.namespaced { &self.namespace } else { "" })
    }

    /// The same resource, at `object`.
    pub fn at(&self, object: &Object) -> Target {
        Target {
            namespace: object.namespace().into_owned(),
            name: object.name().into_owned(),
            ..self.clone()
        }
    }

    /// 404 for the object.
    pub fn not_found(&self) -> Status {
        Status::not_found(&self.resource.group_resource(), &self.name)
    }

    /// 405 for `verb`.
    pub fn not_allowed(&self, verb: &str) -> Status {
        Status::method_not_allowed(&self.resource.group_resource(), verb)
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{} {}/{}", self.resource.group_resource(), self.namespace, self.name)
    }
}
