//! DaemonSet: a pod on every node.

use crate::Cause;
use crate::kinds::strategies::apps::workload;
use crate::kinds::strategies::core::pod_spec::defaults as pod_defaults;
use crate::kinds::strategies::core::pod_spec::validate;
use crate::kinds::strategies::fill::{fill, has, part, same};
use crate::kinds::strategies::rules::{Causes, Place, before, int_or_percentage};
use crate::kinds::strategy::{Strategy, Verb};
use crate::selector::LabelSelector;
use crate::value::Value;

/// Where the changes of the template are counted, for the clients of a version long gone.
const TEMPLATE_GENERATION: [&str; 3] =
    ["metadata", "annotations", "deprecated.daemonset.template.generation"];

/// DaemonSet: a pod on every node.
pub struct DaemonSet;

impl Strategy for DaemonSet {
    fn default(&self, draft: &mut Value) {
        let spec = part(draft, "spec");
        let strategy = part(spec, "updateStrategy");
        fill(strategy, "type", "RollingUpdate");
        if strategy.str_at(&["type"]) == Some("RollingUpdate") || has(strategy, "rollingUpdate") {
            let rolling = part(strategy, "rollingUpdate");
            fill(rolling, "maxUnavailable", 1);
            fill(rolling, "maxSurge", 0);
        }
        fill(spec, "revisionHistoryLimit", 10);
        pod_defaults::template(spec);
    }

    fn prepare(&self, new: &mut Value, old: Option<&Value>, _verb: Verb) {
        workload::drop_gated(new, old);
        let generation = match old {
            None => template_generation(new).max(1),
            Some(old) if same(new, old, &["spec", "template"]) => template_generation(old),
            Some(old) => template_generation(old) + 1,
        };
        new.set_at(&TEMPLATE_GENERATION, generation.to_string());
    }

    fn validate(&self, new: &Value, old: Option<&Value>, verb: Verb) -> Vec<Cause> {
        let (set, mut out) = (Place::root(new), Vec::new());
        if let (Verb::UpdateSubresource(_), Some(old)) = (verb, old) {
            let status = set.field("status");
            COUNTS.iter().for_each(|field| status.field(field).non_negative(&mut out));
            workload::collisions(&status, old, &mut out);
            return out;
        }
        let spec = set.field("spec");
        let (selector, template) = (spec.field("selector"), spec.field("template"));
        selector.label_selector(&mut out);
        if let Ok(parsed) = LabelSelector::from_value(selector.value) {
            if selector.is_set() {
                workload::matches(&template, &parsed, &mut out);
            } else {
                workload::blame_labels(&template, &mut out);
            }
        }
        if selector.is_set() && selector.is_empty_selector() {
            out.push(selector.invalid("empty selector is invalid for daemonset"));
        }
        validate::template(&template, &mut out);
        workload::always_restarts(&template, "DaemonSet", &mut out);
        spec.field("minReadySeconds").non_negative(&mut out);
        strategy(&spec.field("updateStrategy"), &mut out);
        spec.field("revisionHistoryLimit").non_negative(&mut out);
        if old.is_some() {
            selector.immutable(before(old, &["spec", "selector"]), &mut out);
        }
        out
    }
}

fn template_generation(draft: &Value) -> i64 {
    draft.str_at(&TEMPLATE_GENERATION).and_then(|text| text.parse().ok()).unwrap_or(0)
}

const COUNTS: [&str; 9] = [
    "currentNumberScheduled",
    "numberMisscheduled",
    "desiredNumberScheduled",
    "numberReady",
    "observedGeneration",
    "updatedNumberScheduled",
    "numberAvailable",
    "numberUnavailable",
    "collisionCount",
];

fn strategy(strategy: &Place, out: &mut Causes) {
    let rolling = strategy.field("rollingUpdate");
    match strategy.field("type").text() {
        "OnDelete" => {}
        "RollingUpdate" if !rolling.is_set() => out.push(rolling.required("")),
        "RollingUpdate" => {
            let (unavailable, surge) = (rolling.field("maxUnavailable"), rolling.field("maxSurge"));
            for bound in [&unavailable, &surge] {
                bound.int_or_percent(out);
                bound.at_most_all(out);
            }
            match (int_or_percentage(unavailable.value) != 0, int_or_percentage(surge.value) != 0) {
                (true, true) => out.push(surge.invalid("may not be set when maxUnavailable is non-zero")),
                (false, false) => out.push(unavailable.required("cannot be 0 when maxSurge is 0")),
                _ => {}
            }
        }
        other => out.push(Cause::not_supported(strategy.path(), other, &["RollingUpdate", "OnDelete"])),
    }
}
