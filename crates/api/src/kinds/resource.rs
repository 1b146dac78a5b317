//! One row per resource: the same type whether built in or made from a CustomResourceDefinition at run time.

use std::sync::Arc;

use super::strategy::Strategy;
use crate::custom::{Custom, Definition};
use crate::meta::{GroupResource, GroupVersionKind, GroupVersionResource, Text};

/// A resource: what it is called, how it is stored, and what is its own about it.
pub struct Resource {
    /// The group; empty for the core group.
    pub group: Text,
    /// The plural, as in paths.
    pub plural: Text,
    /// The singular.
    pub singular: Text,
    /// The kind.
    pub kind: Text,
    /// What else `kubectl` may call it.
    pub short_names: Vec<Text>,
    /// The groups of kinds it is part of, such as `all`.
    pub categories: Vec<Text>,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// Where its objects are kept.
    pub storage: Storage,
    /// The verbs of the resource itself.
    pub verbs: Vec<Text>,
    /// Whether `metadata.generation` counts the changes of what its users ask for.
    pub generation: bool,
    /// Its versions: the preferred one, which is also the stored one, first.
    pub versions: Vec<Version>,
    /// What this kind does of its own.
    pub strategy: Arc<dyn Strategy>,
    /// Where it comes from, if a CustomResourceDefinition made it.
    pub custom: Option<Arc<Definition>>,
}

/// Where the objects of a resource are kept.
#[derive(Clone, Debug, PartialEq)]
pub enum Storage {
    /// Under this prefix of the store.
    Own(Text),
    /// Under this prefix as this kind, which another resource may have (Event lives in two groups), or a version of a
    /// custom resource that need not be served.
    SharedWith(Text, GroupVersionKind),
    /// Nowhere: a handler answers.
    Virtual,
}

/// A version of a resource.
#[derive(Clone, Debug)]
pub struct Version {
    /// Such as `v1`.
    pub name: Text,
    /// The kind in this version; it names the schema.
    pub kind: GroupVersionKind,
    /// The subresources.
    pub subresources: Vec<Subresource>,
    /// Fields that a field selector may name, besides `metadata.name` and `metadata.namespace`.
    pub selectable: Vec<Text>,
    /// What its objects look like, if it is custom.
    pub custom: Option<Arc<Custom>>,
}

/// A subresource.
#[derive(Clone, Debug)]
pub struct Subresource {
    /// Such as `status`.
    pub name: Text,
    /// What it carries: often the kind of the resource, else another one such as `autoscaling/v1` `Scale`.
    pub kind: GroupVersionKind,
    /// Its verbs.
    pub verbs: Vec<Text>,
}

// === impl Resource ===

impl Resource {
    /// The prefix of its keys, ending in `/`; `None` when it is kept nowhere.
    pub fn prefix(&self) -> Option<&str> {
        match &self.storage {
            Storage::Own(prefix) | Storage::SharedWith(prefix, _) => Some(prefix),
            Storage::Virtual => None,
        }
    }

    /// The prefix of the keys of one namespace, or of all when `namespace` is empty.
    pub fn prefix_in(&self, namespace: &str) -> String {
        let prefix = self.prefix().unwrap_or_default();
        if namespace.is_empty() { prefix.to_owned() } else { format!("{prefix}{namespace}/") }
    }

    /// The key of an object.
    pub fn key(&self, namespace: &str, name: &str) -> String {
        let prefix = self.prefix().unwrap_or_default();
        if self.namespaced { format!("{prefix}{namespace}/{name}") } else { format!("{prefix}{name}") }
    }

    /// The version called `name`.
    pub fn version(&self, name: &str) -> Option<&Version> {
        self.versions.iter().find(|version| version.name == name)
    }

    /// The version that is stored.
    pub fn stored(&self) -> &Version {
        &self.versions[0]
    }

    /// The kind in the version that is stored; it names the schema of the stored bytes.
    pub fn stored_kind(&self) -> &GroupVersionKind {
        match &self.storage {
            Storage::SharedWith(_, kind) => kind,
            _ => &self.versions[0].kind,
        }
    }

    /// The kind of lists.
    pub fn list_kind(&self) -> Text {
        match &self.custom {
            Some(definition) if !definition.list_kind.is_empty() => definition.list_kind.clone(),
            _ => format!("{}List", self.kind).into(),
        }
    }

    /// Group and plural.
    pub fn group_resource(&self) -> GroupResource {
        GroupResource { group: self.group.clone(), resource: self.plural.clone() }
    }

    /// Group, the preferred version and plural.
    pub fn preferred(&self) -> GroupVersionResource {
        GroupVersionResource::new(self.group.clone(), self.versions[0].name.clone(), self.plural.clone())
    }

    /// Whether `status` is a subresource, which only it may set.
    pub fn resets_status(&self) -> bool {
        self.stored().subresource("status").is_some()
    }

    /// Whether its objects count the changes of their spec.
    pub fn has_generation(&self) -> bool {
        self.generation
    }

    /// Reasons why `name` is no name for an object of this kind.
    pub fn check_name(&self, name: &str) -> Vec<String> {
        self.strategy.check_name(name)
    }

    /// Whether the resource itself has this verb.
    pub fn has_verb(&self, verb: &str) -> bool {
        self.verbs.iter().any(|v| v == verb)
    }
}

impl std::fmt::Debug for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "Resource({})", self.group_resource())
    }
}

// === impl Version ===

impl Version {
    /// The subresource called `name`.
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|sub| sub.name == name)
    }
}
