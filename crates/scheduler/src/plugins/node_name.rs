//! NodeName: a pod that names its node goes nowhere else.

use crate::columns::Slot;
use crate::event::Event;
use crate::framework::{Cycle, Filter, Plugin, Refusal};

/// pkg/scheduler/framework/plugins/nodename
pub struct NodeName;

struct Named<'c>(Cycle<'c>);

impl Plugin for NodeName {
    fn name(&self) -> &'static str {
        "NodeName"
    }

    fn filter<'c>(&self, cycle: Cycle<'c>) -> Option<Box<dyn Filter + 'c>> {
        (!cycle.pod.node.is_empty()).then(|| Box::new(Named(cycle)) as _)
    }

    fn hint(&self, _: Cycle<'_>, event: &Event) -> bool {
        matches!(event, Event::NodeAdded(_))
    }
}

impl Filter for Named<'_> {
    fn passes(&self, slot: Slot) -> bool {
        self.0.snapshot.node(slot).name == self.0.pod.node
    }

    fn refusal(&self, _: Slot) -> Refusal {
        Refusal::unresolvable("node(s) didn't match the requested node name")
    }
}
