//! HorizontalPodAutoscaler: replicas that follow the load (k8s.io/kubernetes/pkg/apis/autoscaling).

mod convert;
mod validate;

use crate::Cause;
use crate::kinds::strategies::fill::{fill, fill_zero, has, part, with};
use crate::kinds::strategies::rules::Place;
use crate::kinds::strategy::{Strategy, Verb};
use crate::value;
use crate::value::Value;

/// HorizontalPodAutoscaler: replicas that follow the load.
pub struct HorizontalPodAutoscaler;

impl Strategy for HorizontalPodAutoscaler {
    fn default(&self, draft: &mut Value) {
        let spec = part(draft, "spec");
        fill(spec, "minReplicas", 1);
        with(spec, "behavior", default_behavior);
    }

    /// An absent metric means one of the CPU; that is no default of v1, so it waits for the stored version.
    fn prepare(&self, new: &mut Value, _old: Option<&Value>, _verb: Verb) {
        fill_zero(part(new, "spec"), "metrics", convert::default_metrics());
    }

    fn validate(&self, new: &Value, _old: Option<&Value>, verb: Verb) -> Vec<Cause> {
        let (autoscaler, mut out) = (Place::root(new), Vec::new());
        match verb {
            Verb::UpdateSubresource(_) => validate::status(&autoscaler, &mut out),
            _ => validate::spec(&autoscaler.field("spec"), &mut out),
        }
        out
    }

    fn convert(&self, draft: &mut Value, from: &str, to: &str) -> bool {
        match (from, to) {
            ("autoscaling/v1", "autoscaling/v2") => convert::to_v2(draft),
            ("autoscaling/v2", "autoscaling/v1") => convert::to_v1(draft),
            _ => return false,
        }
        true
    }
}

fn default_behavior(behavior: &mut Value) {
    let up = part(behavior, "scaleUp");
    fill(up, "stabilizationWindowSeconds", 0);
    fill(up, "selectPolicy", "Max");
    let policy = |kind: &str, value: i64| value!({"type": kind, "value": value, "periodSeconds": 15});
    if !has(up, "policies") {
        up.set_at(&["policies"], vec![policy("Pods", 4), policy("Percent", 100)]);
    }
    let down = part(behavior, "scaleDown");
    fill(down, "selectPolicy", "Max");
    if !has(down, "policies") {
        down.set_at(&["policies"], vec![policy("Percent", 100)]);
    }
}
