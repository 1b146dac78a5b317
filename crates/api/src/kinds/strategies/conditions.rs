//! Faults of conditions that are written as `metav1.Condition` (upstream's `ValidateConditions`).

use crate::Cause;
use crate::kinds::strategies::rules::{Causes, Place, Seen};
use crate::names;

const REASON: &str = "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or '_,:', and must end with an alphanumeric character or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used for validation is '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')";
const REASON_BYTES_MAX: usize = 1024;
const MESSAGE_BYTES_MAX: usize = 32 * 1024;

/// The conditions of a status.
pub fn check(conditions: &Place, out: &mut Causes) {
    let mut seen = Seen::default();
    for condition in conditions.items() {
        let kind = condition.field("type");
        if seen.again(kind.text()) {
            out.push(kind.duplicate());
        }
        kind.check(names::qualified_name, out);
        condition.field("status").one_of(&["False", "True", "Unknown"], out);
        let observed = condition.field("observedGeneration");
        if observed.int() < 0 {
            out.push(observed.invalid("must be greater than or equal to zero"));
        }
        condition.field("lastTransitionTime").need(out);
        let reason = condition.field("reason");
        reason.need_checked(reason_form, out);
        for (text, max) in [(&reason, REASON_BYTES_MAX), (&condition.field("message"), MESSAGE_BYTES_MAX)] {
            if text.text().len() > max {
                out.push(Cause::too_long(text.path(), max));
            }
        }
    }
}

fn reason_form(reason: &str) -> Vec<String> {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let bytes = reason.as_bytes();
    let is_good = bytes.first().is_some_and(u8::is_ascii_alphabetic)
        && bytes.last().is_some_and(|b| word(*b))
        && bytes.iter().all(|b| word(*b) || matches!(b, b',' | b':'));
    if is_good { vec![] } else { vec![REASON.into()] }
}
