//! Names of resources, and what amounts of them make sense (upstream's `pkg/apis/core/helper` and
//! `ValidateResourceQuantityValue`).

use crate::kinds::strategies::rules::{Causes, NEGATIVE, Place};
use crate::names;

/// What is counted, and so only whole.
const COUNTED: [&str; 9] = [
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
];
/// What quotas limit besides.
const MEASURED: [&str; 10] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
];

/// Whether it is of Kubernetes itself.
pub fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

/// Whether it is memory in large pages.
pub fn is_huge_pages(name: &str) -> bool {
    name.starts_with("hugepages-")
}

/// Whether a quota may limit it by this plain name.
pub fn is_quota(name: &str) -> bool {
    COUNTED.contains(&name)
        || MEASURED.contains(&name)
        || is_huge_pages(name)
        || name.starts_with("requests.hugepages-")
}

/// Whether it comes from a device plugin or the like.
pub fn is_extended(name: &str) -> bool {
    !is_native(name)
        && !name.starts_with("requests.")
        && names::qualified_name(&format!("requests.{name}")).is_empty()
}

/// Whether it comes only whole.
pub fn is_whole(name: &str) -> bool {
    COUNTED.contains(&name) || is_extended(name)
}

/// Reasons why it is no resource at all.
pub fn any(name: &str) -> Vec<String> {
    let reasons = names::qualified_name(name);
    if reasons.is_empty() && !name.contains('/') && !is_quota(name) && name != "storage" {
        return vec!["must be a standard resource type or fully qualified".into()];
    }
    reasons
}

/// Reasons why it is no resource of containers.
pub fn of_container(name: &str) -> Vec<String> {
    let mut reasons = any(name);
    let is_standard = matches!(name, "cpu" | "memory" | "ephemeral-storage") || is_huge_pages(name);
    if !name.contains('/') && !is_standard {
        reasons.push("must be a standard resource for containers".into());
    } else if !is_native(name) && !is_extended(name) {
        reasons.push("doesn't follow extended resource name standard".into());
    }
    reasons
}

/// Reasons why no quota limits it.
pub fn of_quota(name: &str) -> Vec<String> {
    let mut reasons = any(name);
    if !name.contains('/') && !is_quota(name) {
        reasons.push("must be a standard resource for quota".into());
    }
    reasons
}

/// An amount of storage that a volume has.
pub fn measured(amount: &Place, out: &mut Causes) {
    if amount.quantity().is_negative() {
        out.push(amount.invalid_as(amount.quantity().value(), "must be a valid resource quantity"));
    }
}

/// An amount of the resource `name`.
pub fn amount(name: &str, amount: &Place, out: &mut Causes) {
    let quantity = amount.quantity();
    if quantity.is_negative() {
        out.push(amount.invalid(NEGATIVE));
    }
    if is_whole(name) && quantity.milli_value() % 1000 != 0 {
        out.push(amount.invalid("must be an integer"));
    }
}
