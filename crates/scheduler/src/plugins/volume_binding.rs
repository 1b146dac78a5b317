//! VolumeBinding: claims that exist, volumes that the node reaches, and volumes for claims that wait for a node.

use crate::columns::Slot;
use crate::event::Event;
use crate::framework::{Cycle, Filter, Narrow, Plugin, Refusal};
use crate::storage::PodClaims;

/// pkg/scheduler/framework/plugins/volumebinding
pub struct VolumeBinding;

struct Reachable<'c>(Cycle<'c>, PodClaims<'c>);

impl Plugin for VolumeBinding {
    fn name(&self) -> &'static str {
        "VolumeBinding"
    }

    fn narrow(&self, cycle: Cycle<'_>) -> Narrow {
        match cycle.snapshot.storage().claims_of(cycle.pod) {
            Ok(_) => Narrow::All,
            Err(why) => Narrow::None(why.into()),
        }
    }

    fn filter<'c>(&self, cycle: Cycle<'c>) -> Option<Box<dyn Filter + 'c>> {
        if cycle.pod.claims.is_empty() {
            return None;
        }
        // Those that can go nowhere have been sorted out before.
        let claims = cycle.snapshot.storage().claims_of(cycle.pod).ok()?;
        Some(Box::new(Reachable(cycle, claims)))
    }

    fn hint(&self, cycle: Cycle<'_>, event: &Event) -> bool {
        match event {
            Event::ClaimChanged((namespace, name)) => {
                *namespace == cycle.pod.namespace && cycle.pod.claims.iter().any(|claim| claim.name == *name)
            }
            Event::VolumeChanged | Event::ClassChanged | Event::NodeAdded(_) => true,
            Event::NodeUpdated(old, new) => old.labels != new.labels,
            _ => false,
        }
    }
}

impl Filter for Reachable<'_> {
    fn passes(&self, slot: Slot) -> bool {
        self.1.plan(self.0.snapshot.node(slot)).is_ok()
    }

    fn refusal(&self, slot: Slot) -> Refusal {
        let reasons = self.1.plan(self.0.snapshot.node(slot)).err().unwrap_or_default();
        Refusal { reasons, unresolvable: true }
    }
}
