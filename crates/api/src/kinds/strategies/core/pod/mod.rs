//! Pod: containers that run together on a node (k8s.io/kubernetes/pkg/registry/core/pod).

mod prepare;
pub mod qos;
mod validate;

use super::pod_spec::{defaults, gated};
use crate::Cause;
use crate::kinds::strategies::rules::Place;
use crate::kinds::strategy::{Strategy, Verb};
use crate::value::Value;

/// Pod: containers that run together on a node.
pub struct Pod;

impl Strategy for Pod {
    fn default(&self, draft: &mut Value) {
        defaults::pod(draft);
    }

    fn prepare(&self, new: &mut Value, old: Option<&Value>, verb: Verb) {
        gated::drop_unused(new, old, &["spec"]);
        match (verb, old) {
            (Verb::UpdateSubresource("status"), Some(old)) => prepare::status(new, old),
            (Verb::UpdateSubresource("ephemeralcontainers"), Some(old)) => {
                prepare::ephemeral_containers(new, old)
            }
            (Verb::UpdateSubresource("resize"), Some(old)) => prepare::resize(new, old),
            (_, Some(_)) => {}
            (_, None) => prepare::create(new),
        }
    }

    fn validate(&self, new: &Value, old: Option<&Value>, verb: Verb) -> Vec<Cause> {
        let (pod, mut out) = (Place::root(new), Vec::new());
        match (verb, old) {
            (Verb::UpdateSubresource("status"), Some(old)) => validate::status(&pod, old, &mut out),
            (Verb::UpdateSubresource("ephemeralcontainers"), Some(old)) => {
                validate::ephemeral_containers(&pod, old, &mut out);
            }
            (Verb::UpdateSubresource("resize"), Some(old)) => validate::resize(&pod, old, &mut out),
            (_, Some(old)) => validate::update(&pod, old, &mut out),
            (_, None) => validate::create(&pod, &mut out),
        }
        out
    }

    fn warn(&self, new: &Value) -> Vec<String> {
        warn_of_name(new, "the Pod's hostname")
    }

    fn grace_period_seconds(&self, object: &Value) -> Option<i64> {
        let scheduled = object.str_at(&["spec", "nodeName"]).is_some_and(|node| !node.is_empty());
        let over = matches!(object.str_at(&["status", "phase"]), Some("Failed" | "Succeeded"));
        if over || !scheduled {
            return None;
        }
        let seconds = object.int_at(&["spec", "terminationGracePeriodSeconds"]).unwrap_or(0);
        Some(if seconds < 0 { 1 } else { seconds })
    }

    fn returns_deleted(&self) -> bool {
        true
    }
}

/// Names that cannot be those of hosts are allowed, but surprise.
pub(in crate::kinds::strategies) fn warn_of_name(draft: &Value, used_in: &str) -> Vec<String> {
    let name = draft.str_at(&["metadata", "name"]).unwrap_or_default();
    let reasons = crate::names::label(name);
    if reasons.is_empty() {
        return vec![];
    }
    vec![format!(
        "metadata.name: this is used in {used_in}, which can result in surprising behavior; a DNS label is recommended: [{}]",
        reasons.join(" ")
    )]
}
