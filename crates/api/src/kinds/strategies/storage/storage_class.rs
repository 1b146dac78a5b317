//! StorageClass: how volumes are made.

use crate::Cause;
use crate::kinds::strategies::fill::fill;
use crate::kinds::strategies::rules::{Causes, Place, Seen};
use crate::kinds::strategy::{Strategy, Verb};
use crate::names;
use crate::value::Value;

/// StorageClass: how volumes are made.
pub struct StorageClass;

impl Strategy for StorageClass {
    fn default(&self, draft: &mut Value) {
        fill(draft, "reclaimPolicy", "Delete");
        fill(draft, "volumeBindingMode", "Immediate");
    }

    fn returns_deleted(&self) -> bool {
        true
    }

    fn validate(&self, new: &Value, old: Option<&Value>, _verb: Verb) -> Vec<Cause> {
        let (class, mut out) = (Place::root(new), Vec::new());
        let provisioner = class.field("provisioner");
        if provisioner.need(&mut out) {
            let lower = provisioner.text().to_lowercase();
            out.extend(
                names::qualified_name(&lower).iter().map(|why| provisioner.invalid_as(lower.as_str(), why)),
            );
        }
        parameters(&class.field("parameters"), &mut out);
        class.field("reclaimPolicy").one_of_if_set(&["Delete", "Retain"], &mut out);
        class.field("volumeBindingMode").one_of(&["Immediate", "WaitForFirstConsumer"], &mut out);
        let topologies = class.field("allowedTopologies");
        for (i, term) in topologies.items().enumerate() {
            topology(&term, &mut out);
            let terms = &topologies.list()[..i];
            // Upstream compares with as many empty terms as there are terms, too.
            let is_empty = term.field("matchLabelExpressions").list().is_empty();
            if is_empty || terms.iter().any(|before| is_same(before, term.value)) {
                out.push(Cause::duplicate(term.field("matchLabelExpressions").path(), ""));
            }
        }
        if let Some(old) = old {
            for field in ["parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"] {
                class.field(field).immutable(old.get(field), &mut out);
            }
        }
        out
    }
}

const PARAMETERS_MAX: usize = 512;
const PARAMETERS_BYTES_MAX: usize = 256 * 1024;

/// What a driver is told of a volume.
pub(super) fn parameters(parameters: &Place, out: &mut Causes) {
    let entries = parameters.value.as_map().map_or(0, |map| map.len());
    if entries > PARAMETERS_MAX {
        return out.push(Cause::too_long(parameters.path(), PARAMETERS_MAX));
    }
    let mut bytes = 0;
    for (key, value) in parameters.entries() {
        if key.is_empty() {
            out.push(parameters.invalid_as(key, "field can not be empty."));
        }
        bytes += key.len() + value.text().len();
    }
    if bytes > PARAMETERS_BYTES_MAX {
        out.push(Cause::too_long(parameters.path(), PARAMETERS_BYTES_MAX));
    }
}

/// Whether both terms are met by the same labels.
fn is_same(a: &Value, b: &Value) -> bool {
    let sorted = |term: &Value| {
        let pair = |expression: &Value| {
            let mut values: Vec<String> = expression.list_at(&["values"]).iter().map(text).collect();
            values.sort();
            values.dedup();
            (expression.get("key").map(text), values)
        };
        let mut pairs: Vec<_> = term.list_at(&["matchLabelExpressions"]).iter().map(pair).collect();
        pairs.sort();
        pairs
    };
    sorted(a) == sorted(b)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn topology(term: &Place, out: &mut Causes) {
    let expressions = term.field("matchLabelExpressions");
    let mut keys: Vec<&str> = Vec::new();
    for expression in expressions.items() {
        let (key, values) = (expression.field("key"), expression.field("values"));
        if values.list().is_empty() {
            out.push(values.required(""));
        }
        let mut seen = Seen::default();
        for value in values.items() {
            if seen.again(value.text()) {
                out.push(value.duplicate());
            }
        }
        key.check(names::qualified_name, out);
        if keys.contains(&key.text()) {
            out.push(key.duplicate());
        }
        keys.push(expression.value.str_at(&["key"]).unwrap_or_default());
    }
}
