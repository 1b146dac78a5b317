//! Which resources the API server serves, for controllers that look at all of them.

use std::sync::Arc;

use decapod_api::meta::GroupVersionResource;
use tokio::sync::watch;

/// A resource that is served, in its preferred version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiResource {
    /// Itself.
    pub resource: GroupVersionResource,
    /// The kind of its objects.
    pub kind: String,
    /// Whether its objects are in namespaces.
    pub is_namespaced: bool,
    /// What can be done with it, such as `list`.
    pub verbs: Vec<String>,
}

/// A group and version that is served by who cannot be asked: a resource without a name and without verbs.
pub fn undiscovered(group: String, version: String) -> ApiResource {
    let resource = GroupVersionResource::new(group, version, String::new());
    ApiResource { resource, kind: String::new(), is_namespaced: false, verbs: Vec::new() }
}

/// What is served now, and word of changes: whoever wires the controllers sends what discovery says.
pub type Resources = watch::Receiver<Arc<Vec<ApiResource>>>;

// === impl ApiResource ===

impl ApiResource {
    /// The group and version, if nobody knows what it has.
    pub fn undiscovered(&self) -> Option<String> {
        let GroupVersionResource { group, version, resource } = &self.resource;
        resource.is_empty().then(|| format!("{group}/{version}"))
    }

    /// Whether `verb` can be done with it.
    pub fn has_verb(&self, verb: &str) -> bool {
        self.verbs.iter().any(|other| other == verb)
    }
}
