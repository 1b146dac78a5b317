//! What pods ask for and nodes have (k8s.io/component-helpers/resource and pkg/scheduler/framework/types.go).

use std::collections::BTreeMap;

use decapod_api::Str;
use decapod_api::quantity::{Format, Quantity};
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod};
use k8s_openapi::apimachinery::pkg::api::resource as quantity;

/// Amounts of resources, in the units in which nodes are compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Resources {
    /// Thousandths of a core.
    pub cpu_milli: i64,
    /// Bytes.
    pub memory_bytes: i64,
    /// Bytes.
    pub ephemeral_bytes: i64,
    /// Extended resources, huge pages and attachable volumes, by name; none is zero in a pod's requests.
    pub extended: Vec<(Str, i64)>,
}

/// What a pod asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Requests {
    /// What has to fit.
    pub resources: Resources,
    /// What scoring counts: containers that ask for no CPU count with 100m, or they would all land on one node.
    pub scored_cpu_milli: i64,
    /// What scoring counts: containers that ask for no memory count with 200 MiB.
    pub scored_memory_bytes: i64,
}

/// A container's share in scoring when it asks for nothing (pkg/scheduler/util/pod_resources.go).
const DEFAULT_CPU_MILLI: i64 = 100;
const DEFAULT_MEMORY_BYTES: i64 = 200 * 1024 * 1024;

/// Amounts by resource name.
type Amounts = BTreeMap<Str, Quantity>;
type Quantities = BTreeMap<String, quantity::Quantity>;

/// The amounts of a field; what is no quantity counts as nothing (the API server lets none such in).
fn amounts(quantities: Option<&Quantities>) -> Amounts {
    let read = |text: &str| Quantity::parse(text).unwrap_or(Quantity::ZERO);
    quantities.into_iter().flatten().map(|(name, amount)| (name.as_str().into(), read(&amount.0))).collect()
}

/// Whether `name` is one that nodes count one by one (v1helper.IsExtendedResourceName and its kin).
fn is_scalar(name: &str) -> bool {
    if name.starts_with("hugepages-") || name.starts_with("attachable-volumes-") {
        return true;
    }
    name.contains('/') && !name.starts_with("requests.")
}

// === impl Resources ===

impl Resources {
    /// What a node's `allocatable` says, and how many pods it may have.
    pub fn of_node(allocatable: Option<&Quantities>) -> (Resources, i64) {
        let amounts = amounts(allocatable);
        let pods = amounts.get("pods").map_or(0, Quantity::value);
        (Resources::new(&amounts, true), pods)
    }

    fn new(amounts: &Amounts, keep_zeros: bool) -> Resources {
        let mut resources = Resources::default();
        for (name, amount) in amounts {
            match name.as_str() {
                "cpu" => resources.cpu_milli = amount.milli_value(),
                "memory" => resources.memory_bytes = amount.value(),
                "ephemeral-storage" => resources.ephemeral_bytes = amount.value(),
                name if is_scalar(name) && (keep_zeros || !amount.is_zero()) => {
                    resources.extended.push((name.into(), amount.value()));
                }
                _ => {}
            }
        }
        resources
    }

    /// The amount of an extended resource.
    pub fn extended(&self, name: &str) -> i64 {
        self.extended.iter().find(|(n, _)| n == name).map_or(0, |(_, amount)| *amount)
    }

    /// Whether nothing is asked for.
    pub fn is_zero(&self) -> bool {
        self.cpu_milli == 0 && self.memory_bytes == 0 && self.ephemeral_bytes == 0 && self.extended.is_empty()
    }

    /// Whether some resource that `wanted` asks for is more here than in `other`.
    pub fn exceeds_for(&self, other: &Resources, wanted: &Resources) -> bool {
        (wanted.cpu_milli > 0 && self.cpu_milli > other.cpu_milli)
            || (wanted.memory_bytes > 0 && self.memory_bytes > other.memory_bytes)
            || (wanted.ephemeral_bytes > 0 && self.ephemeral_bytes > other.ephemeral_bytes)
            || wanted.extended.iter().any(|(name, _)| self.extended(name) > other.extended(name))
    }

    /// Whether all of `wanted` is here.
    pub fn covers(&self, wanted: &Resources) -> bool {
        wanted.cpu_milli <= self.cpu_milli
            && wanted.memory_bytes <= self.memory_bytes
            && wanted.ephemeral_bytes <= self.ephemeral_bytes
            && wanted.extended.iter().all(|(name, amount)| *amount <= self.extended(name))
    }
}

// === impl Requests ===

impl Requests {
    /// What `pod` asks for: its containers and sidecars together, or its largest init container with the sidecars
    /// started before it; pod-level requests instead where they are set; and the overhead.
    pub fn of_pod(pod: &Pod) -> Requests {
        let plain = requests(pod, false, false);
        let leveled = pod_level(pod);
        // With pod-level requests only what the pod does not say at all is filled up.
        let fill_cpu = leveled.is_none() || !plain.contains_key("cpu");
        let fill_memory = leveled.is_none() || !plain.contains_key("memory");
        let filled = requests(pod, fill_cpu, fill_memory);
        let scored = Resources::new(&filled, false);
        Requests {
            resources: Resources::new(&plain, false),
            scored_cpu_milli: scored.cpu_milli,
            scored_memory_bytes: scored.memory_bytes,
        }
    }
}

/// The pod's own requests, where it has some of those that pods may have.
fn pod_level(pod: &Pod) -> Option<impl Iterator<Item = (&String, &quantity::Quantity)>> {
    let supported = |name: &str| matches!(name, "cpu" | "memory") || name.starts_with("hugepages-");
    let requests = pod.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?;
    let supported = requests.iter().filter(move |(name, _)| supported(name));
    supported.clone().next().is_some().then_some(supported)
}

fn requests(pod: &Pod, fill_cpu: bool, fill_memory: bool) -> Amounts {
    let mut total = Amounts::new();
    let Some(spec) = &pod.spec else { return total };
    let of = |container: &Container, statuses: Option<&[ContainerStatus]>| {
        let mut amounts = container_requests(pod, container, statuses);
        if fill_cpu && !amounts.contains_key("cpu") {
            amounts.insert("cpu".into(), Quantity::from_milli(DEFAULT_CPU_MILLI, Format::DecimalSi));
        }
        if fill_memory && !amounts.contains_key("memory") {
            amounts.insert("memory".into(), Quantity::new(DEFAULT_MEMORY_BYTES, Format::BinarySi));
        }
        amounts
    };
    let status = pod.status.as_ref();
    for container in &spec.containers {
        add(&mut total, &of(container, status.and_then(|s| s.container_statuses.as_deref())));
    }
    let (mut sidecars, mut largest) = (Amounts::new(), Amounts::new());
    for container in spec.init_containers.iter().flatten() {
        if container.restart_policy.as_deref() == Some("Always") {
            let amounts = of(container, status.and_then(|s| s.init_container_statuses.as_deref()));
            add(&mut total, &amounts);
            add(&mut sidecars, &amounts);
            max(&mut largest, &sidecars);
        } else {
            let mut amounts = of(container, None);
            add(&mut amounts, &sidecars);
            max(&mut largest, &amounts);
        }
    }
    max(&mut total, &largest);
    let leveled = pod_level(pod).into_iter().flatten();
    let leveled: Quantities = leveled.map(|(name, amount)| (name.clone(), amount.clone())).collect();
    total.extend(amounts(Some(&leveled)));
    add(&mut total, &amounts(spec.overhead.as_ref()));
    total
}

/// What one container asks for; while it is being resized, the most of what is asked, admitted and in effect.
fn container_requests(pod: &Pod, container: &Container, statuses: Option<&[ContainerStatus]>) -> Amounts {
    let spec = amounts(container.resources.as_ref().and_then(|r| r.requests.as_ref()));
    let status = statuses.into_iter().flatten().find(|status| status.name == container.name);
    let Some((status, resources)) = status.and_then(|s| Some((s, s.resources.as_ref()?))) else {
        return spec;
    };
    let mut conditions = pod.status.iter().flat_map(|s| s.conditions.iter().flatten());
    let infeasible = conditions
        .find(|condition| condition.type_ == "PodResizePending")
        .is_some_and(|condition| condition.reason.as_deref() == Some("Infeasible"));
    let mut effective = if infeasible { Amounts::new() } else { spec };
    max(&mut effective, &amounts(resources.requests.as_ref()));
    max(&mut effective, &amounts(status.allocated_resources.as_ref()));
    effective
}

fn add(total: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        let sum = total.get(name).map_or(*amount, |so_far| so_far.plus(*amount));
        total.insert(name.clone(), sum);
    }
}

fn max(total: &mut Amounts, other: &Amounts) {
    for (name, amount) in other {
        let greater = total.get(name).map_or(*amount, |so_far| (*so_far).max(*amount));
        total.insert(name.clone(), greater);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sidecars_count_with_containers_and_with_later_init_containers() {
        let c = |cpu: &str| json!({"name": "c", "resources": {"requests": {"cpu": cpu}}});
        let sidecar = |cpu: &str| {
            let mut container = c(cpu);
            container["restartPolicy"] = json!("Always");
            container
        };
        let table = [
            (json!([c("1"), c("2")]), json!([]), 3000),
            (json!([c("1")]), json!([c("4")]), 4000),
            (json!([c("1")]), json!([sidecar("1")]), 2000),
            (json!([c("1")]), json!([sidecar("1"), c("4")]), 5000),
            (json!([c("1")]), json!([c("4"), sidecar("1")]), 4000),
        ];
        for (containers, init, expected) in table {
            let spec = json!({"containers": containers, "initContainers": init, "overhead": {"cpu": "1m"}});
            let pod: Pod = serde_json::from_value(json!({"metadata": {}, "spec": spec})).expect("pod");
            let got = Requests::of_pod(&pod);
            assert_eq!(got.resources.cpu_milli, expected + 1, "{spec}");
            assert_eq!(got.resources.memory_bytes, 0);
        }
    }

    #[test]
    fn scoring_fills_up_and_pod_level_requests_win() {
        let spec = json!({"containers": [{"name": "a"}, {"name": "b", "resources": {"requests": {"memory": "1Gi"}}}]});
        let pod: Pod = serde_json::from_value(json!({"metadata": {}, "spec": spec})).expect("pod");
        let requests = Requests::of_pod(&pod);
        assert_eq!(requests.scored_cpu_milli, 200);
        assert_eq!(requests.scored_memory_bytes, (1 << 30) + 200 * (1 << 20));
        let spec = json!({"containers": [{"name": "a"}], "resources": {"requests": {"cpu": "2"}}});
        let pod: Pod = serde_json::from_value(json!({"metadata": {}, "spec": spec})).expect("pod");
        let requests = Requests::of_pod(&pod);
        assert_eq!((requests.resources.cpu_milli, requests.scored_cpu_milli), (2000, 2000));
        assert_eq!(requests.scored_memory_bytes, 200 * (1 << 20));
    }
}
