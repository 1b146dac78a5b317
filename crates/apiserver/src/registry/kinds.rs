//! The resources that are served now: the built-in rows, and custom ones beside them.

use std::sync::Arc;

use decapod_api::Status;
use decapod_api::kinds::{BUILT_IN, Resource};
use decapod_client::Request;
use decapod_sys::watch;

use super::Target;

/// Rows, in discovery's order: the built-in ones, then custom ones by group and plural.
pub type Rows = Arc<Vec<Arc<Resource>>>;

/// The resources that are served.
pub struct Kinds {
    rows: watch::Sender<Rows>,
}

// === impl Kinds ===

impl Kinds {
    /// The built-in kinds.
    pub fn built_in() -> Kinds {
        Kinds { rows: watch::Sender::new(Arc::new(BUILT_IN.clone())) }
    }

    /// All rows as they are now.
    pub fn all(&self) -> Rows {
        self.rows.borrow().clone()
    }

    /// The rows, and word of changes.
    pub fn follow(&self) -> watch::Receiver<Rows> {
        self.rows.subscribe()
    }

    /// Serves a custom resource, in place of the one of the same group and plural.
    pub(crate) fn install(&self, resource: Arc<Resource>) {
        self.rows.send_modify(|rows| {
            let mut all = rows.to_vec();
            let key = |row: &Resource| (row.group.clone(), row.plural.clone());
            let custom = all.partition_point(|row| row.custom.is_none());
            match all[custom..].binary_search_by_key(&key(&resource), |row| key(row)) {
                Ok(at) => all[custom + at] = resource,
                Err(at) => all.insert(custom + at, resource),
            }
            *rows = Arc::new(all);
        });
    }

    /// Serves a custom resource no more.
    pub(crate) fn remove(&self, group: &str, plural: &str) {
        self.rows.send_if_modified(|rows| {
            let goes =
                |row: &Arc<Resource>| row.custom.is_some() && row.group == group && row.plural == plural;
            let any = rows.iter().any(goes);
            if any {
                *rows = Arc::new(rows.iter().filter(|row| !goes(row)).cloned().collect());
            }
            any
        });
    }

    /// Whether this very row is served.
    pub(super) fn has(&self, resource: &Arc<Resource>) -> bool {
        self.rows.borrow().iter().any(|row| Arc::ptr_eq(row, resource))
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
