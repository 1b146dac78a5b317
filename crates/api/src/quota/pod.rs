//! What pods count for.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::evaluator::whole;
use super::{Amounts, Scope, add, read};
use crate::kinds::strategies::qos;
use crate::kinds::strategies::resource_names::{is_extended, is_huge_pages};
use crate::value::Value;

/// What begins the names of devices that are asked for by their class.
pub(super) const DEVICE_CLASS: &str = "deviceclass.resource.kubernetes.io/";
/// What a quota on it makes every container say.
const REQUIRED: [&str; 6] =
    ["cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"];
/// What limits are counted of.
const LIMITED: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

/// Whether the pod is in `scope`.
pub(super) fn is_in(scope: &Scope, pod: &Value) -> bool {
    let is_terminating = pod.int_at(&["spec", "activeDeadlineSeconds"]).is_some_and(|seconds| seconds >= 0);
    let is_best_effort = || pod.get("spec").is_some_and(|spec| qos::class(spec) == "BestEffort");
    match scope.name {
        "Terminating" => is_terminating,
        "NotTerminating" => !is_terminating,
        "BestEffort" => is_best_effort(),
        "NotBestEffort" => !is_best_effort(),
        "PriorityClass" => {
            let class = pod.str_at(&["spec", "priorityClassName"]).filter(|class| !class.is_empty());
            scope.selects(class.as_slice())
        }
        "CrossNamespacePodAffinity" => crosses_namespaces(pod),
        _ => false,
    }
}

fn crosses_namespaces(pod: &Value) -> bool {
    ["podAffinity", "podAntiAffinity"].iter().any(|kind| {
        let of = |when: &str| pod.list_at(&["spec", "affinity", kind, when]);
        let required = of("requiredDuringSchedulingIgnoredDuringExecution").iter();
        let preferred = of("preferredDuringSchedulingIgnoredDuringExecution").iter();
        required.chain(preferred.filter_map(|one| one.get("podAffinityTerm"))).any(|term| {
            !term.list_at(&["namespaces"]).is_empty()
                || term.get("namespaceSelector").is_some_and(|s| !s.is_null())
        })
    })
}

/// What the pod counts for; only its number once it has ended, or should have.
pub(super) fn usage(pod: &Value, now: Timestamp) -> Amounts {
    let mut usage = Amounts::from([("count/pods".to_owned(), whole(1))]);
    if is_over(pod, now) {
        return usage;
    }
    let [requests, limits] = ["requests", "limits"].map(|kind| total(pod, kind));
    add(&mut usage, &named(&requests, &limits));
    usage
}

fn is_over(pod: &Value, now: Timestamp) -> bool {
    if matches!(pod.str_at(&["status", "phase"]), Some("Succeeded" | "Failed")) {
        return true;
    }
    let time = pod.str_at(&["metadata", "deletionTimestamp"]).and_then(|text| text.parse::<Timestamp>().ok());
    let grace = pod.int_at(&["metadata", "deletionGracePeriodSeconds"]);
    time.zip(grace).is_some_and(|(time, grace)| {
        now > time.saturating_add(SignedDuration::from_secs(grace)).unwrap_or(time)
    })
}

/// By the names of quotas.
fn named(requests: &Amounts, limits: &Amounts) -> Amounts {
    let mut named = Amounts::from([("pods".to_owned(), whole(1))]);
    for (name, amount) in requests {
        if LIMITED.contains(&name.as_str()) || is_huge_pages(name) {
            named.insert(name.clone(), *amount);
            named.insert(format!("requests.{name}"), *amount);
        } else if is_extended(name) || name.starts_with(DEVICE_CLASS) {
            named.insert(format!("requests.{name}"), *amount);
        }
    }
    let limits = limits.iter().filter(|(name, _)| LIMITED.contains(&name.as_str()));
    named.extend(limits.map(|(name, amount)| (format!("limits.{name}"), *amount)));
    named
}

/// What every container has to say where `required` is limited.
pub(super) fn check(required: &[&str], pod: &Value) -> Result<(), String> {
    if has_own_resources(pod) {
        return Ok(());
    }
    let mut missing: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for container in
        pod.list_at(&["spec", "containers"]).iter().chain(pod.list_at(&["spec", "initContainers"]))
    {
        let [requests, limits] = ["requests", "limits"].map(|kind| read(container.at(&["resources", kind])));
        let said = named(&requests, &limits);
        for name in required.iter().filter(|name| REQUIRED.contains(name) && !said.contains_key(**name)) {
            missing.entry(name).or_default().push(container.str_at(&["name"]).unwrap_or_default());
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let parts = missing.into_iter().map(|(name, mut containers)| {
        containers.sort_unstable();
        containers.dedup();
        format!("{name} for: {}", containers.join(","))
    });
    Err(format!("must specify {}", parts.collect::<Vec<_>>().join("; ")))
}

fn is_of_pods(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || is_huge_pages(name)
}

/// Whether the pod itself, not only its containers, says what it takes.
fn has_own_resources(pod: &Value) -> bool {
    ["requests", "limits"]
        .iter()
        .any(|kind| read(pod.at(&["spec", "resources", kind])).keys().any(|name| is_of_pods(name)))
}

/// What the pod asks for in all, whatever it has been granted.
pub fn requests(pod: &Value) -> Amounts {
    let mut asked = Value::map();
    asked.set_at(&["spec"], pod.get("spec").cloned().unwrap_or_default());
    total(&asked, "requests")
}

/// What the pod takes in all (k8s.io/component-helpers/resource, `PodRequests` and `PodLimits`): its containers and
/// sidecars together, or what it takes to start, whichever is more; and its overhead.
fn total(pod: &Value, kind: &str) -> Amounts {
    let mut sum = Amounts::new();
    for container in pod.list_at(&["spec", "containers"]) {
        add(&mut sum, &effective(pod, container, kind, "containerStatuses"));
    }
    let (mut sidecars, mut starting) = (Amounts::new(), Amounts::new());
    for container in pod.list_at(&["spec", "initContainers"]) {
        if container.str_at(&["restartPolicy"]) == Some("Always") {
            let amounts = effective(pod, container, kind, "initContainerStatuses");
            add(&mut sum, &amounts);
            add(&mut sidecars, &amounts);
            raise(&mut starting, &sidecars);
        } else {
            let mut amounts = read(container.at(&["resources", kind]));
            add(&mut amounts, &sidecars);
            raise(&mut starting, &amounts);
        }
    }
    raise(&mut sum, &starting);
    let own = read(pod.at(&["spec", "resources", kind]));
    sum.extend(own.into_iter().filter(|(name, _)| is_of_pods(name)));
    let overhead = read(pod.at(&["spec", "overhead"])).into_iter();
    let counts = |name: &String| kind == "requests" || sum.get(name).is_some_and(|limit| !limit.is_zero());
    let overhead: Amounts = overhead.filter(|(name, _)| counts(name)).collect();
    add(&mut sum, &overhead);
    sum
}

/// What a container takes: what it asks for, has been granted or has, whichever is most.
fn effective(pod: &Value, container: &Value, kind: &str, statuses: &str) -> Amounts {
    let spec = read(container.at(&["resources", kind]));
    let name = container.str_at(&["name"]);
    let status = pod.list_at(&["status", statuses]).iter().find(|status| status.str_at(&["name"]) == name);
    let Some(status) = status.filter(|status| status.get("resources").is_some_and(|r| !r.is_null())) else {
        return spec;
    };
    let pending = pod.list_at(&["status", "conditions"]).iter();
    let is_infeasible = pending
        .filter(|condition| condition.str_at(&["type"]) == Some("PodResizePending"))
        .any(|condition| condition.str_at(&["reason"]) == Some("Infeasible"));
    let mut amounts = if is_infeasible { Amounts::new() } else { spec };
    raise(&mut amounts, &read(status.at(&["resources", kind])));
    if kind == "requests" {
        raise(&mut amounts, &read(status.get("allocatedResources")));
    }
    amounts
}

/// Raises `amounts` to at least `others`.
fn raise(amounts: &mut Amounts, others: &Amounts) {
    for (name, other) in others {
        let most = amounts.get(name).map_or(*other, |amount| (*amount).max(*other));
        amounts.insert(name.clone(), most);
    }
}
