//! Whether a node is given its ranges.

use k8s_openapi::api::core::v1 as core;
use serde_json::json;

use super::Cidr;
use crate::objects::Node;
use crate::runtime::{Note, Plan, Write};

/// What is known of a node.
#[derive(Clone, Debug)]
pub struct State {
    /// Itself.
    pub node: Node,
    /// The ranges that are set aside for it, one of each family; `None` if there is none left.
    pub offered: Option<Vec<Cidr>>,
}

pub(super) fn reconcile(state: &State) -> Plan {
    let mut plan = Plan::nothing();
    let node = &state.node;
    if !node.spec.pod_cidrs.is_empty() || node.metadata.is_deleting() {
        return plan;
    }
    let name = &node.metadata.name;
    let changed = |status: &str| format!("Node {name} status is now: {status}");
    let Some(offered) = &state.offered else {
        plan.note(Note::normal(node.reference(), "CIDRNotAvailable", changed("CIDRNotAvailable")));
        plan.again_after(std::time::Duration::from_secs(60));
        return plan;
    };
    let ranges: Vec<String> = offered.iter().map(Cidr::to_string).collect();
    let patch = json!({"spec": {"podCIDR": ranges.first(), "podCIDRs": ranges}});
    let failed = Note::normal(node.reference(), "CIDRAssignmentFailed", changed("CIDRAssignmentFailed"));
    plan.write(Write::patch::<core::Node>("", name, "", &patch).or_saying(failed).tolerating(&["NotFound"]));
    plan
}
