//! Namespace: what most objects live in (k8s.io/kubernetes/pkg/registry/core/namespace).

use crate::Cause;
use crate::kinds::strategies::fill::{fill, part, restore};
use crate::kinds::strategies::rules::Place;
use crate::kinds::strategy::{Strategy, Verb};
use crate::names;
use crate::value;
use crate::value::Value;

/// The finalizer of every namespace: held until its content is gone.
const FINALIZER: &str = "kubernetes";

/// Namespace: what most objects live in.
pub struct Namespace;

impl Strategy for Namespace {
    fn default(&self, draft: &mut Value) {
        label(draft);
        fill(part(draft, "status"), "phase", "Active");
    }

    fn prepare(&self, new: &mut Value, old: Option<&Value>, verb: Verb) {
        // Again, for a name that has been generated since.
        label(new);
        match old {
            None => {
                let finalizers = new.entry_at(&["spec", "finalizers"]).ensure_list();
                if !finalizers.contains(&FINALIZER.into()) {
                    finalizers.push(FINALIZER.into());
                }
                new.set_at(&["status"], value!({"phase": "Active"}));
            }
            Some(old) if verb == Verb::Update => restore(new, old, &["spec", "finalizers"]),
            Some(_) => {}
        }
    }

    fn begin_delete(&self, draft: &mut Value) {
        draft.set_at(&["status", "phase"], "Terminating");
    }

    fn is_held(&self, object: &Value) -> bool {
        !object.list_at(&["spec", "finalizers"]).is_empty()
    }

    fn returns_deleted(&self) -> bool {
        true
    }

    fn check_name(&self, name: &str) -> Vec<String> {
        names::label(name)
    }

    fn validate(&self, new: &Value, _old: Option<&Value>, verb: Verb) -> Vec<Cause> {
        let (namespace, mut out) = (Place::root(new), Vec::new());
        let (metadata, spec) = (namespace.field("metadata"), namespace.field("spec"));
        if verb == Verb::UpdateSubresource("status") {
            let (status, wanted) = (
                namespace.field("status"),
                if metadata.field("deletionTimestamp").is_set() {
                    ("Terminating", "may only be 'Terminating' if `deletionTimestamp` is not empty")
                } else {
                    ("Active", "may only be 'Active' if `deletionTimestamp` is empty")
                },
            );
            let phase = status.field("phase").text();
            if phase != wanted.0 {
                out.push(status.field("Phase").invalid_as(phase, wanted.1));
            }
            return out;
        }
        let finalizers = spec.field("finalizers");
        for finalizer in finalizers.items() {
            let name = finalizer.text();
            let mut reasons = names::qualified_name(name);
            if !name.contains('/') && !matches!(name, "kubernetes" | "orphan" | "foregroundDeletion") {
                reasons.push("name is neither a standard finalizer name nor is it fully qualified".into());
            }
            // Only the finalize subresource blames the finalizer itself.
            let place = if verb == Verb::UpdateSubresource("finalize") { finalizer } else { finalizers };
            out.extend(reasons.iter().map(|why| place.invalid_as(name, why)));
        }
        out
    }
}

/// Every namespace carries its name as a label, so that selectors can name it (KEP-2161).
fn label(draft: &mut Value) {
    if let Some(name) = draft.str_at(&["metadata", "name"]).filter(|name| !name.is_empty()).map(str::to_owned)
    {
        draft.set_at(&["metadata", "labels", "kubernetes.io/metadata.name"], name);
    }
}
