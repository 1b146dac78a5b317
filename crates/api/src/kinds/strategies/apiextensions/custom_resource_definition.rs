//! CustomResourceDefinition: a kind made at run time.

use super::validate;
use crate::Cause;
use crate::kinds::strategies::fill::{fill, fill_zero, part, with};
use crate::kinds::strategies::rules::Place;
use crate::kinds::strategy::{Strategy, Verb};
use crate::value;
use crate::value::Value;

/// CustomResourceDefinition: a kind made at run time.
pub struct CustomResourceDefinition;

impl Strategy for CustomResourceDefinition {
    fn default(&self, draft: &mut Value) {
        let spec = part(draft, "spec");
        let names = part(spec, "names");
        let kind = names.str_at(&["kind"]).unwrap_or_default().to_owned();
        fill(names, "singular", kind.to_lowercase());
        if !kind.is_empty() {
            fill(names, "listKind", format!("{kind}List"));
        }
        fill(spec, "conversion", value!({"strategy": "None"}));
        let webhook = spec.at_mut(&["conversion", "webhook", "clientConfig"]);
        if let Some(config) = webhook {
            with(config, "service", |service| fill(service, "port", 443));
        }
        let stored: Vec<Value> = storage_version(spec).into_iter().map(Value::from).collect();
        fill_zero(part(draft, "status"), "storedVersions", stored);
    }

    /// The version that is stored now has been stored from now on.
    fn prepare(&self, new: &mut Value, _old: Option<&Value>, verb: Verb) {
        if matches!(verb, Verb::UpdateSubresource(_)) {
            return;
        }
        if let Some(version) = new.get("spec").and_then(storage_version).map(Value::from) {
            let stored = new.entry_at(&["status", "storedVersions"]).ensure_list();
            if !stored.contains(&version) {
                stored.push(version);
            }
        }
    }

    fn validate(&self, new: &Value, old: Option<&Value>, verb: Verb) -> Vec<Cause> {
        let (definition, mut out) = (Place::root(new), Vec::new());
        match verb {
            Verb::UpdateSubresource(_) => validate::status(&definition, &mut out),
            _ => validate::check(&definition, old, &mut out),
        }
        out
    }

    /// The instances go first; then whoever saw to that takes the finalizer off.
    fn begin_delete(&self, draft: &mut Value) {
        let finalizers = draft.entry_at(&["metadata", "finalizers"]).ensure_list();
        if !finalizers.contains(&CLEANUP.into()) {
            finalizers.push(CLEANUP.into());
        }
        let since = draft.at(&["metadata", "deletionTimestamp"]).cloned().unwrap_or_default();
        let pending = value!({
            "type": "Terminating", "status": "True", "reason": "InstanceDeletionPending",
            "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
        });
        set_condition(draft, pending, since);
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }
}

/// The finalizer by which a definition waits for its instances to go.
pub const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Sets a condition; it began at `now`, unless it says what it said before
/// (k8s.io/apiextensions-apiserver/pkg/apihelpers, `SetCRDCondition`).
pub fn set_condition(definition: &mut Value, mut condition: Value, now: impl Into<Value>) {
    let conditions = definition.entry_at(&["status", "conditions"]).ensure_list();
    let kind = condition.get("type").cloned();
    let old = conditions.iter_mut().find(|old| old.get("type") == kind.as_ref());
    let since = old.as_ref().filter(|old| old.get("status") == condition.get("status"));
    let since = since.and_then(|old| old.get("lastTransitionTime").cloned()).unwrap_or_else(|| now.into());
    condition.set_at(&["lastTransitionTime"], since);
    match old {
        Some(old) => *old = condition,
        None => conditions.push(condition),
    }
}

/// Whether a condition of this type is true.
pub fn is_true(definition: &Value, kind: &str) -> bool {
    let conditions = definition.list_at(&["status", "conditions"]).iter();
    conditions
        .filter(|condition| condition.str_at(&["type"]) == Some(kind))
        .any(|condition| condition.str_at(&["status"]) == Some("True"))
}

/// The name of the version that is stored.
fn storage_version(spec: &Value) -> Option<&str> {
    let versions = spec.list_at(&["versions"]).iter();
    versions
        .filter(|version| version.get("storage") == Some(&Value::Bool(true)))
        .find_map(|version| version.str_at(&["name"]))
}
