//! Deployment: replicas that roll from one template to the next.

use crate::kinds::strategies::core::pod_spec::defaults as pod_defaults;
use crate::kinds::strategies::fill::{count_change, fill, part, restore, same};
use crate::kinds::strategy::{Strategy, Verb};
use crate::value::Value;

/// Deployment: replicas that roll from one template to the next.
pub struct Deployment;

impl Strategy for Deployment {
    fn default(&self, draft: &mut Value) {
        let spec = part(draft, "spec");
        fill(spec, "replicas", 1);
        let strategy = part(spec, "strategy");
        fill(strategy, "type", "RollingUpdate");
        if strategy.str_at(&["type"]) == Some("RollingUpdate") {
            let rolling = part(strategy, "rollingUpdate");
            fill(rolling, "maxUnavailable", "25%");
            fill(rolling, "maxSurge", "25%");
        }
        fill(spec, "revisionHistoryLimit", 10);
        fill(spec, "progressDeadlineSeconds", 600);
        pod_defaults::template(spec);
    }

    /// Unlike elsewhere, annotations count in the generation, and a write of the status leaves the labels alone.
    fn prepare(&self, new: &mut Value, old: Option<&Value>, verb: Verb) {
        match (verb, old) {
            (Verb::Update, Some(old)) if !same(new, old, &["metadata", "annotations"]) => {
                count_change(new, old)
            }
            (Verb::UpdateSubresource("status"), Some(old)) => restore(new, old, &["metadata", "labels"]),
            _ => {}
        }
    }
}
