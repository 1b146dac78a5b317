//! The managed fields of a scale: those of its parent that are about replicas, and back (scalehandler.go).

use super::element::Element;
use super::entries::Entries;
use super::owned::Owned;
use super::set::FieldSet;
use crate::value::Value;

const SCALE_VERSION: &str = "autoscaling/v1";

/// Maps managed fields between an object and its scale.
pub struct Scale<'a> {
    /// The version of the object that the scale was asked of.
    pub api_version: &'a str,
    /// Where the object has its replicas, such as `spec`, `replicas`.
    pub replicas: &'a [&'a str],
}

// === impl Scale ===

impl Scale<'_> {
    fn path(&self) -> Vec<Element> {
        self.replicas.iter().map(|name| Element::Field((*name).into())).collect()
    }

    /// Gives `scale` the entries of `parent` that own its replicas.
    pub fn to_scale(&self, parent: &Value, scale: &mut Value) {
        let (path, entries) = (self.path(), Entries::read(parent).unwrap_or_default());
        let own = entries.0.into_iter().filter(|entry| entry.fields.set().has(&path));
        let entries = own.map(|mut entry| {
            SCALE_VERSION.clone_into(&mut entry.api_version);
            entry.fields = Owned::from(&FieldSet::of_fields(&[&["spec", "replicas"]]));
            entry
        });
        Entries(entries.collect()).write(scale);
    }

    /// Gives `parent` the entries of `scale` in place of those that own its replicas now.
    pub fn to_parent(&self, scale: &Value, parent: &mut Value) {
        let (path, own) = (self.path(), FieldSet::of_fields(&[self.replicas]));
        let mut scaled = Entries::read(scale).unwrap_or_default();
        let mut entries = Entries::read(parent).unwrap_or_default();
        entries.0.retain_mut(|entry| {
            // Who still owns them keeps them. Updaters of the scale never are those of the parent: their version differs.
            if entry.fields.set().has(&path) && scaled.remove(&entry.manager).is_none() {
                entry.fields.remove(&own);
            }
            !entry.fields.is_empty()
        });
        let in_scale = [Element::Field("spec".into()), Element::Field("replicas".into())];
        for mut entry in scaled.0.into_iter().filter(|entry| entry.fields.set().has(&in_scale)) {
            entry.fields = Owned::from(&own);
            self.api_version.clone_into(&mut entry.api_version);
            // Upstream looks the time up under a name that it does not have.
            entry.time = None;
            entries.0.push(entry);
        }
        entries.write(parent);
    }
}
