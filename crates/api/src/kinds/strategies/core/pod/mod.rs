//! Pod: containers that run together on a node (k8s.io/kubernetes/pkg/registry/core/pod).

mod prepare;
mod qos;

use super::pod_spec::defaults;
use crate::kinds::strategy::{Strategy, Verb};
use crate::value::Value;

/// Pod: containers that run together on a node.
pub struct Pod;

impl Strategy for Pod {
    fn default(&self, draft: &mut Value) {
        defaults::pod(draft);
    }

    fn prepare(&self, new: &mut Value, old: Option<&Value>, verb: Verb) {
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

    fn grace_period_seconds(&self, object: &Value) -> Option<i64> {
        let scheduled = object.str_at(&["spec", "nodeName"]).is_some_and(|node| !node.is_empty());
        let over = matches!(object.str_at(&["status", "phase"]), Some("Failed" | "Succeeded"));
        match object.int_at(&["spec", "terminationGracePeriodSeconds"]) {
            Some(seconds) if scheduled && !over => Some(if seconds < 0 { 1 } else { seconds }),
            _ => Some(0),
        }
    }

    fn returns_deleted(&self) -> bool {
        true
    }
}
