//! Faults of what a custom kind is called (upstream's `ValidateCustomResourceDefinitionNames`).

use crate::kinds::strategies::rules::{Causes, Place};
use crate::names;

/// The names that a definition asks for, or that it got.
pub fn check(wanted: &Place, out: &mut Causes) {
    wanted.field("plural").check_if_set(label, out);
    wanted.field("singular").check_if_set(label, out);
    wanted.field("kind").check_if_set(kind, out);
    wanted.field("listKind").check_if_set(kind, out);
    wanted.field("shortNames").items().for_each(|name| name.check(label, out));
    let list_kind = wanted.field("listKind");
    if !list_kind.text().is_empty() && list_kind.text() == wanted.field("kind").text() {
        out.push(list_kind.invalid("kind and listKind may not be the same"));
    }
    wanted.field("categories").items().for_each(|name| name.check(label, out));
}

/// A DNS label, all of whose faults are one.
pub fn label(name: &str) -> Vec<String> {
    let reasons = names::label_1035(name);
    if reasons.is_empty() { vec![] } else { vec![reasons.join(",")] }
}

fn kind(name: &str) -> Vec<String> {
    let reasons = label(&name.to_lowercase());
    reasons.into_iter().map(|why| format!("may have mixed case, but should otherwise match: {why}")).collect()
}
