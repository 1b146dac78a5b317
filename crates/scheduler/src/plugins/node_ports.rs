//! NodePorts: a port of a node goes to one pod.

use crate::columns::Slot;
use crate::event::Event;
use crate::framework::{Cycle, Filter, Plugin, Refusal};

/// pkg/scheduler/framework/plugins/nodeports
pub struct NodePorts;

struct Ports<'c>(Cycle<'c>);

impl Plugin for NodePorts {
    fn name(&self) -> &'static str {
        "NodePorts"
    }

    fn is_local(&self) -> bool {
        true
    }

    fn filter<'c>(&self, cycle: Cycle<'c>) -> Option<Box<dyn Filter + 'c>> {
        (!cycle.shape().ports.is_empty()).then(|| Box::new(Ports(cycle)) as _)
    }

    fn hint(&self, cycle: Cycle<'_>, event: &Event) -> bool {
        let frees = |given: &[crate::pod::HostPort]| {
            cycle.shape().ports.iter().any(|port| given.iter().any(|given| given.conflicts(port)))
        };
        match event {
            Event::NodeAdded(_) => true,
            Event::PodDeleted(pod) => frees(&pod.shape.ports),
            _ => false,
        }
    }
}

impl Filter for Ports<'_> {
    fn passes(&self, slot: Slot) -> bool {
        let used = &self.0.snapshot.columns().ports[slot as usize];
        !self.0.shape().ports.iter().any(|port| used.iter().any(|used| used.conflicts(port)))
    }

    fn refusal(&self, _: Slot) -> Refusal {
        Refusal::resolvable("node(s) didn't have free ports for the requested pod ports")
    }
}
