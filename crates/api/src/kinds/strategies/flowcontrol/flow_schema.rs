//! FlowSchema: which requests belong to which priority level.

use crate::kinds::strategies::fill::{fill_zero, part, restore_metadata};
use crate::kinds::strategy::{Strategy, Verb};
use crate::names;
use crate::value::Value;

/// FlowSchema: which requests belong to which priority level.
pub struct FlowSchema;

impl Strategy for FlowSchema {
    fn default(&self, draft: &mut Value) {
        fill_zero(part(draft, "spec"), "matchingPrecedence", 1000);
    }

    fn prepare(&self, new: &mut Value, old: Option<&Value>, verb: Verb) {
        if let (Verb::UpdateSubresource("status"), Some(old)) = (verb, old) {
            restore_metadata(new, old);
        }
    }

    fn check_name(&self, name: &str) -> Vec<String> {
        names::path_segment(name)
    }
}
