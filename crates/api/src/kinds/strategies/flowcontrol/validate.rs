//! Faults that both kinds can have (k8s.io/kubernetes/pkg/apis/flowcontrol/validation).

use crate::kinds::strategies::rules::{Causes, Place, Seen};

/// The conditions of a status.
pub fn conditions(object: &Place, out: &mut Causes) {
    let status = object.field("status");
    let mut seen = Seen::default();
    for condition in status.field("conditions").items() {
        let kind = condition.value.str_at(&["type"]).unwrap_or_default();
        if seen.again(kind) {
            out.push(condition.field("type").duplicate());
        }
        condition.field("type").need(out);
    }
}
