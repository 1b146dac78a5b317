//! PriorityLevelConfiguration: how much of the server a level gets.

use crate::kinds::strategies::fill::{fill, fill_zero, part, restore_metadata, with};
use crate::kinds::strategy::{Strategy, Verb};
use crate::names;
use crate::value::Value;

/// PriorityLevelConfiguration: how much of the server a level gets.
pub struct PriorityLevelConfiguration;

impl Strategy for PriorityLevelConfiguration {
    fn default(&self, draft: &mut Value) {
        let spec = part(draft, "spec");
        with(spec, "limited", |limited| {
            fill(limited, "nominalConcurrencyShares", 30);
            fill(limited, "lendablePercent", 0);
            with(part(limited, "limitResponse"), "queuing", |queuing| {
                for (field, default) in [("handSize", 8), ("queues", 64), ("queueLengthLimit", 50)] {
                    fill_zero(queuing, field, default);
                }
            });
        });
        with(spec, "exempt", |exempt| {
            fill(exempt, "nominalConcurrencyShares", 0);
            fill(exempt, "lendablePercent", 0);
        });
    }

    fn prepare(&self, new: &mut Value, old: Option<&Value>, verb: Verb) {
        if let (Verb::UpdateSubresource("status"), Some(old)) = (verb, old) {
            restore_metadata(new, old);
        }
    }

    fn check_name(&self, name: &str) -> Vec<String> {
        names::path_segment(name)
    }
}
