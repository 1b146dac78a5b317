//! ReplicationController: the oldest of the workloads.

use super::pod_spec::defaults;
use crate::kinds::strategies::fill::{fill, fill_zero, part, with};
use crate::kinds::strategy::Strategy;
use crate::value::Value;

/// ReplicationController: the oldest of the workloads.
pub struct ReplicationController;

impl Strategy for ReplicationController {
    fn default(&self, draft: &mut Value) {
        let labels =
            draft.at(&["spec", "template", "metadata", "labels"]).filter(|labels| !labels.is_null()).cloned();
        if let Some(labels) = labels {
            fill_zero(part(draft, "spec"), "selector", labels.clone());
            fill_zero(part(draft, "metadata"), "labels", labels);
        }
        let spec = part(draft, "spec");
        fill(spec, "replicas", 1);
        with(spec, "template", |template| defaults::spec(part(template, "spec")));
    }

    fn default_orphan(&self) -> bool {
        true
    }
}
