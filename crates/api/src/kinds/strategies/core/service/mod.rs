//! Service: one name and address for many pods (k8s.io/kubernetes/pkg/registry/core/service).

mod defaults;
mod prepare;
mod validate;

use crate::Cause;
use crate::kinds::strategies::rules::Place;
use crate::kinds::strategy::{Strategy, Verb};
use crate::names;
use crate::value::Value;

pub use validate::host;

/// Service: one name and address for many pods.
pub struct Service;

impl Strategy for Service {
    fn default(&self, draft: &mut Value) {
        defaults::service(draft);
    }

    fn prepare(&self, new: &mut Value, old: Option<&Value>, verb: Verb) {
        if matches!(verb, Verb::Create | Verb::Update) {
            prepare::service(new, old);
        }
    }

    fn validate_early(&self, new: &Value, old: Option<&Value>) -> Vec<Cause> {
        let (service, mut out) = (Place::root(new), Vec::new());
        validate::addresses(&service.field("spec"), &mut out);
        if let Some(old) = old.and_then(|old| old.get("spec")) {
            validate::kept(&service.field("spec"), old, &mut out);
        }
        out
    }

    fn validate(&self, new: &Value, old: Option<&Value>, verb: Verb) -> Vec<Cause> {
        let (service, mut out) = (Place::root(new), Vec::new());
        match verb {
            Verb::UpdateSubresource(_) => validate::status(&service, &mut out),
            _ => validate::service(&service, old, &mut out),
        }
        out
    }

    fn allow_create_on_update(&self) -> bool {
        true
    }

    fn returns_deleted(&self) -> bool {
        true
    }

    /// Labels of any kind since KEP-5311, not only those that begin with a letter.
    fn check_name(&self, name: &str) -> Vec<String> {
        names::label(name)
    }
}
