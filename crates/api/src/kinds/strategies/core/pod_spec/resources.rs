//! What a pod's containers ask for together (k8s.io/component-helpers/resource).

use crate::kinds::strategies::fill::{has, parse_quantity};
use crate::quantity::Quantity;
use crate::value::{Str, Value};

/// Amounts by resource name, sorted.
type Amounts = Vec<(Str, Quantity)>;

/// The sum of the containers' `field`, which is `requests` or `limits`: all that run at once, or the largest moment of
/// the init phase (upstream's `AggregateContainerRequests`).
pub fn aggregate(spec: &Value, field: &str) -> Amounts {
    let of = |container: &Value| -> Amounts {
        let amounts = container.at(&["resources", field]).and_then(Value::as_map);
        amounts
            .iter()
            .flat_map(|map| map.iter())
            .map(|(name, value)| (name.clone(), parse_quantity(value)))
            .collect()
    };
    let mut total = Amounts::new();
    for container in spec.list_at(&["containers"]) {
        merge(&mut total, of(container), Quantity::plus);
    }
    let (mut sidecars, mut peak) = (Amounts::new(), Amounts::new());
    for container in spec.list_at(&["initContainers"]) {
        let amounts = of(container);
        if container.str_at(&["restartPolicy"]) == Some("Always") {
            merge(&mut total, amounts.clone(), Quantity::plus);
            merge(&mut sidecars, amounts, Quantity::plus);
            merge(&mut peak, sidecars.clone(), Quantity::max);
        } else {
            let mut moment = amounts;
            merge(&mut moment, sidecars.clone(), Quantity::plus);
            merge(&mut peak, moment, Quantity::max);
        }
    }
    merge(&mut total, peak, Quantity::max);
    total
}

fn merge(into: &mut Amounts, more: Amounts, join: impl Fn(Quantity, Quantity) -> Quantity) {
    for (name, amount) in more {
        match into.binary_search_by(|(known, _)| known.cmp(&name)) {
            Ok(at) => into[at].1 = join(into[at].1, amount),
            Err(at) => into.insert(at, (name, amount)),
        }
    }
}

/// Whether a pod as a whole may ask for this resource.
pub fn is_pod_level(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || name.starts_with("hugepages-")
}

/// Completes the resources of the pod as a whole from those of its containers and from its limits (KEP-2837).
pub fn default_pod_level(spec: &mut Value) {
    let is_set = |field: &str| spec.at(&["resources", field]).is_some_and(|list| !list.is_empty());
    if !has(spec, "resources") || !(is_set("limits") || is_set("requests")) {
        return;
    }
    for (name, amount) in aggregate(spec, "limits") {
        if name.starts_with("hugepages-") && spec.at(&["resources", "requests", &name]).is_none() {
            set_missing(spec, "limits", &name, amount.to_string());
        }
    }
    let Some(Value::Map(limits)) =
        spec.at(&["resources", "limits"]).filter(|limits| !limits.is_empty()).cloned()
    else {
        return;
    };
    for (name, amount) in aggregate(spec, "requests") {
        if matches!(name.as_str(), "cpu" | "memory") {
            set_missing(spec, "requests", &name, amount.to_string());
        }
    }
    for (name, limit) in limits {
        if is_pod_level(&name) {
            set_missing(spec, "requests", &name, limit);
        }
    }
}

fn set_missing(spec: &mut Value, list: &str, name: &str, amount: impl Into<Value>) {
    if spec.at(&["resources", list, name]).is_none() {
        spec.set_at(&["resources", list, name], amount);
    }
}
