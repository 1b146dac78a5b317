//! Tells nodes for how long kubelets may believe what they have read of Secrets and ConfigMaps: the longer, the more
//! nodes there are (k8s.io/kubernetes/pkg/controller/ttl).

use decapod_client::{Informer, ObjectKey};
use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;
use serde_json::json;

use crate::Wiring;
use crate::objects::meta::meta_of;
use crate::runtime::{Action, Live, Plan, Reconcile, Write};

const ANNOTATION: &str = "node.alpha.kubernetes.io/ttl";
/// From and up to how many nodes, and how many seconds. They overlap, so that a node more or less does not change all.
const STEPS: [(usize, usize, u32); 5] =
    [(0, 100, 0), (90, 500, 15), (450, 1000, 30), (900, 2000, 60), (1800, usize::MAX, 300)];

struct Controller {
    nodes: Informer<core::Node>,
}

/// A node's present time, and how many nodes there are.
#[derive(Clone, Debug)]
pub struct State {
    seconds: Option<u32>,
    nodes: usize,
}

/// Starts the controller.
pub fn start(wiring: &Wiring) {
    let nodes = wiring.informers.of::<core::Node>();
    wiring
        .controller(Controller { nodes: nodes.clone() })
        .watch(nodes.untyped(), |change| change.new.iter().map(|_| change.key.clone()).collect())
        .start();
}

impl Reconcile for Controller {
    type Key = ObjectKey;
    type State = State;

    fn name(&self) -> &'static str {
        "ttl-controller"
    }

    fn gather(&self, key: &ObjectKey) -> Option<State> {
        let meta = meta_of(&self.nodes.object("", &key.name)?);
        let seconds = meta.annotations.get(ANNOTATION).and_then(|text| text.parse().ok());
        Some(State { seconds, nodes: self.nodes.untyped().len() })
    }

    fn reconcile(&self, key: &ObjectKey, state: &State, _: &Live, _: Timestamp) -> Plan {
        let seconds = seconds(state.seconds, state.nodes);
        if state.seconds == Some(seconds) {
            return Plan::nothing();
        }
        let patch = json!({"metadata": {"annotations": {ANNOTATION: seconds.to_string()}}});
        let patch = Write::patch::<core::Node>("", &key.name, "", &patch);
        Plan::of(vec![Action::from(patch.tolerating(&["NotFound"]))])
    }
}

/// How many seconds it should be with so many nodes, where it has been `before`.
fn seconds(before: Option<u32>, nodes: usize) -> u32 {
    let at = STEPS.iter().position(|(.., seconds)| Some(*seconds) == before).unwrap_or_default();
    let (least, most, seconds) = STEPS[at];
    if (least..=most).contains(&nodes) {
        return seconds;
    }
    let up = STEPS.iter().find(|(_, most, _)| nodes <= *most);
    let down = STEPS.iter().rev().find(|(least, ..)| nodes >= *least);
    let step = if nodes > most { up } else { down };
    step.map_or(seconds, |(.., seconds)| *seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::cluster::Cluster;
    use decapod_client::Kind;

    #[test]
    fn more_nodes_mean_more_seconds() {
        let table = [
            (None, 1, 0),
            (None, 95, 0),
            (Some(15), 95, 15),
            (Some(15), 89, 0),
            (Some(0), 101, 15),
            (Some(0), 5000, 300),
            (Some(300), 1799, 60),
            (Some(60), 3, 0),
            (Some(7), 3, 0),
        ];
        for (before, nodes, expected) in table {
            assert_eq!(seconds(before, nodes), expected, "{before:?} {nodes}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nodes_are_told_once() {
        let cluster = Cluster::new();
        cluster.server.put(&core::Node::resource(), json!({"metadata": {"name": "n"}}));
        cluster.start(start);
        cluster.settle().await;
        assert_eq!(cluster.get::<core::Node>("", "n")["metadata"]["annotations"][ANNOTATION], "0");
        assert_eq!(cluster.server.writes().len(), 1);
        cluster.env.shutdown().await;
    }
}
