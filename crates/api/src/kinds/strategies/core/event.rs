//! Event: what happened; one kind in two groups, kept as `v1` (k8s.io/kubernetes/pkg/apis/events/v1, conversion.go).

use crate::Cause;
use crate::kinds::strategies::rules::{Causes, Place};
use crate::kinds::strategy::{Strategy, Verb};
use crate::names;
use crate::value::{Str, Value};

/// Event: what happened, in either of its groups.
pub struct Event {
    /// Whether it came by `events.k8s.io`, which minds more.
    pub strict: bool,
}

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

    fn selectable_paths(&self, label: &str) -> Vec<Str> {
        match label {
            "source" => vec!["source.component".into(), REPORTER.0.into()],
            label if label == REPORTER.1 => vec![REPORTER.0.into()],
            label => vec![label.replacen("regarding.", "involvedObject.", 1).into()],
        }
    }

    fn validate(&self, new: &Value, old: Option<&Value>, _verb: Verb) -> Vec<Cause> {
        let (event, mut out) = (Place::root(new), Vec::new());
        let metadata = event.field("metadata");
        let (namespace, involved) = (metadata.field("namespace"), event.field("involvedObject"));
        let of_involved = involved.field("namespace");
        let is_new_style = event.field("eventTime").is_set();
        let matches = match (of_involved.text(), is_new_style) {
            ("", false) => matches!(namespace.text(), "" | "default"),
            ("", true) => matches!(namespace.text(), "default" | "kube-system"),
            (involved, false) => involved == namespace.text(),
            (_, true) => true,
        };
        if !matches {
            out.push(of_involved.invalid_as(of_involved.text(), "does not match event.namespace"));
        }
        if is_new_style {
            let mut reporter =
                event.field(if self.strict { "reportingController" } else { "reportingComponent" });
            reporter.value = event.field("reportingComponent").value;
            reporter.need(&mut out);
            reporter.check(names::qualified_name, &mut out);
            for (field, max) in [("reportingInstance", 128), ("action", 128), ("reason", 128)] {
                event.field(field).need(&mut out);
                at_most(&event.field(field), max, &mut out);
            }
            at_most(&event.field("message"), 1024, &mut out);
        }
        if self.strict {
            match old {
                None => strict(&event, &mut out),
                Some(old) => {
                    FIXED.iter().for_each(|field| event.field(field).immutable(old.get(field), &mut out))
                }
            }
        }
        out
    }
}

fn rename(draft: &mut Value, from: &str, to: &str) {
    if let Some(value) = draft.remove_at(&[from]) {
        draft.set_at(&[to], value);
    }
}

/// What no update changes.
const FIXED: [&str; 12] = [
    "involvedObject",
    "reason",
    "message",
    "source",
    "firstTimestamp",
    "lastTimestamp",
    "count",
    "type",
    "eventTime",
    "action",
    "related",
    "reportingInstance",
];

fn at_most(place: &Place, bytes: usize, out: &mut Causes) {
    if place.text().len() > bytes {
        out.push(place.invalid_as("", &format!("can have at most {bytes} characters")));
    }
}

/// What only the newer group minds: the fields of the older one have to be left out.
fn strict(event: &Place, out: &mut Causes) {
    if !event.field("eventTime").is_set() {
        out.push(event.field("eventTime").required(""));
    }
    let kind = event.field("type");
    if !matches!(kind.text(), "Normal" | "Warning") {
        out.push(kind.invalid_as("", &format!("has invalid value: {}", kind.text())));
    }
    for field in ["firstTimestamp", "lastTimestamp", "count", "source"] {
        if !event.field(field).is_empty() {
            out.push(event.field(field).invalid_as("", "needs to be unset"));
        }
    }
    let series = event.field("series");
    if series.is_set() {
        if series.field("count").int() < 2 {
            out.push(series.field("count").invalid_as("", "should be at least 2"));
        }
        if !series.field("lastObservedTime").is_set() {
            out.push(series.field("lastObservedTime").required(""));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value;

    #[test]
    fn events_are_selected_by_whoever_reports_them() {
        let by = |selector: &str, body: &str| {
            let object = crate::Object::new(bytes::Bytes::copy_from_slice(body.as_bytes()), 1);
            let selector = crate::selector::FieldSelector::parse(selector).expect(selector);
            selector.located(|label| Event { strict: false }.selectable_paths(label)).matches(&object)
        };
        let older = r#"{"metadata":{},"involvedObject":{"name":"a"},"source":{"component":"k"},"reportingComponent":"r"}"#;
        let newer = r#"{"metadata":{},"involvedObject":{"name":"a"},"source":{},"reportingComponent":"r"}"#;
        for (selector, wanted) in [
            ("source=k", [true, false]),
            ("source=r", [false, true]),
            ("source!=r", [true, false]),
            ("reportingController=r", [true, true]),
            ("reportingComponent=r,involvedObject.name=a", [true, true]),
            ("regarding.name=a", [true, true]),
            ("regarding.name=b", [false, false]),
        ] {
            assert_eq!([by(selector, older), by(selector, newer)], wanted, "{selector}");
        }
    }

    #[test]
    fn events_are_the_same_in_both_groups() {
        let core = value!({"involvedObject": {"name": "a"}, "message": "m", "count": 2, "reportingComponent": "c",
            "reason": "r", "source": {"component": "k"}});
        let mut draft = core.clone();
        assert!(Event { strict: false }.convert(&mut draft, "v1", "events.k8s.io/v1"));
        assert_eq!(
            draft,
            value!({"regarding": {"name": "a"}, "note": "m", "deprecatedCount": 2, "reason": "r",
            "reportingController": "c", "deprecatedSource": {"component": "k"}})
        );
        assert!(Event { strict: false }.convert(&mut draft, "events.k8s.io/v1", "v1"));
        assert_eq!(draft, core);
        assert!(!Event { strict: false }.convert(&mut draft, "v1", "v2"));
    }
}
