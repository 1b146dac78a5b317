//! PodDisruptionBudget: how many pods may be gone at once.

use crate::Cause;
use crate::kinds::strategies::conditions;
use crate::kinds::strategies::rules::Place;
use crate::kinds::strategy::{Strategy, Verb};
use crate::value::Value;

/// PodDisruptionBudget: how many pods may be gone at once.
pub struct PodDisruptionBudget;

impl Strategy for PodDisruptionBudget {
    fn allow_unconditional_update(&self) -> bool {
        false
    }

    fn validate(&self, new: &Value, _old: Option<&Value>, verb: Verb) -> Vec<Cause> {
        let (budget, mut out) = (Place::root(new), Vec::new());
        if matches!(verb, Verb::UpdateSubresource(_)) {
            let status = budget.field("status");
            for field in ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"] {
                status.field(field).non_negative(&mut out);
            }
            conditions::check(&status.field("conditions"), &mut out);
            return out;
        }
        let spec = budget.field("spec");
        let bounds = [spec.field("minAvailable"), spec.field("maxUnavailable")];
        if bounds.iter().all(Place::is_set) {
            out.push(spec.invalid("minAvailable and maxUnavailable cannot be both set"));
        }
        for bound in bounds.iter().filter(|bound| bound.is_set()) {
            bound.int_or_percent(&mut out);
            bound.at_most_all(&mut out);
        }
        spec.field("selector").label_selector(&mut out);
        let policy = spec.field("unhealthyPodEvictionPolicy");
        policy.one_of_if_set(&["AlwaysAllow", "IfHealthyBudget"], &mut out);
        out
    }
}
