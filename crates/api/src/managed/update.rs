//! What a write does to the fields of all managers, and what an apply does to the object
//! (sigs.k8s.io/structured-merge-diff, merge.Updater).

use super::element::{Element, Shown, equal};
use super::entries::{Entries, Manager};
use super::place::Place;
use super::set::FieldSet;
use super::walk::{self, Difference, Mismatches};
use crate::schema::TypeRef;
use crate::value::Value;

/// The versions of a kind: their schemas, and how objects, as clients see them, become of another version.
pub trait Versions {
    /// The type of a version such as `apps/v1`; `None` if it is not served any more.
    fn ty(&self, api_version: &str) -> Option<TypeRef<'_>>;

    /// The object in another version; `None` if there is no such version.
    fn convert(&self, object: &Value, from: &str, to: &str) -> Option<Value>;

    /// Whether only whole objects can be converted, and not what is left of them without some fields.
    fn need_whole(&self) -> bool {
        false
    }
}

/// A kind of which there is one version, that of the write.
pub struct OneVersion;

/// Which fields a write does not set, whatever it says of them and of what is below them; nobody comes to own them by it.
#[derive(Clone, Debug)]
pub enum Filter {
    /// These.
    Except(FieldSet),
    /// All but this one of the object's.
    Only(Element),
}

/// An object of some version.
#[derive(Clone)]
pub(super) struct Typed<'v> {
    pub value: Value,
    pub api_version: String,
    pub ty: TypeRef<'v>,
}

/// Fields that others own.
pub(super) type Conflicts = Vec<(Manager, FieldSet)>;

/// Why a write was not carried out.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(super) enum Failed {
    #[error("{}", texts(.0).join("\n"))]
    Conflicts(Conflicts),
    #[error("{0}: {1}")]
    Mismatches(&'static str, Mismatches),
    #[error("{0}")]
    Misfit(String),
}

fn texts(conflicts: &Conflicts) -> Vec<String> {
    let mut texts = Vec::new();
    for (manager, fields) in conflicts {
        fields
            .for_each(&mut |path| texts.push(format!("conflict with {}: {}", manager.shown(), Shown(path))));
    }
    texts
}

// === impl OneVersion ===

impl Versions for OneVersion {
    fn ty(&self, _: &str) -> Option<TypeRef<'_>> {
        None
    }

    fn convert(&self, _: &Value, _: &str, _: &str) -> Option<Value> {
        None
    }
}

// === impl Filter ===

impl Default for Filter {
    fn default() -> Filter {
        Filter::Except(FieldSet::default())
    }
}

impl Filter {
    /// A write that does not set these fields.
    pub fn except(paths: &[&[&str]]) -> Filter {
        Filter::Except(FieldSet::of_fields(paths))
    }

    /// A write that sets nothing but this field of the object.
    pub fn only(field: &str) -> Filter {
        Filter::Only(Element::Field(field.into()))
    }

    fn of(&self, set: FieldSet) -> FieldSet {
        match self {
            Filter::Except(gone) if gone.is_empty() => set,
            Filter::Except(gone) => set.without(gone),
            Filter::Only(element) => set.only(element),
        }
    }

    fn of_difference(&self, difference: Difference) -> Difference {
        Difference {
            added: self.of(difference.added),
            modified: self.of(difference.modified),
            removed: self.of(difference.removed),
        }
    }
}

// === impl Typed ===

impl<'v> Typed<'v> {
    fn place(&self) -> Place<'v> {
        Place::Struct(self.ty)
    }

    fn with(&self, value: Value) -> Typed<'v> {
        Typed { value, api_version: self.api_version.clone(), ty: self.ty }
    }

    fn fields(&self) -> Result<FieldSet, Failed> {
        walk::fields(&self.value, self.place())
            .map_err(|why| Failed::Mismatches("failed to get field set", why))
    }

    fn compare(&self, new: &Typed) -> Result<Difference, Failed> {
        walk::compare(&self.value, &new.value, self.place())
            .map_err(|why| Failed::Mismatches("failed to compare objects", why))
    }

    fn without(&self, gone: &FieldSet) -> Typed<'v> {
        self.with(walk::remove(&self.value, gone, self.place()))
    }
}

/// What a write changed, as one version has it.
struct Change {
    api_version: String,
    /// What is there now and was not, or was otherwise.
    set: FieldSet,
    removed: FieldSet,
}

/// Reckons what becomes of managers' fields.
pub(super) struct Updater<'v> {
    pub versions: &'v dyn Versions,
    /// What the write does not set.
    pub filter: &'v Filter,
}

// === impl Change ===

impl Change {
    fn new(api_version: &str, difference: Difference) -> Change {
        let set = difference.modified.union(difference.added);
        Change { api_version: api_version.to_owned(), set, removed: difference.removed }
    }
}

// === impl Updater ===

impl<'v> Updater<'v> {
    /// The object in another version; `None` if there is no such version any more.
    fn convert(&self, object: &Typed<'v>, to: &str) -> Option<Typed<'v>> {
        if object.api_version == to {
            return Some(object.clone());
        }
        let ty = self.versions.ty(to)?;
        let value = self.versions.convert(&object.value, &object.api_version, to)?;
        Some(Typed { value, api_version: to.to_owned(), ty })
    }

    /// Takes from all other managers what the change of `old` into `new` changed or removed. Without `force` a change of
    /// what others own fails.
    fn take(
        &self,
        old: &Typed<'v>,
        new: &Typed<'v>,
        entries: &mut Entries,
        by: &Manager,
        force: bool,
    ) -> Result<Change, Failed> {
        let mut versions = vec![Change::new(&new.api_version, self.filter.of_difference(old.compare(new)?))];
        let mut conflicts: Conflicts = Vec::new();
        let mut gone: Vec<Manager> = Vec::new();
        for entry in entries.0.iter().filter(|entry| entry.manager != *by) {
            let known = versions.iter().position(|version| version.api_version == entry.api_version);
            let at = match known {
                Some(at) => at,
                None => {
                    let both =
                        self.convert(old, &entry.api_version).zip(self.convert(new, &entry.api_version));
                    // Of a version that is no more, nobody owns fields.
                    let Some((old, new)) = both else {
                        gone.push(entry.manager.clone());
                        continue;
                    };
                    let difference = self.filter.of_difference(old.compare(&new)?);
                    versions.push(Change::new(&entry.api_version, difference));
                    versions.len() - 1
                }
            };
            let taken = entry.fields.intersection(&versions[at].set);
            if !taken.is_empty() {
                conflicts.push((entry.manager.clone(), taken));
            }
        }
        if !force && !conflicts.is_empty() {
            conflicts.sort_by_key(|(manager, _)| manager.identifier());
            return Err(Failed::Conflicts(conflicts));
        }
        entries.0.retain(|entry| !gone.contains(&entry.manager));
        for entry in entries.0.iter_mut().filter(|entry| entry.manager != *by) {
            let taken = conflicts.iter().find(|(manager, _)| *manager == entry.manager);
            if let Some((_, taken)) = taken {
                entry.fields.remove(taken);
            }
            if let Some(version) = versions.iter().find(|version| version.api_version == entry.api_version) {
                entry.fields.remove(&version.removed);
            }
        }
        entries.0.retain(|entry| !entry.fields.is_empty());
        Ok(versions.swap_remove(0))
    }

    /// Takes from all others what `by` changed when it made `new` of `old`; what `by` comes to own, in the version of `new`.
    pub(super) fn update(
        &self,
        old: &Typed<'v>,
        new: &Typed<'v>,
        entries: &mut Entries,
        by: &Manager,
    ) -> Result<FieldSet, Failed> {
        self.reconcile(old, entries);
        let change = self.take(old, new, entries, by, true)?;
        let before = entries.remove(by).map(|entry| entry.fields.set()).unwrap_or_default();
        Ok(self.filter.of(before.difference(&change.removed).union(change.set)))
    }

    /// What `live` becomes when `by` applies `config`; `None` if it stays as it is.
    pub(super) fn apply(
        &self,
        live: &Typed<'v>,
        config: &Typed<'v>,
        entries: &mut Entries,
        by: &Manager,
        force: bool,
    ) -> Result<Option<Value>, Failed> {
        self.reconcile(live, entries);
        let merged = walk::merge(&live.value, &config.value, live.place())
            .map_err(|why| Failed::Mismatches("failed to merge config", why))?;
        let mut new = live.with(merged);
        let last = entries.get(by).map(|entry| (entry.api_version.clone(), entry.fields.set()));
        entries.set(by, &config.api_version, &self.filter.of(config.fields()?));
        if let Some((version, fields)) = last.filter(|(_, fields)| !fields.is_empty()) {
            new = self.prune(new, entries, config, &version, &fields)?;
        }
        self.take(live, &new, entries, by, force)?;
        Ok((!equal(&live.value, &new.value)).then_some(new.value))
    }

    /// Removes what `by` applied the last time and not this time, and what nobody else owns.
    fn prune(
        &self,
        merged: Typed<'v>,
        entries: &Entries,
        config: &Typed<'v>,
        version: &str,
        last: &FieldSet,
    ) -> Result<Typed<'v>, Failed> {
        let Some(converted) = self.convert(&merged, version) else { return Ok(merged) };
        let place = converted.place();
        let pruned = converted.without(&last.with_named(place));
        let pruned = self.with_owned(&converted, pruned, version, entries)?;
        let pruned = self.with_dangling(&converted, pruned, version, last)?;
        Ok(self.convert(&pruned, &config.api_version).unwrap_or(merged))
    }

    /// Puts back what some manager owns.
    fn with_owned(
        &self,
        merged: &Typed<'v>,
        mut pruned: Typed<'v>,
        version: &str,
        entries: &Entries,
    ) -> Result<Typed<'v>, Failed> {
        let mut owned: Vec<(&str, FieldSet)> = Vec::new();
        for entry in &entries.0 {
            match owned.iter_mut().find(|(version, _)| *version == entry.api_version) {
                Some((_, fields)) => *fields = std::mem::take(fields).union(entry.fields.set()),
                None => owned.push((&entry.api_version, entry.fields.set())),
            }
        }
        // The pruned version first: what it puts back, a conversion may need.
        owned.sort_by_key(|(other, _)| *other != version);
        let mut merged = merged.clone();
        for (version, owned) in owned {
            let both = self.convert(&merged, version).zip(self.convert(&pruned, version));
            let Some((whole, left)) = both else { continue };
            let place = whole.place();
            let kept = left.fields()?.with_named(place).union(owned.with_named(place));
            pruned = whole.without(&whole.fields()?.with_named(place).difference(&kept));
            merged = whole;
        }
        Ok(pruned)
    }

    /// Puts back what `by` did not own: only what it did may go.
    fn with_dangling(
        &self,
        merged: &Typed<'v>,
        pruned: Typed<'v>,
        version: &str,
        last: &FieldSet,
    ) -> Result<Typed<'v>, Failed> {
        let Some(pruned) = self.convert(&pruned, version) else { return Ok(merged.clone()) };
        let place = merged.place();
        let gone = merged.fields()?.with_named(place).difference(&pruned.fields()?.with_named(place));
        Ok(merged.without(&gone.intersection(&last.with_named(place))))
    }

    /// Has all sets of paths as today's schema has them.
    fn reconcile(&self, live: &Typed<'v>, entries: &mut Entries) {
        entries.0.retain_mut(|entry| {
            let ty = if entry.api_version == live.api_version {
                Some(live.ty)
            } else {
                self.versions.ty(&entry.api_version)
            };
            let Some(ty) = ty else { return false };
            entry.fields.reconcile(Place::Struct(ty));
            true
        });
    }
}
