//! TaintNodesByCondition: a new node takes no pods until it has been seen ready
//! (k8s.io/kubernetes/plugin/pkg/admission/nodetaint).

use decapod_api::{Status, Value, value};

use super::{Attributes, Operation, Plugin};
use crate::registry::Lookup;

/// The plugin.
pub struct TaintNodesByCondition;

const KEY: &str = "node.kubernetes.io/not-ready";
const EFFECT: &str = "NoSchedule";

impl Plugin for TaintNodesByCondition {
    fn name(&self) -> &'static str {
        "TaintNodesByCondition"
    }

    fn handles(&self, attributes: &Attributes) -> bool {
        let creates = attributes.operation == Operation::Create && attributes.subresource.is_empty();
        creates && attributes.is("", "nodes")
    }

    fn mutate(&self, attributes: &mut Attributes, _lookup: &dyn Lookup) -> Result<(), Status> {
        let taints = attributes.object.entry_at(&["spec", "taints"]).ensure_list();
        let same =
            |taint: &Value| taint.str_at(&["key"]) == Some(KEY) && taint.str_at(&["effect"]) == Some(EFFECT);
        if !taints.iter().any(same) {
            taints.push(value!({"key": KEY, "effect": EFFECT}));
        }
        Ok(())
    }
}
