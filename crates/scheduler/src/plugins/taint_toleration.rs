//! TaintToleration: taints keep pods away that do not tolerate them; `PreferNoSchedule` ones cost score.

use crate::columns::Slot;
use crate::event::Event;
use crate::framework::{Cycle, Filter, Plugin, Refusal, Score, normalize};

/// pkg/scheduler/framework/plugins/tainttoleration
pub struct TaintToleration;

struct Taints<'c>(Cycle<'c>);

impl Plugin for TaintToleration {
    fn name(&self) -> &'static str {
        "TaintToleration"
    }

    fn is_local(&self) -> bool {
        true
    }

    fn filter<'c>(&self, cycle: Cycle<'c>) -> Option<Box<dyn Filter + 'c>> {
        Some(Box::new(Taints(cycle)))
    }

    fn score<'c>(&self, cycle: Cycle<'c>, _: &'c [Slot]) -> Option<Box<dyn Score + 'c>> {
        Some(Box::new(Taints(cycle)))
    }

    fn hint(&self, cycle: Cycle<'_>, event: &Event) -> bool {
        let tolerates = |node: &crate::node::NodeInfo| cycle.shape().tolerates_all(&node.taints);
        match event {
            Event::NodeAdded(node) => tolerates(node),
            Event::NodeUpdated(old, new) => !tolerates(old) && tolerates(new),
            Event::SelfUpdated(old, new) => old.shape.tolerations.len() != new.shape.tolerations.len(),
            _ => false,
        }
    }
}

impl Filter for Taints<'_> {
    fn passes(&self, slot: Slot) -> bool {
        self.0.shape().tolerates_all(&self.0.snapshot.node(slot).taints)
    }

    fn refusal(&self, _: Slot) -> Refusal {
        Refusal::unresolvable("node(s) had untolerated taint(s)")
    }
}

impl Score for Taints<'_> {
    fn score(&self, slot: Slot) -> i64 {
        let soft =
            self.0.snapshot.node(slot).taints.iter().filter(|taint| taint.effect == "PreferNoSchedule");
        soft.filter(|taint| !self.0.shape().tolerates(taint)).count() as i64
    }

    fn normalize(&self, _: &[Slot], scores: &mut [i64]) {
        normalize(scores, true);
    }
}
