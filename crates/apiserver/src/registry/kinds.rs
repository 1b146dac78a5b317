//! The resources that are served now: the built-in rows, and custom ones beside them.

use std::sync::{Arc, RwLock};

use decapod_api::Status;
use decapod_api::kinds::{BUILT_IN, Resource};
use decapod_client::Request;

use super::Target;

/// The resources that are served, in discovery's order.
pub struct Kinds {
    rows: RwLock<Arc<Vec<Arc<Resource>>>>,
}

// === impl Kinds ===

impl Kinds {
    /// The built-in kinds.
    pub fn built_in() -> Kinds {
        Kinds { rows: RwLock::new(Arc::new(BUILT_IN.clone())) }
    }

    /// All rows as they are now.
    pub fn all(&self) -> Arc<Vec<Arc<Resource>>> {
        self.rows.read().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    /// The resource `plural` of `group`.
    pub fn find(&self, group: &str, plural: &str) -> Option<Arc<Resource>> {
        self.all().iter().find(|row| row.group == group && row.plural == plural).cloned()
    }

    /// Where `request` goes: 404 for what is not served, 405 for verbs that it does not have.
    pub fn resolve(&self, request: &Request) -> Result<Target, Status> {
        let wanted = &request.resource;
        let resource = self.find(&wanted.group, &wanted.resource).ok_or_else(Status::no_such_path)?;
        let version = resource.versions.iter().position(|version| version.name == wanted.version);
        let target = Target {
            version: version.ok_or_else(Status::no_such_path)?,
            namespace: if resource.namespaced { request.namespace.clone() } else { String::new() },
            name: request.name.clone(),
            subresource: request.subresource.clone(),
            resource,
        };
        let verb = request.verb.as_str();
        let has_verb = match request.subresource.as_str() {
            "" => target.resource.has_verb(verb),
            sub => {
                let sub = target.version().subresource(sub).ok_or_else(Status::no_such_path)?;
                sub.verbs.iter().any(|v| v == verb)
            }
        };
        if !has_verb {
            return Err(target.not_allowed(verb));
        }
        Ok(target)
    }
}
