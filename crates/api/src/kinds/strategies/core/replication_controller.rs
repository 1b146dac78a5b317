//! ReplicationController: the oldest of the workloads.

use super::pod::warn_of_name;
use super::pod_spec::defaults;
use super::pod_spec::validate as pod_validate;
use crate::Cause;
use crate::kinds::strategies::apps::workload;
use crate::kinds::strategies::fill::{fill, fill_zero, part, with};
use crate::kinds::strategies::rules::Place;
use crate::kinds::strategy::{Strategy, Verb};
use crate::selector::LabelSelector;
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

    fn prepare(&self, new: &mut Value, old: Option<&Value>, _verb: Verb) {
        workload::drop_gated(new, old);
    }

    fn validate(&self, new: &Value, _old: Option<&Value>, verb: Verb) -> Vec<Cause> {
        let (controller, mut out) = (Place::root(new), Vec::new());
        if matches!(verb, Verb::UpdateSubresource(_)) {
            workload::counts(&controller.field("status"), &COUNTS, &COUNTS[1..4], "readyReplicas", &mut out);
            return out;
        }
        let spec = controller.field("spec");
        spec.field("minReadySeconds").non_negative(&mut out);
        let (selector, template) = (spec.field("selector"), spec.field("template"));
        if selector.is_empty() {
            out.push(selector.required(""));
        }
        spec.field("replicas").non_negative(&mut out);
        if !template.is_set() {
            out.push(template.required(""));
            return out;
        }
        let pairs = selector.entries().map(|(key, value)| (key, value.text()));
        workload::matches(&template, &LabelSelector::equal(pairs), &mut out);
        pod_validate::template(&template, &mut out);
        workload::always_restarts(&template, "ReplicationController", &mut out);
        out
    }

    fn warn(&self, new: &Value) -> Vec<String> {
        warn_of_name(new, "Pod names and hostnames")
    }
}

/// What a status counts: all, and three that are some of them, first.
const COUNTS: [&str; 5] =
    ["replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration"];
