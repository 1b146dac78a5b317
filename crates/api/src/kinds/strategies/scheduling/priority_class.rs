//! PriorityClass: how important pods are.

use crate::Cause;
use crate::kinds::strategies::fill::fill;
use crate::kinds::strategies::rules::Place;
use crate::kinds::strategy::{Strategy, Verb};
use crate::value::Value;

/// PriorityClass: how important pods are.
pub struct PriorityClass;

impl Strategy for PriorityClass {
    fn default(&self, draft: &mut Value) {
        fill(draft, "preemptionPolicy", "PreemptLowerPriority");
    }

    fn check_delete(&self, class: &Value) -> Result<(), String> {
        let name = class.str_at(&["metadata", "name"]).unwrap_or_default();
        match KNOWN.iter().any(|(known, _)| *known == name) {
            true => Err("this is a system priority class and cannot be deleted".to_owned()),
            false => Ok(()),
        }
    }

    fn validate(&self, new: &Value, old: Option<&Value>, _verb: Verb) -> Vec<Cause> {
        let (class, mut out) = (Place::root(new), Vec::new());
        if let Some(old) = old {
            if class.field("value").int() != old.int_at(&["value"]).unwrap_or(0) {
                out.push(class.field("value").forbidden("may not be changed in an update."));
            }
            class.field("preemptionPolicy").immutable(old.get("preemptionPolicy"), &mut out);
            return out;
        }
        let metadata = class.field("metadata");
        let name = metadata.field("name");
        let value = class.field("value").int();
        if name.text().starts_with(SYSTEM) {
            if let Err(why) = known(name.text(), value, class.field("globalDefault").is_true()) {
                let detail = format!(
                    "priority class names with '{SYSTEM}' prefix are reserved for system use only. error: {why}"
                );
                out.push(name.forbidden(&detail));
            }
        } else if value > USER_MAX {
            let detail = format!("maximum allowed value of a user defined priority is {USER_MAX}");
            out.push(class.field("value").forbidden(&detail));
        }
        class.field("preemptionPolicy").one_of_if_set(&["PreemptLowerPriority", "Never"], &mut out);
        out
    }
}

/// The prefix of the classes that are there from the start, and their values.
const SYSTEM: &str = "system-";
const KNOWN: [(&str, i64); 2] =
    [("system-node-critical", 2_000_001_000), ("system-cluster-critical", 2_000_000_000)];
/// The highest value of any other class.
const USER_MAX: i64 = 1_000_000_000;

fn known(name: &str, value: i64, is_default: bool) -> Result<(), String> {
    match KNOWN.iter().find(|(known, _)| *known == name) {
        None => Err(format!("{name} is not a known system priority class")),
        Some((_, known)) if *known != value => Err(format!("value of {name} PriorityClass must be {known}")),
        Some(_) if is_default => Err(format!("globalDefault of {name} PriorityClass must be false")),
        Some(_) => Ok(()),
    }
}
