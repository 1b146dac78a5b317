//! What a write of a pod, or of a part of one, may reach.

use super::qos;
use crate::kinds::strategies::core::pod_spec::defaults::mirror_service_account;
use crate::kinds::strategies::fill::{
    count_change, created_at, each, fill, restore, restore_metadata, same, with,
};
use crate::value;
use crate::value::Value;

/// A new pod: pending, and what its labels add to its selectors.
pub fn create(pod: &mut Value) {
    let labels = pod.at(&["metadata", "labels"]).cloned().unwrap_or_default();
    let created = created_at(pod);
    let mut status = value!({"phase": "Pending"});
    if let Some(spec) = pod.at_mut(&["spec"]) {
        // Admission may have named the account after defaulting.
        mirror_service_account(spec);
        status.set_at(&["qosClass"], qos::class(spec));
        merge_label_keys(spec, &labels);
        if !spec.list_at(&["schedulingGates"]).is_empty() {
            let mut gated = value!({"type": "PodScheduled", "status": "False", "reason": "SchedulingGated",
                "message": "Scheduling is blocked due to non-empty scheduling gates"});
            gated.set_at(&["lastTransitionTime"], created);
            status.set_at(&["conditions"], vec![gated]);
        }
    }
    pod.set_at(&["status"], status);
}

/// A new status: what was written once is not forgotten.
pub fn status(new: &mut Value, old: &Value) {
    restore(new, old, &["metadata", "ownerReferences"]);
    if let Some(class) = old.at(&["status", "qosClass"]).cloned() {
        fill(new.entry_at(&["status"]), "qosClass", class);
    }
    keep_observed(new.entry_at(&["status"]), old.at(&["status"]).unwrap_or(&Value::Null));
    let mut left: Vec<&Value> = old.list_at(&["status", "conditions"]).iter().collect();
    with(new, "status", |status| {
        each(status, "conditions", |condition| {
            let kind = condition.str_at(&["type"]).unwrap_or_default();
            if let Some(at) = left.iter().position(|old| old.str_at(&["type"]) == Some(kind)) {
                keep_observed(condition, left.remove(at));
            }
        });
    });
}

/// Keeps the `observedGeneration` that a client left out.
fn keep_observed(new: &mut Value, old: &Value) {
    let observed = old.int_at(&["observedGeneration"]).unwrap_or(0);
    if observed != 0 && new.int_at(&["observedGeneration"]).unwrap_or(0) == 0 {
        new.set_at(&["observedGeneration"], observed);
    }
}

/// Only the ephemeral containers change.
pub fn ephemeral_containers(new: &mut Value, old: &Value) {
    let containers = new.remove_at(&["spec", "ephemeralContainers"]);
    restore(new, old, &["spec"]);
    restore_metadata(new, old);
    match containers {
        Some(containers) => new.set_at(&["spec", "ephemeralContainers"], containers),
        None => drop(new.remove_at(&["spec", "ephemeralContainers"])),
    }
    count_spec(new, old);
}

/// Only the resources of containers, and the policies for changing them, change; where the containers are not the
/// same ones, all is left as it is for validation to refuse.
pub fn resize(new: &mut Value, old: &Value) {
    let mut spec = old.get("spec").cloned().unwrap_or_default();
    for list in ["containers", "initContainers"] {
        let (wanted, kept) = (new.list_at(&["spec", list]), old.list_at(&["spec", list]));
        let names = |containers: &[Value]| -> Vec<String> {
            containers.iter().map(|c| c.str_at(&["name"]).unwrap_or_default().to_owned()).collect()
        };
        if wanted.len() != kept.len() {
            return;
        }
        if names(wanted) != names(kept) {
            spec.set_at(&[list], wanted.to_vec());
            continue;
        }
        let mut wanted = wanted.iter();
        each(&mut spec, list, |container| {
            if let Some(wanted) = wanted.next() {
                restore(container, wanted, &["resources"]);
                restore(container, wanted, &["resizePolicy"]);
            }
        });
    }
    if let Some(new) = new.get("spec") {
        restore(&mut spec, new, &["resources"]);
    }
    new.set_at(&["spec"], spec);
    restore_metadata(new, old);
    count_spec(new, old);
}

fn count_spec(new: &mut Value, old: &Value) {
    if !same(new, old, &["spec"]) {
        count_change(new, old);
    }
}

/// Adds to the selectors of affinity and spreading what their `matchLabelKeys` say of the pod's own labels.
fn merge_label_keys(spec: &mut Value, labels: &Value) {
    const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
    const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
    with(spec, "affinity", |affinity| {
        for kind in ["podAffinity", "podAntiAffinity"] {
            with(affinity, kind, |affinity| {
                each(affinity, PREFERRED, |term| {
                    with(term, "podAffinityTerm", |term| merge_keys(term, labels))
                });
                each(affinity, REQUIRED, |term| merge_keys(term, labels));
            });
        }
    });
    each(spec, "topologySpreadConstraints", |constraint| merge_keys(constraint, labels));
}

fn merge_keys(term: &mut Value, labels: &Value) {
    let mut expressions = Vec::new();
    for (field, operator) in [("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")] {
        for key in term.list_at(&[field]).iter().filter_map(Value::as_str) {
            if let Some(label) = labels.str_at(&[key]) {
                expressions.push(value!({"key": key, "operator": operator, "values": [label]}));
            }
        }
    }
    if !expressions.is_empty() {
        with(term, "labelSelector", |selector| {
            selector.entry_at(&["matchExpressions"]).ensure_list().extend(expressions);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_pod_is_pending() {
        let mut pod = value!({"metadata": {"labels": {"app": "a"}}, "spec": {"serviceAccountName": "default",
            "topologySpreadConstraints": [{"labelSelector": {}, "matchLabelKeys": ["app", "none"]}]}});
        create(&mut pod);
        assert_eq!(pod.get("status"), Some(&value!({"phase": "Pending", "qosClass": "BestEffort"})));
        assert_eq!(pod.str_at(&["spec", "serviceAccount"]), Some("default"));
        let constraint = &pod.list_at(&["spec", "topologySpreadConstraints"])[0];
        let want = value!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["a"]}]});
        assert_eq!(constraint.get("labelSelector"), Some(&want));
    }

    #[test]
    fn a_resize_reaches_only_resources() {
        let old =
            value!({"metadata": {"generation": 1}, "spec": {"containers": [{"name": "a", "image": "x"}]}});
        let mut new = value!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [
            {"name": "a", "image": "y", "resources": {"requests": {"cpu": "1"}}}]}});
        resize(&mut new, &old);
        assert_eq!(
            new,
            value!({"metadata": {"generation": 2}, "spec": {"containers": [
            {"name": "a", "image": "x", "resources": {"requests": {"cpu": "1"}}}]}})
        );
    }

    #[test]
    fn a_status_keeps_what_was_observed() {
        let old = value!({"status": {"qosClass": "Burstable", "observedGeneration": 3,
            "conditions": [{"type": "Ready", "observedGeneration": 2}]}});
        let mut new = value!({"status": {"phase": "Running", "conditions": [{"type": "Ready"}]}});
        status(&mut new, &old);
        assert_eq!(
            new,
            value!({"status": {"phase": "Running", "qosClass": "Burstable", "observedGeneration": 3,
            "conditions": [{"type": "Ready", "observedGeneration": 2}]}})
        );
    }
}
