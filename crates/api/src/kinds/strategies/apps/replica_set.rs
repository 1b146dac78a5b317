//! ReplicaSet: so many pods of one template.

use crate::Cause;
use crate::kinds::strategies::apps::workload;
use crate::kinds::strategies::core::pod::warn_of_name;
use crate::kinds::strategies::core::pod_spec::defaults as pod_defaults;
use crate::kinds::strategies::fill::{fill, part};
use crate::kinds::strategies::rules::{Place, before};
use crate::kinds::strategy::{Strategy, Verb};
use crate::value::Value;

/// ReplicaSet: so many pods of one template.
pub struct ReplicaSet;

impl Strategy for ReplicaSet {
    fn default(&self, draft: &mut Value) {
        let spec = part(draft, "spec");
        fill(spec, "replicas", 1);
        pod_defaults::template(spec);
    }

    fn prepare(&self, new: &mut Value, old: Option<&Value>, _verb: Verb) {
        workload::drop_gated(new, old);
    }

    fn validate(&self, new: &Value, old: Option<&Value>, verb: Verb) -> Vec<Cause> {
        let (set, mut out) = (Place::root(new), Vec::new());
        if let (Verb::UpdateSubresource(_), Some(_)) = (verb, old) {
            workload::counts(&set.field("status"), &COUNTS, &COUNTS[1..4], "readyReplicas", &mut out);
            return out;
        }
        let spec = set.field("spec");
        spec.field("replicas").non_negative(&mut out);
        spec.field("minReadySeconds").non_negative(&mut out);
        let readable =
            workload::selector_and_template(&spec, "deployment", "invalid label selector", &mut out);
        if readable {
            workload::always_restarts(&spec.field("template"), "ReplicaSet", &mut out);
        }
        if old.is_some() {
            spec.field("selector").immutable(before(old, &["spec", "selector"]), &mut out);
        }
        out
    }

    fn warn(&self, new: &Value) -> Vec<String> {
        warn_of_name(new, "Pod names and hostnames")
    }
}

/// What a status counts: all, and three that are some of them, first.
const COUNTS: [&str; 6] = [
    "replicas",
    "fullyLabeledReplicas",
    "readyReplicas",
    "availableReplicas",
    "observedGeneration",
    "terminatingReplicas",
];
