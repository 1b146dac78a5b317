//! CustomResourceDefinitions become resources that are served: names are accepted, rows come and go, and what is left of a
//! definition that ends is deleted (k8s.io/apiextensions-apiserver/pkg/controller, packages status, establish, finalizer).
//!
//! One task follows the definitions. A row is there before a definition says that it is established.

mod names;
mod purge;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use decapod_api::custom;
use decapod_api::kinds::strategies::apiextensions::{CLEANUP, is_true};
use decapod_api::{Object, Revision, Status, Value};
use decapod_store::At;

use self::names::Taken;
use super::update::{Outcome, Preconditions};
use super::{Registry, Target, draft, list, meta};

/// The group of definitions.
pub(super) const GROUP: &str = "apiextensions.k8s.io";
/// Their plural.
pub(super) const PLURAL: &str = "customresourcedefinitions";

/// What is known of one definition.
struct Known {
    uid: String,
    group: String,
    plural: String,
    /// What it is called, as it was accepted.
    accepted: Value,
    /// What its row was made of; nothing, if it has none.
    served: Option<Value>,
    purging: bool,
}

/// The definitions as they were seen last.
struct Follower {
    registry: Arc<Registry>,
    known: BTreeMap<String, Known>,
}

/// Serves what is defined now, and follows changes for as long as the registry's surroundings last.
pub(crate) async fn start(registry: &Arc<Registry>) -> Result<(), Status> {
    let mut first = Some(Follower::load(registry).await?);
    let registry = registry.clone();
    registry.env.clone().supervise("definitions", move || {
        let (loaded, registry) = (first.take(), registry.clone());
        async move {
            let loaded = match loaded {
                Some(loaded) => Ok(loaded),
                None => Follower::load(&registry).await,
            };
            let ended = match loaded {
                Ok((mut follower, after)) => follower.run(after).await,
                Err(status) => Err(status),
            };
            match ended {
                Ok(never) => match never {},
                Err(status) => tracing::warn!(%status, "following definitions; beginning anew"),
            }
        }
    });
    Ok(())
}

// === impl Follower ===

impl Follower {
    /// Everything that is defined, served, and the revision up to which that is so.
    async fn load(registry: &Arc<Registry>) -> Result<(Follower, Revision), Status> {
        let mut follower = Follower { registry: registry.clone(), known: BTreeMap::new() };
        let prefix = follower.target("")?.resource.prefix().unwrap_or_default().to_owned();
        let snapshot = registry.store.snapshot(&prefix, At::Latest).await.map_err(list::read_failed)?;
        // All names that were accepted are taken before any is given out.
        for (_, object) in snapshot.iter() {
            let definition = follower.read(object)?;
            follower.note(&definition);
        }
        for (_, object) in snapshot.iter() {
            follower.see(object).await?;
        }
        let defined = |row: &decapod_api::kinds::Resource| {
            follower.known.values().any(|known| known.group == row.group && known.plural == row.plural)
        };
        for row in registry.kinds.all().iter().filter(|row| row.custom.is_some() && !defined(row)) {
            registry.kinds.remove(&row.group, &row.plural);
        }
        Ok((follower, snapshot.revision()))
    }

    async fn run(&mut self, after: Revision) -> Result<std::convert::Infallible, Status> {
        let prefix = self.target("")?.resource.prefix().unwrap_or_default().to_owned();
        let expired = |_| Status::expired("the definitions' history is gone");
        let mut cursor = self.registry.store.watch(&prefix, after).map_err(expired)?;
        loop {
            for event in cursor.next().await.map_err(expired)? {
                let name = event.object.name().into_owned();
                // What counts is what is there now.
                match self.registry.store.get(&self.target(&name)?.key()) {
                    Some(object) => self.see(&object).await?,
                    None => self.forget(&name).await?,
                }
            }
        }
    }

    fn target(&self, name: &str) -> Result<Target, Status> {
        target(&self.registry, name)
    }

    fn read(&self, object: &Object) -> Result<Value, Status> {
        draft::canonical(object, self.target(&object.name())?.resource.stored_kind())
    }

    /// Notes what a definition is called.
    fn note(&mut self, definition: &Value) {
        let text = |path: &[&str]| definition.str_at(path).unwrap_or_default().to_owned();
        let known = self.known.entry(text(&["metadata", "name"])).or_insert_with(|| Known {
            uid: text(&["metadata", "uid"]),
            group: text(&["spec", "group"]),
            plural: text(&["spec", "names", "plural"]),
            accepted: Value::Null,
            served: None,
            purging: false,
        });
        known.accepted = definition.at(&["status", "acceptedNames"]).cloned().unwrap_or_default();
    }

    /// Brings one definition to where it should be.
    async fn see(&mut self, object: &Object) -> Result<(), Status> {
        let mut definition = self.read(object)?;
        // Another of the same name, which nobody saw go.
        if self.known.get(object.name().as_ref()).is_some_and(|known| known.uid != object.uid()) {
            self.forget(&object.name()).await?;
        }
        let before = self.known.get(object.name().as_ref()).map(|known| known.accepted.clone());
        self.note(&definition);
        let now = meta::timestamp(self.registry.env.now());
        let taken = self.taken(&definition);
        if let Some(settled) = names::settle(&definition, &taken, &now) {
            // Served first: whoever reads that it is established finds it so.
            self.serve(&settled);
            if !self.write(&object.name(), &settled).await? {
                return Ok(());
            }
            definition = settled;
        }
        self.note(&definition);
        self.serve(&definition);
        self.purge(&definition);
        let after = definition.at(&["status", "acceptedNames"]);
        if before.is_some_and(|before| Some(&before) != after) {
            self.reconsider(&object.name()).await?;
        }
        Ok(())
    }

    /// A definition is gone, and its names are free.
    async fn forget(&mut self, name: &str) -> Result<(), Status> {
        let Some(known) = self.known.get_mut(name) else { return Ok(()) };
        known.accepted = Value::Null;
        self.registry.kinds.remove(&known.group, &known.plural);
        self.registry.converters.forget(name);
        self.reconsider(name).await?;
        self.known.remove(name);
        Ok(())
    }

    /// Looks again at those of the same group, which may get names now that they could not have before.
    async fn reconsider(&mut self, name: &str) -> Result<(), Status> {
        let Some(group) = self.known.get(name).map(|known| known.group.clone()) else { return Ok(()) };
        let others = self.known.iter().filter(|(other, known)| known.group == group && *other != name);
        let others: Vec<String> = others.map(|(other, _)| other.clone()).collect();
        for other in others {
            let Some(object) = self.registry.store.get(&self.target(&other)?.key()) else { continue };
            let definition = self.read(&object)?;
            let now = meta::timestamp(self.registry.env.now());
            if let Some(settled) = names::settle(&definition, &self.taken(&definition), &now) {
                // Its own event brings the rest.
                self.write(&other, &settled).await?;
            }
        }
        Ok(())
    }

    /// The names that others of the group have.
    fn taken(&self, definition: &Value) -> Taken {
        let group = definition.str_at(&["spec", "group"]).unwrap_or_default();
        let mut taken = Taken::default();
        for known in self.known.values().filter(|known| known.group == group) {
            taken.add(&known.accepted);
        }
        taken
    }

    /// Serves a definition whose names are accepted, unless it is served like this already.
    fn serve(&mut self, definition: &Value) {
        let name = definition.str_at(&["metadata", "name"]).unwrap_or_default();
        let Some(known) = self.known.get_mut(name) else { return };
        if !is_true(definition, "NamesAccepted") && !is_true(definition, "Established") {
            return;
        }
        let mut parts = Value::map();
        parts.set_at(&["spec"], definition.get("spec").cloned().unwrap_or_default());
        parts.set_at(&["names"], definition.at(&["status", "acceptedNames"]).cloned().unwrap_or_default());
        parts.set_at(&["stored"], custom::first_stored(definition).unwrap_or_default());
        if known.served.as_ref() == Some(&parts) {
            let row = self.registry.kinds.find(&known.group, &known.plural);
            if let Some(custom) = row.as_ref().and_then(|row| row.custom.as_ref()) {
                custom.terminating.store(is_true(definition, "Terminating"), Ordering::Relaxed);
            }
            return;
        }
        known.served = Some(parts);
        match custom::resource(definition) {
            Ok(row) if row.versions.is_empty() => self.registry.kinds.remove(&row.group, &row.plural),
            Ok(row) => self.registry.kinds.install(Arc::new(row)),
            // Only what passed validation is stored.
            Err(error) => tracing::error!(%error, name, "a stored definition cannot be served"),
        }
    }

    /// Begins to delete the instances of a definition that ends.
    fn purge(&mut self, definition: &Value) {
        let name = definition.str_at(&["metadata", "name"]).unwrap_or_default();
        let held = definition.list_at(&["metadata", "finalizers"]).contains(&CLEANUP.into());
        let Some(known) = self.known.get_mut(name) else { return };
        if !(meta::is_terminating(definition) && held) || known.purging {
            return;
        }
        known.purging = true;
        let task = purge::run(self.registry.clone(), name.to_owned(), definition.clone());
        self.registry.env.spawn("purge of a definition", task);
    }

    /// Writes the status of a definition, unless the definition has changed meanwhile; whether it was written.
    async fn write(&self, name: &str, settled: &Value) -> Result<bool, Status> {
        let generation = settled.at(&["metadata", "generation"]);
        let status = settled.get("status").cloned().unwrap_or_default();
        let written = set(&self.registry, name, |current| {
            if current.at(&["metadata", "generation"]) == generation {
                current.set_at(&["status"], status.clone());
            }
        });
        match written.await {
            Ok(()) => Ok(true),
            Err(status) if status.is_not_found() => Ok(false),
            Err(status) => Err(status),
        }
    }
}

/// The place of a definition.
fn target(registry: &Registry, name: &str) -> Result<Target, Status> {
    Ok(Target {
        resource: registry.kinds.find(GROUP, PLURAL).ok_or_else(Status::no_such_path)?,
        version: 0,
        namespace: String::new(),
        name: name.to_owned(),
        subresource: String::new(),
    })
}

/// Changes a definition as the server itself does; it goes with its last finalizer.
async fn set(registry: &Registry, name: &str, change: impl Fn(&mut Value)) -> Result<(), Status> {
    let (target, expect) = (target(registry, name)?, Preconditions::default());
    let changed = registry.guaranteed_update(&target, &expect, false, |current| {
        let mut draft = current.draft.clone();
        change(&mut draft);
        Ok(match super::delete::is_finished(&draft, &target.resource) {
            true => Outcome::Remove(draft),
            false => Outcome::Put(draft),
        })
    });
    changed.await.map(drop)
}
