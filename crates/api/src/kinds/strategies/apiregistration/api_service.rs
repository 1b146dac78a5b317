//! APIService: who serves a group and version.

use crate::kinds::strategies::fill::{created_at, fill, part, restore_metadata, with};
use crate::kinds::strategy::{Strategy, Verb};
use crate::names;
use crate::value;
use crate::value::Value;

/// APIService: who serves a group and version.
pub struct ApiService;

impl Strategy for ApiService {
    fn default(&self, draft: &mut Value) {
        with(part(draft, "spec"), "service", |service| fill(service, "port", 443));
    }

    fn prepare(&self, new: &mut Value, old: Option<&Value>, verb: Verb) {
        match (verb, old) {
            (Verb::Create, _) if new.at(&["spec", "service"]).is_none_or(Value::is_null) => {
                let mut available = value!({"type": "Available", "status": "True", "reason": "Local",
                    "message": "Local APIServices are always available"});
                available.set_at(&["lastTransitionTime"], created_at(new));
                new.set_at(&["status", "conditions"], vec![available]);
            }
            (Verb::UpdateSubresource("status"), Some(old)) => restore_metadata(new, old),
            _ => {}
        }
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }

    fn check_name(&self, name: &str) -> Vec<String> {
        names::path_segment(name)
    }
}
