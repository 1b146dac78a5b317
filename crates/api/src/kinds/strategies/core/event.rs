//! Event: what happened; one kind in two groups, kept as `v1` (k8s.io/kubernetes/pkg/apis/events/v1, conversion.go).

use crate::kinds::strategy::Strategy;
use crate::value::Value;

/// Event: what happened, in either of its groups.
pub struct Event;

/// What the fields are called in `v1` and in `events.k8s.io/v1`.
const NAMES: [(&str, &str); 6] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];
/// This one is named alike in JSON only in the newer group.
const REPORTER: (&str, &str) = ("reportingComponent", "reportingController");

impl Strategy for Event {
    fn allow_create_on_update(&self) -> bool {
        true
    }

    fn convert(&self, draft: &mut Value, from: &str, to: &str) -> bool {
        let names = NAMES.iter().chain([&REPORTER]);
        match (from, to) {
            ("v1", "events.k8s.io/v1") => names.for_each(|(core, events)| rename(draft, core, events)),
            ("events.k8s.io/v1", "v1") => names.for_each(|(core, events)| rename(draft, events, core)),
            _ => return false,
        }
        true
    }
}

fn rename(draft: &mut Value, from: &str, to: &str) {
    if let Some(value) = draft.remove_at(&[from]) {
        draft.set_at(&[to], value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value;

    #[test]
    fn events_are_the_same_in_both_groups() {
        let core = value!({"involvedObject": {"name": "a"}, "message": "m", "count": 2, "reportingComponent": "c",
            "reason": "r", "source": {"component": "k"}});
        let mut draft = core.clone();
        assert!(Event.convert(&mut draft, "v1", "events.k8s.io/v1"));
        assert_eq!(
            draft,
            value!({"regarding": {"name": "a"}, "note": "m", "deprecatedCount": 2, "reason": "r",
            "reportingController": "c", "deprecatedSource": {"component": "k"}})
        );
        assert!(Event.convert(&mut draft, "events.k8s.io/v1", "v1"));
        assert_eq!(draft, core);
        assert!(!Event.convert(&mut draft, "v1", "v2"));
    }
}
