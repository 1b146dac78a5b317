//! Gives every node its ranges of pod addresses (k8s.io/kubernetes/pkg/controller/nodeipam).
//!
//! Which ranges are taken is kept from the nodes as they come and go, so that thousands of nodes cost no search each.

mod ranges;
mod reconcile;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use decapod_client::{Change, Informer, ObjectKey};
use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;

use crate::Wiring;
use crate::objects::Node;
use crate::objects::meta::view;
use crate::runtime::{Live, Plan, Reconcile};

pub use ranges::{Cidr, Ranges};
pub use reconcile::State;

#[derive(Clone)]
struct Controller {
    nodes: Informer<core::Node>,
    taken: Arc<Mutex<Taken>>,
}

struct Taken {
    ranges: Ranges,
    /// Whether the nodes that were there at the start are all accounted for.
    is_seeded: bool,
}

/// Starts the controller, which hands out parts of `ranges`.
pub fn start(wiring: &Wiring, ranges: Ranges) {
    let nodes = wiring.informers.of::<core::Node>();
    let taken = Arc::new(Mutex::new(Taken { ranges, is_seeded: false }));
    let controller = Controller { nodes: nodes.clone(), taken };
    let noting = controller.clone();
    wiring
        .controller(controller)
        .watch(nodes.untyped(), move |change| noting.note(change))
        // One at a time: two nodes must not be given the same range.
        .workers(1)
        .start();
}

impl Controller {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps account of a node's ranges; a node without any is looked at.
    fn note(&self, change: &Change) -> Vec<ObjectKey> {
        let mut taken = self.taken();
        match change.new.as_ref().and_then(view::<Node>) {
            None => taken.ranges.release(&change.key.name),
            Some(node) if node.spec.pod_cidrs.is_empty() => return vec![change.key.clone()],
            Some(node) => taken.ranges.occupy(&change.key.name, &node.spec.pod_cidrs),
        }
        Vec::new()
    }
}

impl Reconcile for Controller {
    type Key = ObjectKey;
    type State = State;

    fn name(&self) -> &'static str {
        "node-controller"
    }

    fn component(&self) -> &'static str {
        "cidrAllocator"
    }

    fn gather(&self, key: &ObjectKey) -> Option<State> {
        let node: Node = view(&self.nodes.object("", &key.name)?)?;
        let mut taken = self.taken();
        if !taken.is_seeded {
            taken.is_seeded = true;
            for node in self.nodes.objects().iter().filter_map(view::<Node>) {
                taken.ranges.occupy(&node.metadata.name, &node.spec.pod_cidrs);
            }
        }
        let offered = node.spec.pod_cidrs.is_empty().then(|| taken.ranges.reserve(&key.name));
        Some(State { node, offered: offered.flatten() })
    }

    fn reconcile(&self, _: &ObjectKey, state: &State, _: &Live, _: Timestamp) -> Plan {
        reconcile::reconcile(state)
    }
}
