//! Faults of pods, and of what is done to them (upstream's `ValidatePodCreate` and its siblings).

use super::qos;
use crate::kinds::strategies::checks;
use crate::kinds::strategies::core::pod_spec::validate::{self, Within, scheduling};
use crate::kinds::strategies::rules::{Causes, Place, Seen, equal};
use crate::names;
use crate::value::Value;

const UPDATABLE: &str = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
const MIRROR: &str = "kubernetes.io/config.mirror";
const APPARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

/// The whole of a pod.
fn whole(pod: &Place, out: &mut Causes) {
    let (metadata, spec) = (pod.field("metadata"), pod.field("spec"));
    validate::pod_annotations(&metadata, &spec, out);
    validate::spec(&spec, metadata.value, Within::Pod, out);
    if spec.field("serviceAccountName").text().is_empty() {
        for volume in spec.field("volumes").items() {
            let projected = volume.field("projected");
            for source in projected.field("sources").items() {
                let token = source.field("serviceAccountToken");
                if token.is_set() {
                    out.push(token.forbidden("must not be specified when serviceAccountName is not set"));
                }
            }
        }
    }
}

/// A new pod.
pub fn create(pod: &Place, out: &mut Causes) {
    whole(pod, out);
    let spec = pod.field("spec");
    if !spec.field("ephemeralContainers").list().is_empty() {
        out.push(spec.field("ephemeralContainers").forbidden("cannot be set on create"));
    }
    if !spec.field("nodeName").text().is_empty() && !spec.field("schedulingGates").list().is_empty() {
        let detail = "cannot be set until all schedulingGates have been cleared";
        out.push(spec.field("nodeName").forbidden(detail));
    }
}

/// A changed pod: little may change.
pub fn update(pod: &Place, old: &Value, out: &mut Causes) {
    whole(pod, out);
    annotations(pod, old, out);
    let (spec, before) = (pod.field("spec"), old.get("spec").unwrap_or(&Value::Null));
    for list in ["containers", "initContainers"] {
        if spec.field(list).list().len() != before.list_at(&[list]).len() {
            return out.push(spec.field(list).forbidden("pod updates may not add or remove containers"));
        }
    }
    if !deadline(&spec, before, out) {
        return;
    }
    let tolerations = spec.field("tolerations");
    if before
        .list_at(&["tolerations"])
        .iter()
        .all(|old| tolerations.list().iter().any(|new| is_same_but_seconds(old, new)))
    {
        scheduling::tolerations(&tolerations, out);
    } else {
        out.push(
            tolerations.forbidden("existing toleration can not be modified except its tolerationSeconds"),
        );
    }
    gates(&spec, before, out);
    let mut kept = spec.value.clone();
    pardon(&mut kept, before);
    if !before.list_at(&["schedulingGates"]).is_empty() {
        pardon_gated(&spec, &mut kept, before, out);
    }
    if !equal(&kept, before) {
        out.push(spec.forbidden(UPDATABLE));
    }
}

fn deadline(spec: &Place, before: &Value, out: &mut Causes) -> bool {
    let deadline = spec.field("activeDeadlineSeconds");
    match (deadline.value.as_int(), before.int_at(&["activeDeadlineSeconds"])) {
        (Some(new), _) if !(0..=i64::from(i32::MAX)).contains(&new) => {
            out.push(deadline.invalid(&checks::between(0, i32::MAX.into())));
            false
        }
        (Some(new), Some(old)) if old < new => {
            out.push(deadline.invalid("must be less than or equal to previous value"));
            false
        }
        (None, Some(_)) => {
            out.push(deadline.invalid("must not update from a positive integer to nil value"));
            true
        }
        _ => true,
    }
}

fn is_same_but_seconds(old: &Value, new: &Value) -> bool {
    let mut old = old.clone();
    match new.get("tolerationSeconds") {
        Some(seconds) => old.set_at(&["tolerationSeconds"], seconds.clone()),
        None => drop(old.remove_at(&["tolerationSeconds"])),
    }
    old == *new
}

fn gates(spec: &Place, before: &Value, out: &mut Causes) {
    for gate in spec.field("schedulingGates").items() {
        if !before.list_at(&["schedulingGates"]).contains(gate.value) {
            let name = gate.field("name");
            let detail = format!("only deletion is allowed, but found new scheduling gate '{}'", name.text());
            out.push(name.forbidden(&detail));
        }
    }
}

/// Takes back the changes that are allowed.
fn pardon(spec: &mut Value, before: &Value) {
    use crate::kinds::strategies::fill::restore;
    for list in ["containers", "initContainers"] {
        let images: Vec<Option<Value>> =
            before.list_at(&[list]).iter().map(|c| c.get("image").cloned()).collect();
        if let Some(Value::List(containers)) = spec.at_mut(&[list]) {
            for (container, image) in containers.iter_mut().zip(images) {
                container.set_at(&["image"], image.unwrap_or_default());
            }
        }
    }
    for field in ["activeDeadlineSeconds", "schedulingGates", "tolerations"] {
        restore(spec, before, &[field]);
    }
    let was_negative = before.int_at(&["terminationGracePeriodSeconds"]).is_some_and(|seconds| seconds < 0);
    if was_negative && spec.int_at(&["terminationGracePeriodSeconds"]) == Some(1) {
        restore(spec, before, &["terminationGracePeriodSeconds"]);
    }
}

/// A pod that is held back may still be told more of where it may go (KEP-3838).
fn pardon_gated(spec: &Place, kept: &mut Value, before: &Value, out: &mut Causes) {
    use crate::kinds::strategies::fill::restore;
    const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
    let selector = spec.field("nodeSelector");
    let was = before.get("nodeSelector").and_then(Value::as_map);
    if was.into_iter().flat_map(|map| map.iter()).any(|(key, value)| selector.value.get(key) != Some(value)) {
        out.push(
            selector.invalid("only additions to spec.nodeSelector are allowed (no mutations or deletions)"),
        );
    }
    restore(kept, before, &["nodeSelector"]);
    let affinity = spec.field("affinity");
    let node = affinity.field("nodeAffinity");
    let terms = node.field(REQUIRED);
    let terms = terms.field("nodeSelectorTerms");
    let old_terms = before.list_at(&["affinity", "nodeAffinity", REQUIRED, "nodeSelectorTerms"]);
    if !old_terms.is_empty() && old_terms.len() != terms.list().len() {
        out.push(terms.invalid("no additions/deletions to non-empty NodeSelectorTerms list are allowed"));
    } else {
        for (term, old) in terms.items().zip(old_terms) {
            let keeps = |field: &str| term.value.list_at(&[field]).starts_with(old.list_at(&[field]));
            if !keeps("matchExpressions") || !keeps("matchFields") {
                out.push(term.invalid("only additions are allowed (no mutations or deletions)"));
            }
        }
    }
    match before.at(&["affinity", "nodeAffinity"]) {
        Some(old) => kept.set_at(&["affinity", "nodeAffinity"], old.clone()),
        None => drop(kept.remove_at(&["affinity", "nodeAffinity"])),
    }
    if before.get("affinity").is_none() && kept.get("affinity").is_some_and(Value::is_empty) {
        kept.remove_at(&["affinity"]);
    }
}

/// Annotations that are the kubelet's business.
fn annotations(pod: &Place, old: &Value, out: &mut Causes) {
    let metadata = pod.field("metadata");
    let annotations = metadata.field("annotations");
    let before = old.at(&["metadata", "annotations"]).unwrap_or(&Value::Null);
    for (key, value) in before.as_map().into_iter().flat_map(|map| map.iter()) {
        if annotations.value.get(key) != Some(value) {
            let place = annotations.key(key);
            if key.starts_with(APPARMOR) {
                out.push(place.forbidden("may not remove or update AppArmor annotations"));
            } else if key == MIRROR {
                out.push(place.forbidden("may not remove or update mirror pod annotation"));
            }
        }
    }
    for (key, place) in annotations.entries().filter(|(key, _)| before.get(key).is_none()) {
        if key.starts_with(APPARMOR) {
            out.push(place.forbidden("may not add AppArmor annotations"));
        } else if key == MIRROR {
            out.push(place.forbidden("may not add mirror pod annotation"));
        }
    }
}

/// A new status.
pub fn status(pod: &Place, old: &Value, out: &mut Causes) {
    annotations(pod, old, out);
    let status = pod.field("status");
    for condition in status.field("conditions").items() {
        let kind = condition.field("type").text();
        if !matches!(kind, "PodScheduled" | "Ready" | "Initialized") {
            out.extend(
                names::qualified_name(kind).iter().map(|why| condition.field("Type").invalid_as(kind, why)),
            );
        }
    }
    let nominated = status.field("nominatedNodeName");
    if old.str_at(&["status", "nominatedNodeName"]) != nominated.value.as_str()
        && !nominated.text().is_empty()
    {
        nominated.check(names::subdomain, out);
        if old.str_at(&["spec", "nodeName"]).is_some_and(|node| !node.is_empty()) {
            out.push(nominated.forbidden("may not be set on pods that are already bound to a node"));
        }
    }
    status.field("qosClass").immutable(old.at(&["status", "qosClass"]), out);
    container_states(&pod.field("spec"), &status, old, out);
    claim_statuses(pod, &status.field("resourceClaimStatuses"), out);
    for list in ["podIPs", "hostIPs"] {
        let ips = status.field(list);
        if list == "hostIPs" && !ips.list().is_empty() {
            let first = ips.index(0);
            if status.field("hostIP").text() != first.field("ip").text() {
                out.push(first.field("ip").invalid("must be equal to `hostIP`"));
            }
        }
        for ip in ips.items() {
            let text = ip.value.str_at(&["ip"]).unwrap_or_default();
            out.extend(checks::ip(text).iter().map(|why| ip.invalid_as(text, why)));
        }
        let families: Vec<bool> =
            ips.list().iter().map(|ip| ip.str_at(&["ip"]).unwrap_or_default().contains(':')).collect();
        if families.len() > 2 || matches!(families.as_slice(), [a, b] if a == b) {
            out.push(ips.invalid("may specify no more than one IP for each IP family"));
        }
    }
}

/// The claims that were made for a pod.
fn claim_statuses(pod: &Place, statuses: &Place, out: &mut Causes) {
    let claims = pod.value.list_at(&["spec", "resourceClaims"]);
    let mut seen = Seen::default();
    for status in statuses.items() {
        let name = status.field("name");
        if !claims.iter().any(|claim| claim.str_at(&["name"]) == Some(name.text())) {
            out.push(name.invalid("must match the name of an entry in `spec.resourceClaims`"));
        }
        if seen.again(name.text()) {
            out.push(name.duplicate());
        }
        if status.field("resourceClaimName").is_set() {
            status.field("resourceClaimName").check(names::subdomain, out);
        }
    }
}

/// A container that has ended for good does not begin again.
fn container_states(spec: &Place, status: &Place, old: &Value, out: &mut Causes) {
    let policy = spec.field("restartPolicy").text();
    let may_restart = |list: &str, name: &str| {
        let containers =
            spec.value.list_at(&[if list == "containerStatuses" { "containers" } else { "initContainers" }]);
        let container = containers.iter().find(|container| container.str_at(&["name"]) == Some(name));
        let own = container.and_then(|container| container.str_at(&["restartPolicy"]));
        let has_rules =
            container.is_some_and(|container| !container.list_at(&["restartPolicyRules"]).is_empty());
        has_rules || own.unwrap_or(policy) != "Never"
    };
    for list in ["containerStatuses", "initContainerStatuses"] {
        for (i, before) in old.list_at(&["status", list]).iter().enumerate() {
            let name = before.str_at(&["name"]).unwrap_or_default();
            let Some(exit_code) =
                before.int_at(&["state", "terminated", "exitCode"]).or_else(|| ended(before))
            else {
                continue;
            };
            if may_restart(list, name)
                && !(policy == "OnFailure" && exit_code == 0 && list == "containerStatuses")
            {
                continue;
            }
            let statuses = status.field(list);
            let now = statuses.items().find(|now| now.field("name").text() == name);
            if now.is_some_and(|now| now.value.at(&["state", "terminated"]).is_none_or(Value::is_null)) {
                let item = statuses.index(i);
                out.push(item.field("state").forbidden("may not be transitioned to non-terminated state"));
            }
        }
    }
}

/// The exit code of a container that ended with 0, which is left out.
fn ended(status: &Value) -> Option<i64> {
    status.at(&["state", "terminated"]).filter(|terminated| !terminated.is_null()).map(|_| 0)
}

/// Containers added to a pod that runs.
pub fn ephemeral_containers(pod: &Place, old: &Value, out: &mut Causes) {
    whole(pod, out);
    annotations(pod, old, out);
    if old.at(&["metadata", "annotations", MIRROR]).is_some() {
        return out.push(pod.forbidden("static pods do not support ephemeral containers"));
    }
    let spec = pod.field("spec");
    let list = spec.field("ephemeralContainers");
    for before in old.list_at(&["spec", "ephemeralContainers"]) {
        let name = before.str_at(&["name"]).unwrap_or_default();
        match list.list().iter().find(|now| now.str_at(&["name"]) == Some(name)) {
            None => out.push(
                list.forbidden(&format!("existing ephemeral containers {name:?} may not be removed\n")),
            ),
            Some(now) if now != before => {
                out.push(
                    list.forbidden(&format!("existing ephemeral containers {name:?} may not be changed\n")),
                );
            }
            Some(_) => {}
        }
    }
}

/// Other resources for a pod that runs (KEP-1287).
pub fn resize(pod: &Place, old: &Value, out: &mut Causes) {
    whole(pod, out);
    if old.at(&["metadata", "annotations", MIRROR]).is_some() {
        return out.push(pod.forbidden("static pods cannot be resized"));
    }
    let spec = pod.field("spec");
    let before = old.get("spec").unwrap_or(&Value::Null);
    if qos::class(spec.value) != old.str_at(&["status", "qosClass"]).unwrap_or_else(|| qos::class(before)) {
        let shown = pod.value.str_at(&["status", "qosClass"]).unwrap_or_default();
        out.push(spec.invalid_as(shown, "Pod QOS Class may not change as a result of resizing"));
    }
    for list in ["containers", "initContainers"] {
        let (now, was) = (spec.field(list), before.list_at(&[list]));
        if now.list().len() != was.len() {
            return out.push(now.forbidden(&format!("{list} may not be added or removed on resize")));
        }
        for (container, old) in now.items().zip(was) {
            if container.field("name").value.as_str() != old.str_at(&["name"]) {
                let detail = format!("{list} may not be renamed or reordered on resize");
                return out.push(container.field("name").forbidden(&detail));
            }
            resized(&spec, &container.field("resources"), old.get("resources").unwrap_or(&Value::Null), out);
        }
    }
    if spec.field("resources").is_set() || before.get("resources").is_some() {
        resized(&spec, &spec.field("resources"), before.get("resources").unwrap_or(&Value::Null), out);
    }
}

fn resized(spec: &Place, resources: &Place, before: &Value, out: &mut Causes) {
    for (list, what) in [("requests", "resource requests"), ("limits", "resource limits")] {
        let (now, was) = (resources.field(list), before.get(list).and_then(Value::as_map));
        let was = || was.into_iter().flat_map(|map| map.iter());
        if was().any(|(name, _)| now.value.get(name).is_none()) {
            out.push(now.forbidden(&format!("{what} cannot be removed")));
        }
        let others = |name: &str| !matches!(name, "cpu" | "memory");
        let same = now
            .entries()
            .filter(|(name, _)| others(name))
            .all(|(name, place)| before.at(&[list, name]).is_some_and(|before| before == place.value));
        if !same {
            out.push(spec.forbidden("only cpu and memory resources are mutable"));
        }
    }
}
