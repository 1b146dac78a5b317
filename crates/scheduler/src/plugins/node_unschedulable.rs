//! NodeUnschedulable: cordoned nodes take only pods that tolerate it.

use crate::columns::Slot;
use crate::event::Event;
use crate::framework::{Cycle, Filter, Plugin, Refusal};
use crate::pod::{Shape, Taint};
use crate::snapshot::Snapshot;

/// pkg/scheduler/framework/plugins/nodeunschedulable
pub struct NodeUnschedulable;

struct Cordons<'c> {
    snapshot: &'c Snapshot,
}

fn tolerates_cordon(shape: &Shape) -> bool {
    let cordon = Taint {
        key: "node.kubernetes.io/unschedulable".into(),
        value: Default::default(),
        effect: "NoSchedule".into(),
    };
    shape.tolerates(&cordon)
}

impl Plugin for NodeUnschedulable {
    fn name(&self) -> &'static str {
        "NodeUnschedulable"
    }

    fn is_local(&self) -> bool {
        true
    }

    fn filter<'c>(&self, cycle: Cycle<'c>) -> Option<Box<dyn Filter + 'c>> {
        (!tolerates_cordon(cycle.shape())).then(|| Box::new(Cordons { snapshot: cycle.snapshot }) as _)
    }

    fn hint(&self, _: Cycle<'_>, event: &Event) -> bool {
        match event {
            Event::NodeAdded(node) => !node.unschedulable,
            Event::NodeUpdated(old, new) => old.unschedulable && !new.unschedulable,
            Event::SelfUpdated(old, new) => {
                old.shape.tolerations.len() != new.shape.tolerations.len() && tolerates_cordon(&new.shape)
            }
            _ => false,
        }
    }
}

impl Filter for Cordons<'_> {
    fn passes(&self, slot: Slot) -> bool {
        !self.snapshot.node(slot).unschedulable
    }

    fn refusal(&self, _: Slot) -> Refusal {
        Refusal::unresolvable("node(s) were unschedulable")
    }
}
