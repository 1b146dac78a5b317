//! PersistentVolumeClaim: a request for storage.

use super::pod_spec::defaults::claim;
use crate::kinds::strategies::fill::{fill, has, part, round};
use crate::kinds::strategy::{Strategy, Verb};
use crate::value;
use crate::value::Value;

/// PersistentVolumeClaim: a request for storage.
pub struct PersistentVolumeClaim;

impl Strategy for PersistentVolumeClaim {
    fn default(&self, draft: &mut Value) {
        claim(part(draft, "spec"));
        let status = part(draft, "status");
        fill(status, "phase", "Pending");
        round(status, "capacity");
        round(status, "allocatedResources");
    }

    fn prepare(&self, new: &mut Value, old: Option<&Value>, verb: Verb) {
        if verb == Verb::Create {
            new.set_at(&["status"], value!({"phase": "Pending"}));
        }
        if let Some(spec) = new.at_mut(&["spec"]) {
            settle_sources(spec, old.and_then(|old| old.get("spec")));
        }
    }

    fn returns_deleted(&self) -> bool {
        true
    }
}

/// Keeps `dataSource`, which names claims and snapshots only and drops anything else in silence, and its successor
/// `dataSourceRef` as one (KEP-1495).
fn settle_sources(spec: &mut Value, old: Option<&Value>) {
    let in_use = old.is_some_and(|old| has(old, "dataSource") || has(old, "dataSourceRef"));
    if !in_use && !has(spec, "dataSourceRef") {
        let source = (
            spec.str_at(&["dataSource", "apiGroup"]).unwrap_or_default(),
            spec.str_at(&["dataSource", "kind"]),
        );
        if !matches!(
            source,
            ("", Some("PersistentVolumeClaim")) | ("snapshot.storage.k8s.io", Some("VolumeSnapshot"))
        ) {
            spec.remove_at(&["dataSource"]);
        }
    }
    let copy = |spec: &Value, from: &str| {
        let mut source = Value::map();
        for field in ["apiGroup", "kind", "name"] {
            if let Some(value) = spec.at(&[from, field]) {
                source.set_at(&[field], value.clone());
            }
        }
        source
    };
    match (has(spec, "dataSource"), has(spec, "dataSourceRef")) {
        (true, false) => spec.set_at(&["dataSourceRef"], copy(spec, "dataSource")),
        (false, true) if spec.at(&["dataSourceRef", "namespace"]).is_none_or(Value::is_empty) => {
            spec.set_at(&["dataSource"], copy(spec, "dataSourceRef"));
        }
        _ => {}
    }
}
