//! LimitRange: what the containers, pods and claims of a namespace may ask for.

use crate::kinds::strategies::fill::{complete, each, part, round};
use crate::kinds::strategy::{Strategy, Verb};
use crate::value::Value;

/// LimitRange: what the containers, pods and claims of a namespace may ask for.
pub struct LimitRange;

impl Strategy for LimitRange {
    fn default(&self, draft: &mut Value) {
        each(part(draft, "spec"), "limits", |item| {
            if item.str_at(&["type"]) == Some("Container") {
                complete(item, "default", "max");
                complete(item, "defaultRequest", "default");
                complete(item, "defaultRequest", "min");
            }
            for list in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
                round(item, list);
            }
        });
    }

    /// A range without a name gets the same random one that its UID is.
    fn prepare(&self, new: &mut Value, _old: Option<&Value>, _verb: Verb) {
        let named = new.str_at(&["metadata", "name"]).is_some_and(|name| !name.is_empty());
        if let (false, Some(uid)) = (named, new.at(&["metadata", "uid"]).cloned()) {
            new.set_at(&["metadata", "name"], uid);
        }
    }

    fn allow_create_on_update(&self) -> bool {
        true
    }
}
