//! Requests and clusters for tests of plugins.

use std::sync::Arc;

use decapod_api::kinds::{BUILT_IN, Resource};
use decapod_api::{Object, Value};

use super::{Attributes, Operation, Plugin, Rounds};
use crate::identity::User;
use crate::registry::{Lookup, Warnings};

/// A cluster that has these objects: plural, draft.
#[derive(Default)]
pub struct World(pub Vec<(&'static str, Value)>);

/// A request about an object called `x`, in the namespace `ns` if it is in any.
pub struct Request {
    resource: Arc<Resource>,
    subresource: &'static str,
    object: Value,
    old: Option<Value>,
    name: String,
    user: User,
}

// === impl World ===

impl Lookup for World {
    fn object(&self, _: &str, plural: &str, _: &str, name: &str) -> Option<Object> {
        self.objects("", plural, "").into_iter().find(|object| object.name() == name)
    }

    fn objects(&self, _: &str, plural: &str, _: &str) -> Vec<Object> {
        let of_kind = self.0.iter().filter(|(of, _)| *of == plural);
        of_kind.map(|(_, draft)| Object::new(serde_json::to_vec(draft).unwrap().into(), 3)).collect()
    }

    fn rows(&self) -> Arc<Vec<Arc<Resource>>> {
        Arc::new(BUILT_IN.clone())
    }
}

// === impl Request ===

impl Request {
    /// `object` is made.
    pub fn create(group: &str, plural: &str, object: Value) -> Request {
        let row = BUILT_IN.iter().find(|row| row.plural == plural && row.group == group);
        let name = object.str_at(&["metadata", "name"]).unwrap_or("x").to_owned();
        let resource = row.unwrap().clone();
        Request { resource, subresource: "", object, old: None, name, user: User::new("jane", &["dev"]) }
    }

    /// It takes the place of `old`.
    pub fn over(self, old: Value) -> Request {
        Request { old: Some(old), ..self }
    }

    /// It is about a part.
    pub fn part(self, subresource: &'static str) -> Request {
        Request { subresource, ..self }
    }

    /// By this user.
    pub fn by(self, user: User) -> Request {
        Request { user, ..self }
    }

    /// What `plugin` makes of the object, or the message of its refusal.
    pub fn mutate(&self, plugin: &dyn Plugin, world: &dyn Lookup) -> Result<Value, String> {
        self.with(|attributes| {
            if plugin.handles(attributes) {
                plugin.mutate(attributes, world).map_err(|status| status.message)?;
            }
            Ok(std::mem::take(&mut attributes.object))
        })
    }

    /// The warnings of `plugin`, or the message of its refusal.
    pub fn validate(&self, plugin: &dyn Plugin, world: &dyn Lookup) -> Result<Vec<String>, String> {
        self.with(|attributes| {
            if plugin.handles(attributes) {
                plugin.validate(attributes, world).map_err(|status| status.message)?;
            }
            Ok(attributes.warnings.take())
        })
    }

    fn with<T>(&self, then: impl FnOnce(&mut Attributes) -> T) -> T {
        let version = &self.resource.versions[0];
        let kind = match version.subresource(self.subresource) {
            Some(subresource) => &subresource.kind,
            None => &version.kind,
        };
        then(&mut Attributes {
            operation: if self.old.is_some() { Operation::Update } else { Operation::Create },
            resource: &self.resource,
            version,
            subresource: self.subresource,
            namespace: if self.resource.namespaced { "ns" } else { "" },
            name: &self.name,
            object: self.object.clone(),
            old: self.old.as_ref(),
            kind,
            options: &|| Value::Null,
            user: &self.user,
            dry_run: false,
            warnings: &Warnings::default(),
            rounds: Rounds::default(),
        })
    }
}
