//! ControllerRevision: what a workload once was.

use crate::Cause;
use crate::kinds::strategies::rules::{Place, before};
use crate::kinds::strategy::{Strategy, Verb};
use crate::value::Value;

/// ControllerRevision: what a workload once was.
pub struct ControllerRevision;

impl Strategy for ControllerRevision {
    fn validate(&self, new: &Value, old: Option<&Value>, _verb: Verb) -> Vec<Cause> {
        let (revision, mut out) = (Place::root(new), Vec::new());
        revision.field("revision").non_negative(&mut out);
        let data = revision.field("data");
        match (old, data.value) {
            (Some(_), _) => data.immutable(before(old, &["data"]), &mut out),
            (None, Value::Null) => out.push(data.required("data is mandatory")),
            (None, Value::Map(_)) => {}
            (None, _) => out.push(data.required("data must be a valid JSON object")),
        }
        out
    }
}
