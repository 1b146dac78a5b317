//! Deployment: replicas that roll from one template to the next.

use crate::Cause;
use crate::kinds::strategies::apps::workload;
use crate::kinds::strategies::core::pod::warn_of_name;
use crate::kinds::strategies::core::pod_spec::defaults as pod_defaults;
use crate::kinds::strategies::fill::{count_change, fill, part, restore, same};
use crate::kinds::strategies::rules::{Causes, Place, before, int_or_percentage};
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
        workload::drop_gated(new, old);
        match (verb, old) {
            (Verb::Update, Some(old)) if !same(new, old, &["metadata", "annotations"]) => {
                count_change(new, old)
            }
            (Verb::UpdateSubresource("status"), Some(old)) => restore(new, old, &["metadata", "labels"]),
            _ => {}
        }
    }

    fn validate(&self, new: &Value, old: Option<&Value>, verb: Verb) -> Vec<Cause> {
        let (deployment, mut out) = (Place::root(new), Vec::new());
        if let (Verb::UpdateSubresource(_), Some(old)) = (verb, old) {
            let status = deployment.field("status");
            workload::counts(&status, &COUNTS, &COUNTS[1..4], "readyReplicas", &mut out);
            workload::collisions(&status, old, &mut out);
            return out;
        }
        let spec = deployment.field("spec");
        spec.field("replicas").non_negative(&mut out);
        let readable =
            workload::selector_and_template(&spec, "deployment", "invalid label selector", &mut out);
        if readable {
            workload::always_restarts(&spec.field("template"), "ReplicaSet", &mut out);
        }
        strategy(&spec.field("strategy"), &mut out);
        for field in ["minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"] {
            spec.field(field).non_negative(&mut out);
        }
        let deadline = spec.field("progressDeadlineSeconds");
        if deadline.is_set() && deadline.int() <= spec.field("minReadySeconds").int() {
            out.push(deadline.invalid("must be greater than minReadySeconds"));
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
const COUNTS: [&str; 8] = [
    "replicas",
    "updatedReplicas",
    "readyReplicas",
    "availableReplicas",
    "unavailableReplicas",
    "observedGeneration",
    "terminatingReplicas",
    "collisionCount",
];

fn strategy(strategy: &Place, out: &mut Causes) {
    let rolling = strategy.field("rollingUpdate");
    match strategy.field("type").text() {
        "Recreate" if rolling.is_set() => {
            out.push(rolling.forbidden("may not be specified when strategy `type` is 'Recreate'"));
        }
        "Recreate" => {}
        "RollingUpdate" => {
            let (unavailable, surge) = (rolling.field("maxUnavailable"), rolling.field("maxSurge"));
            unavailable.int_or_percent(out);
            surge.int_or_percent(out);
            if int_or_percentage(unavailable.value) == 0 && int_or_percentage(surge.value) == 0 {
                out.push(unavailable.invalid("may not be 0 when `maxSurge` is 0"));
            }
            unavailable.at_most_all(out);
        }
        _ => out.push(Cause::not_supported(
            strategy.path(),
            strategy.field("type").text(),
            &["Recreate", "RollingUpdate"],
        )),
    }
}
