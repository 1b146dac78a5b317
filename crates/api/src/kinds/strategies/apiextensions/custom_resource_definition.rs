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

    fn allow_unconditional_update(&self) -> bool {
        false
    }
}

/// The name of the version that is stored.
fn storage_version(spec: &Value) -> Option<&str> {
    let versions = spec.list_at(&["versions"]).iter();
    versions
        .filter(|version| version.get("storage") == Some(&Value::Bool(true)))
        .find_map(|version| version.str_at(&["name"]))
}
