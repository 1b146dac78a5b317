//! PersistentVolume: storage of the cluster.

use super::pod_spec::defaults::volume_source;
use crate::kinds::strategies::fill::{created_at, fill, part, round, same};
use crate::kinds::strategy::{Strategy, Verb, Writer};
use crate::value;
use crate::value::Value;

/// Where the time of the last change of phase is kept.
const TRANSITION: [&str; 2] = ["status", "lastPhaseTransitionTime"];

/// PersistentVolume: storage of the cluster.
pub struct PersistentVolume;

impl Strategy for PersistentVolume {
    fn default(&self, draft: &mut Value) {
        fill(part(draft, "status"), "phase", "Pending");
        let spec = part(draft, "spec");
        fill(spec, "persistentVolumeReclaimPolicy", "Retain");
        fill(spec, "volumeMode", "Filesystem");
        round(spec, "capacity");
        volume_source(spec);
    }

    fn prepare(&self, new: &mut Value, old: Option<&Value>, verb: Verb) {
        match (verb, old) {
            (Verb::Create, _) => {
                let created = created_at(new);
                new.set_at(&["status"], value!({"phase": "Pending"}));
                new.set_at(&["status", "lastPhaseTransitionTime"], created);
            }
            (Verb::UpdateSubresource("status"), Some(old)) if same(new, old, &["status", "phase"]) => {
                let before = old.at(&TRANSITION).cloned().unwrap_or_default();
                fill(new.entry_at(&["status"]), "lastPhaseTransitionTime", before);
            }
            _ => {}
        }
    }

    fn stamp(&self, new: &mut Value, old: Option<&Value>, verb: Verb, by: Writer) {
        if let (Verb::UpdateSubresource("status"), Some(old)) = (verb, old) {
            let unset = new.at(&TRANSITION).is_none_or(Value::is_empty) || same(new, old, &TRANSITION);
            if unset && !same(new, old, &["status", "phase"]) {
                new.set_at(&TRANSITION, by.now);
            }
        }
    }

    fn returns_deleted(&self) -> bool {
        true
    }
}
