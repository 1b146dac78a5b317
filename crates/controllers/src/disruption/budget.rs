//! The conditions of a budget, and its selector as people are told of it.

use jiff::Timestamp;
use k8s_openapi::api::policy::v1::PodDisruptionBudgetStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};

use crate::objects::time;

const ALLOWED: &str = "DisruptionAllowed";

/// Says in `status` whether pods may go (k8s.io/component-helpers/apps/poddisruptionbudget).
pub(super) fn set_condition(status: &mut PodDisruptionBudgetStatus, now: Timestamp) {
    let (value, reason) = if status.disruptions_allowed > Some(0) {
        ("True", "SufficientPods")
    } else {
        ("False", "InsufficientPods")
    };
    set(status, value, reason, "", now);
}

/// Says in `status` that nobody knows whether pods may go.
pub(super) fn set_failed(status: &mut PodDisruptionBudgetStatus, why: &str, now: Timestamp) {
    status.disruptions_allowed = Some(0);
    set(status, "False", "SyncFailed", why, now);
}

fn set(status: &mut PodDisruptionBudgetStatus, value: &str, reason: &str, message: &str, now: Timestamp) {
    let conditions = status.conditions.get_or_insert_default();
    let old = conditions.iter().position(|condition| condition.type_ == ALLOWED);
    let since = old.map(|at| conditions.remove(at)).filter(|old| old.status == value);
    let new = Condition {
        type_: ALLOWED.to_owned(),
        status: value.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        last_transition_time: since.map_or_else(|| time::seconds(now), |old| old.last_transition_time),
        observed_generation: status.observed_generation,
    };
    conditions.insert(old.unwrap_or(conditions.len()), new);
}

/// As Go prints it.
pub(super) fn print(selector: Option<&LabelSelector>) -> String {
    let Some(selector) = selector else { return "nil".to_owned() };
    let mut labels = String::new();
    for (key, value) in selector.match_labels.iter().flatten() {
        labels.push_str(&format!("{key}: {value},"));
    }
    let mut expressions = String::new();
    for one in selector.match_expressions.iter().flatten() {
        let values = one.values.as_deref().unwrap_or_default().join(" ");
        let (key, operator) = (&one.key, &one.operator);
        expressions.push_str(&format!(
            "LabelSelectorRequirement{{Key:{key},Operator:{operator},Values:[{values}],}},"
        ));
    }
    format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{labels}}},MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}"
    )
}
