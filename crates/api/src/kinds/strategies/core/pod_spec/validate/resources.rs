//! Faults of what containers and pods ask for.

use crate::Cause;
use crate::kinds::strategies::core::pod_spec::resources::{aggregate, is_pod_level};
use crate::kinds::strategies::core::resource_names::{self, is_huge_pages, is_native};
use crate::kinds::strategies::rules::{Causes, Place, Seen};
use crate::names;
use crate::quantity::Quantity;

/// Whether more of it may be asked for than there is.
fn may_overcommit(name: &str) -> bool {
    is_native(name) && !is_huge_pages(name)
}

/// What a container asks for (upstream's `ValidateContainerResourceRequirements`). `claims` are the names of the
/// pod's resource claims.
pub fn requirements(requirements: &Place, claims: &[&str], out: &mut Causes) {
    both_lists(requirements, resource_names::of_container, out);
    claim_names(&requirements.field("claims"), claims, out);
}

/// What a pod of a RuntimeClass takes besides what its containers do.
pub fn of_overhead(overhead: &Place, out: &mut Causes) {
    of_fixed(overhead, overhead.field("podFixed").value, out);
}

/// The resources `list`, called as if they were the limits of `place`.
pub(super) fn of_fixed(place: &Place, list: &crate::value::Value, out: &mut Causes) {
    let mut limits = place.field("limits");
    limits.value = list;
    amounts(&limits, resource_names::of_container, out);
}

/// What a pod as a whole asks for.
pub(super) fn of_pod(spec: &Place, claims: &[&str], out: &mut Causes) {
    let resources = spec.field("resources");
    if !resources.is_set() {
        return;
    }
    if spec.field("os").field("name").text() == "windows" {
        return out.push(resources.forbidden("may not be set for a windows pod"));
    }
    if resources.field("claims").is_set() {
        out.push(resources.field("claims").forbidden("claims may not be set for Resources at pod-level"));
    }
    both_lists(&resources, of_pod_name, out);
    claim_names(&resources.field("claims"), claims, out);
    consistency(spec, &resources, out);
}

fn of_pod_name(name: &str) -> Vec<String> {
    let reasons = resource_names::any(name);
    if reasons.is_empty() && !is_pod_level(name) { vec![String::new()] } else { reasons }
}

fn amounts(list: &Place, reasons: fn(&str) -> Vec<String>, out: &mut Causes) {
    for (name, amount) in list.entries() {
        for why in reasons(name) {
            out.push(match why.as_str() {
                "" => Cause::not_supported(amount.path(), name, &["cpu", "hugepages-", "memory"]),
                why => amount.invalid_as(name, why),
            });
        }
        resource_names::amount(name, &amount, out);
        if is_huge_pages(name) && !is_whole_pages(name, amount.quantity()) {
            let detail = format!("{} is not positive integer multiple of {name}", amount.text());
            out.push(amount.invalid(&detail));
        }
    }
}

fn is_whole_pages(name: &str, amount: Quantity) -> bool {
    let size = name
        .strip_prefix("hugepages-")
        .and_then(|size| Quantity::parse(size).ok())
        .map_or(0, |size| size.value());
    size > 0 && amount.value() % size == 0
}

fn both_lists(requirements: &Place, reasons: fn(&str) -> Vec<String>, out: &mut Causes) {
    let (limits, requests) = (requirements.field("limits"), requirements.field("requests"));
    amounts(&limits, reasons, out);
    amounts(&requests, reasons, out);
    for (name, request) in requests.entries() {
        let limit = limits.key(name);
        if limit.is_set() {
            let (asked, most) = (request.quantity(), limit.quantity());
            if asked != most && !may_overcommit(name) {
                let detail = format!("must be equal to {name} limit of {}", limit.text());
                out.push(requests.invalid_as(request.text(), &detail));
            } else if asked > most {
                let detail = format!("must be less than or equal to {name} limit of {}", limit.text());
                out.push(requests.invalid_as(request.text(), &detail));
            }
        } else if !may_overcommit(name) {
            out.push(limits.required("Limit must be set for non overcommitable resources"));
        }
    }
    let asks = |wanted: fn(&str) -> bool| {
        [limits, requests].iter().any(|l| l.entries().any(|(name, _)| wanted(name)))
    };
    if asks(is_huge_pages) && !asks(|name| matches!(name, "cpu" | "memory")) {
        out.push(requirements.forbidden("HugePages require cpu or memory"));
    }
}

fn claim_names(wanted: &Place, claims: &[&str], out: &mut Causes) {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for claim in wanted.items() {
        let name = claim.value.str_at(&["name"]).unwrap_or_default();
        let request = claim.value.str_at(&["request"]).unwrap_or_default();
        if name.is_empty() {
            out.push(claim.required(""));
            continue;
        }
        claim.field("request").check_if_set(names::label, out);
        let again =
            seen.iter().any(|(n, r)| *n == name && (r.is_empty() || request.is_empty() || *r == request));
        if again {
            let key = if request.is_empty() { name.to_owned() } else { format!("{name}/{request}") };
            out.push(Cause::duplicate(claim.path(), &key));
        }
        seen.push((name, request));
        if !claims.contains(&name) {
            let mut known = Seen::default();
            let mut names: Vec<&str> = claims.iter().copied().filter(|name| !known.again(name)).collect();
            names.sort_unstable();
            let tail = if names.is_empty() {
                " which is empty".to_owned()
            } else {
                format!(": {}", names.join(", "))
            };
            let mut cause = Cause::not_found(claim.path(), name);
            cause.message += &format!(": must be one of the names in pod.spec.resourceClaims{tail}");
            out.push(cause);
        }
    }
}

/// A pod as a whole asks for no less than its containers do.
fn consistency(spec: &Place, resources: &Place, out: &mut Causes) {
    let requests = resources.field("requests");
    for (name, sum) in aggregate(spec.value, "requests") {
        let own = requests.key(&name);
        if own.is_set() && sum > own.quantity() {
            let detail = format!("must be greater than or equal to aggregate container requests of {sum}");
            out.push(own.invalid(&detail));
        }
    }
    let limits = resources.field("limits");
    for (name, sum) in aggregate(spec.value, "limits").iter().filter(|(name, _)| is_huge_pages(name)) {
        let own = limits.key(name);
        if own.is_set() && *sum > own.quantity() {
            out.push(
                own.invalid(&format!("must be greater than or equal to aggregate container limits of {sum}")),
            );
        }
    }
    for (i, container) in spec.value.list_at(&["containers"]).iter().enumerate() {
        let of_container = Place::root(container);
        let container_resources = of_container.field("resources");
        for (name, limit) in container_resources.field("limits").entries() {
            let own = limits.key(name);
            if own.is_set() && limit.quantity() > own.quantity() {
                let path = format!("{}.containers[{i}][{name}].limits", resources.path());
                let detail = format!("must be less than or equal to pod limits of {}", own.text());
                out.push(Cause::invalid(path, limit.value, &detail));
            }
        }
    }
}
