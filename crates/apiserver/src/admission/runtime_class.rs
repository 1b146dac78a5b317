//! RuntimeClass: a pod takes over its class's overhead and where it may run
//! (k8s.io/kubernetes/plugin/pkg/admission/runtimeclass).

use decapod_api::quantity::Quantity;
use decapod_api::{Status, Value};

use super::{Attributes, Operation, Plugin};
use crate::registry::Lookup;

/// The plugin.
pub struct RuntimeClass;

const OVERHEAD: [&str; 2] = ["spec", "overhead"];
const CLASS_OVERHEAD: [&str; 2] = ["overhead", "podFixed"];

impl Plugin for RuntimeClass {
    fn name(&self) -> &'static str {
        "RuntimeClass"
    }

    fn handles(&self, attributes: &Attributes) -> bool {
        let creates = attributes.operation == Operation::Create && attributes.subresource.is_empty();
        creates && attributes.is("", "pods")
    }

    fn mutate(&self, attributes: &mut Attributes, lookup: &dyn Lookup) -> Result<(), Status> {
        let Some(class) = class_of(attributes, lookup)? else { return Ok(()) };
        if let Some(overhead) = class.at(&CLASS_OVERHEAD) {
            let own = attributes.object.at(&OVERHEAD).filter(|own| !own.is_empty());
            if own.is_some_and(|own| !same_amounts(own, overhead)) {
                let why = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead";
                return Err(attributes.forbid(why));
            }
            attributes.object.set_at(&OVERHEAD, overhead.clone());
        }
        select_nodes(attributes, &class)?;
        for toleration in class.list_at(&["scheduling", "tolerations"]) {
            let tolerations = attributes.object.entry_at(&["spec", "tolerations"]).ensure_list();
            if !tolerations.contains(toleration) {
                tolerations.push(toleration.clone());
            }
        }
        Ok(())
    }

    fn validate(&self, attributes: &Attributes, lookup: &dyn Lookup) -> Result<(), Status> {
        let class = class_of(attributes, lookup)?;
        let wanted = class.as_ref().and_then(|class| class.at(&CLASS_OVERHEAD));
        match (attributes.object.at(&OVERHEAD).filter(|own| !own.is_null()), wanted) {
            (None, None) => Ok(()),
            (Some(own), Some(wanted)) if same_amounts(own, wanted) => Ok(()),
            (_, Some(_)) => Err(attributes
                .forbid("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead")),
            (Some(_), None) => Err(attributes.forbid(
                "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
            )),
        }
    }
}

/// The class that the pod names, if it names one.
fn class_of(attributes: &Attributes, lookup: &dyn Lookup) -> Result<Option<Value>, Status> {
    let Some(name) = attributes.object.str_at(&["spec", "runtimeClassName"]) else { return Ok(None) };
    let class = lookup.draft("node.k8s.io", "runtimeclasses", "", name);
    let missing = || attributes.forbid(&format!("pod rejected: RuntimeClass {name:?} not found"));
    class.ok_or_else(missing).map(Some)
}

/// Adds the class's node selector to the pod's; the two must not contradict.
fn select_nodes(attributes: &mut Attributes, class: &Value) -> Result<(), Status> {
    let wanted = class.at(&["scheduling", "nodeSelector"]).and_then(Value::as_map);
    for (key, value) in wanted.iter().flat_map(|map| map.iter()) {
        let path = ["spec", "nodeSelector", key.as_str()];
        match attributes.object.at(&path) {
            Some(own) if own != value => {
                let (own, value) = (own.as_str().unwrap_or_default(), value.as_str().unwrap_or_default());
                let why = format!(
                    "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; pod.spec.nodeSelector[{key}] = {own}"
                );
                return Err(attributes.forbid(&why));
            }
            _ => attributes.object.set_at(&path, value.clone()),
        }
    }
    Ok(())
}

/// Whether two lists of resources are of the same amounts.
fn same_amounts(one: &Value, other: &Value) -> bool {
    let amounts = |list: &Value| -> Vec<(String, Option<Quantity>)> {
        let entries = list.as_map().into_iter().flat_map(|map| map.iter());
        let amount = |value: &Value| value.as_str().and_then(|text| Quantity::parse(text).ok());
        let mut found: Vec<_> = entries.map(|(name, value)| (name.to_string(), amount(value))).collect();
        found.sort_by(|one, other| one.0.cmp(&other.0));
        found
    };
    amounts(one) == amounts(other)
}
