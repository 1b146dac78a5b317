//! NodeAffinity: `nodeSelector`, and node affinity required and preferred.

use crate::columns::Slot;
use crate::event::Event;
use crate::framework::{Cycle, Filter, Narrow, Plugin, Refusal, Score, normalize};

/// pkg/scheduler/framework/plugins/nodeaffinity
pub struct NodeAffinity;

struct Selected<'c>(Cycle<'c>);

impl Plugin for NodeAffinity {
    fn name(&self) -> &'static str {
        "NodeAffinity"
    }

    fn is_local(&self) -> bool {
        true
    }

    fn narrow(&self, cycle: Cycle<'_>) -> Narrow {
        match cycle.shape().required.as_ref().and_then(|required| required.named()) {
            None => Narrow::All,
            Some(names) if names.is_empty() => Narrow::None("pod affinity terms conflict".into()),
            Some(names) => Narrow::Named(names),
        }
    }

    fn filter<'c>(&self, cycle: Cycle<'c>) -> Option<Box<dyn Filter + 'c>> {
        let shape = cycle.shape();
        let selects = !shape.node_selector.is_everything() || shape.required.is_some();
        selects.then(|| Box::new(Selected(cycle)) as _)
    }

    fn score<'c>(&self, cycle: Cycle<'c>, _: &'c [Slot]) -> Option<Box<dyn Score + 'c>> {
        (!cycle.shape().preferred.is_empty()).then(|| Box::new(Selected(cycle)) as _)
    }

    fn hint(&self, cycle: Cycle<'_>, event: &Event) -> bool {
        let selects = |node: &crate::node::NodeInfo| cycle.shape().selects_node(&node.name, &node.labels);
        match event {
            Event::NodeAdded(node) => selects(node),
            Event::NodeUpdated(old, new) => !selects(old) && selects(new),
            _ => false,
        }
    }
}

impl Filter for Selected<'_> {
    fn passes(&self, slot: Slot) -> bool {
        let node = self.0.snapshot.node(slot);
        self.0.shape().selects_node(&node.name, &node.labels)
    }

    fn refusal(&self, _: Slot) -> Refusal {
        Refusal::unresolvable("node(s) didn't match Pod's node affinity/selector")
    }
}

impl Score for Selected<'_> {
    fn score(&self, slot: Slot) -> i64 {
        let node = self.0.snapshot.node(slot);
        let selecting =
            self.0.shape().preferred.iter().filter(|(_, term)| term.matches(&node.name, &node.labels));
        selecting.map(|(weight, _)| i64::from(*weight)).sum()
    }

    fn normalize(&self, _: &[Slot], scores: &mut [i64]) {
        normalize(scores, false);
    }
}
