//! Annotations by which pods were told what fields tell them now (upstream's `ValidatePodSpecificAnnotations`).

use crate::Cause;
use crate::kinds::strategies::checks;
use crate::kinds::strategies::core::pod_spec::defaults::CONTAINER_LISTS;
use crate::kinds::strategies::rules::{Causes, Place};
use crate::names;

const MIRROR: &str = "kubernetes.io/config.mirror";
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
const APPARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

/// The most bytes of keys and values together.
const BYTES_MAX: usize = 256 * 1024;

/// The keys, and how much there is (upstream's `ValidateAnnotations`).
pub(super) fn keys(annotations: &Place, out: &mut Causes) {
    for (key, _) in annotations.entries() {
        let reasons = names::qualified_name(&key.to_lowercase());
        out.extend(reasons.iter().map(|why| annotations.invalid_as(key, why)));
    }
    let bytes: usize = annotations.entries().map(|(key, value)| key.len() + value.text().len()).sum();
    if bytes > BYTES_MAX {
        out.push(Cause::too_long(annotations.path(), BYTES_MAX));
    }
}

pub(super) fn check(annotations: &Place, spec: &Place, out: &mut Causes) {
    for (key, value) in annotations.entries() {
        let text = value.text();
        if key == MIRROR && spec.field("nodeName").text().is_empty() {
            out.push(value.invalid("must set spec.nodeName if mirror pod annotation is set"));
        }
        if key == DELETION_COST && !is_cost(text) {
            out.push(value.invalid("must be a 32bit integer"));
        }
        if key == SECCOMP_POD || key.starts_with(SECCOMP_CONTAINER) {
            seccomp(annotations, key, text, out);
        }
        if let Some(container) = key.strip_prefix(APPARMOR) {
            if !has_container(spec, container) {
                out.push(value.invalid_as(container, "container not found"));
            }
            if !matches!(text, "" | "runtime/default" | "unconfined") && !text.starts_with("localhost/") {
                out.push(value.invalid(&format!("invalid AppArmor profile name: {text:?}")));
            }
        }
    }
}

fn is_cost(text: &str) -> bool {
    text.parse::<i32>().is_ok_and(|cost| cost.to_string() == text)
}

fn seccomp(annotations: &Place, key: &str, profile: &str, out: &mut Causes) {
    let place = annotations.field(key);
    match profile {
        "runtime/default" | "docker/default" | "unconfined" => {}
        local if local.starts_with("localhost/") => {
            let path = &local["localhost/".len()..];
            out.extend(checks::descending_path(path).iter().map(|why| place.invalid_as(path, why)));
        }
        other => out.push(place.invalid_as(other, "must be a valid seccomp profile")),
    }
}

fn has_container(spec: &Place, name: &str) -> bool {
    CONTAINER_LISTS
        .iter()
        .any(|list| spec.field(list).items().any(|container| container.field("name").text() == name))
}
