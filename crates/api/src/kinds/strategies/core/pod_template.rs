//! PodTemplate: a template kept on its own.

use super::pod_spec::defaults;
use crate::kinds::strategy::Strategy;
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
}
