//! PodTemplate: a template kept on its own.

use super::pod_spec::{defaults, gated, validate as pod_validate};
use crate::Cause;
use crate::kinds::strategies::rules::Place;
use crate::kinds::strategy::{Strategy, Verb};
use crate::value::Value;

/// PodTemplate: a template kept on its own.
pub struct PodTemplate;

impl Strategy for PodTemplate {
    fn default(&self, draft: &mut Value) {
        defaults::template(draft);
    }

    fn returns_deleted(&self) -> bool {
        true
    }

    fn prepare(&self, new: &mut Value, old: Option<&Value>, _verb: Verb) {
        gated::drop_unused(new, old, &["template", "spec"]);
    }

    fn validate(&self, new: &Value, _old: Option<&Value>, _verb: Verb) -> Vec<Cause> {
        let (template, mut out) = (Place::root(new), Vec::new());
        pod_validate::template(&template.field("template"), &mut out);
        out
    }
}
