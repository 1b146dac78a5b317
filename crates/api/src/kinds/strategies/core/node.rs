//! Node: a machine (k8s.io/kubernetes/pkg/registry/core/node).

use crate::kinds::strategies::fill::{fill, has, round, with};
use crate::kinds::strategy::{Strategy, Verb};
use crate::value::Value;

/// Node: a machine.
pub struct Node;

impl Strategy for Node {
    fn default(&self, draft: &mut Value) {
        with(draft, "spec", mirror_cidr);
        with(draft, "status", |status| {
            if let Some(capacity) = status.get("capacity").filter(|capacity| !capacity.is_null()).cloned() {
                fill(status, "allocatable", capacity);
            }
            round(status, "capacity");
            round(status, "allocatable");
        });
    }

    /// The feature behind `configSource` is gone; only objects that have it keep it.
    fn prepare(&self, new: &mut Value, old: Option<&Value>, _verb: Verb) {
        for (part, field) in [("spec", "configSource"), ("status", "config")] {
            let kept = old.and_then(|old| old.get(part)).is_some_and(|old| has(old, field));
            if !kept {
                new.remove_at(&[part, field]);
            }
        }
    }

    fn keeps_status_on_create(&self) -> bool {
        true
    }
}

/// Keeps `podCIDR` and the first of `podCIDRs` the same; the former wins.
fn mirror_cidr(spec: &mut Value) {
    let first = spec.list_at(&["podCIDRs"]).first().and_then(Value::as_str).map(str::to_owned);
    match (spec.str_at(&["podCIDR"]).filter(|cidr| !cidr.is_empty()).map(str::to_owned), first) {
        (Some(cidr), first) if first.as_ref() != Some(&cidr) => {
            spec.set_at(&["podCIDRs"], vec![Value::from(cidr)])
        }
        (None, Some(first)) => spec.set_at(&["podCIDR"], first),
        _ => {}
    }
}
