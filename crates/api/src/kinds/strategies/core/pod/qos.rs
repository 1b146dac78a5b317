//! The quality of service that a pod's resources amount to (upstream's `ComputePodQOS`).

use crate::kinds::strategies::fill::parse_quantity;
use crate::quantity::Quantity;
use crate::value::Value;

/// The only resources that count.
const COUNTED: [&str; 2] = ["cpu", "memory"];

/// `Guaranteed`, `Burstable` or `BestEffort`.
pub fn class(spec: &Value) -> &'static str {
    let of_pod = spec.get("resources").filter(|resources| !resources.is_null());
    let resources: Vec<Option<&Value>> = match of_pod {
        Some(resources) => vec![Some(resources)],
        None => {
            let containers = spec.list_at(&["containers"]).iter().chain(spec.list_at(&["initContainers"]));
            containers.map(|container| container.get("resources")).collect()
        }
    };
    let amounts = |list: &str| -> Vec<Vec<Option<Quantity>>> {
        let one = |name: &str, of: &Option<&Value>| {
            let amount = of.and_then(|of| of.at(&[list, name])).map(parse_quantity);
            amount.filter(|amount| !amount.is_zero() && !amount.is_negative())
        };
        COUNTED.iter().map(|name| resources.iter().map(|of| one(name, of)).collect()).collect()
    };
    let (requests, limits) = (amounts("requests"), amounts("limits"));
    if requests.iter().chain(&limits).flatten().all(Option::is_none) {
        return "BestEffort";
    }
    let sum = |amounts: &[Option<Quantity>]| amounts.iter().flatten().copied().reduce(Quantity::plus);
    let all_limited = limits.iter().flatten().all(Option::is_some);
    let same = requests.iter().zip(&limits).all(|(requests, limits)| sum(requests) == sum(limits));
    if all_limited && same { "Guaranteed" } else { "Burstable" }
}

#[cfg(test)]
mod tests {
    use super::class;
    use crate::value;

    #[test]
    fn classes() {
        for (spec, want) in [
            (value!({"containers": [{"name": "a"}]}), "BestEffort"),
            (value!({"containers": [{"resources": {"requests": {"cpu": "0"}}}]}), "BestEffort"),
            (value!({"containers": [{"resources": {"requests": {"nvidia.com/gpu": "1"}}}]}), "BestEffort"),
            (value!({"containers": [{"resources": {"requests": {"cpu": "1"}}}]}), "Burstable"),
            (
                value!({"containers": [{"resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "1"}}}]}),
                "Burstable",
            ),
            (
                value!({"containers": [{"resources": {"limits": {"cpu": "1", "memory": "1Gi"},
                "requests": {"cpu": "1000m", "memory": "1Gi"}}}]}),
                "Guaranteed",
            ),
            (
                value!({"containers": [{"resources": {"limits": {"cpu": "1", "memory": "1Gi"},
                "requests": {"cpu": "1", "memory": "1Gi"}}}, {"name": "b"}]}),
                "Burstable",
            ),
            (
                value!({"resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}},
                "containers": [{"name": "a"}]}),
                "Guaranteed",
            ),
        ] {
            assert_eq!(class(&spec), want, "{spec:?}");
        }
    }
}
