//! PersistentVolumeClaim: a request for storage.

use super::pod_spec::defaults::claim;
use super::{claim_spec, resource_names};
use crate::Cause;
use crate::kinds::strategies::fill::{fill, has, parse_quantity, part, restore, round};
use crate::kinds::strategies::rules::{Causes, Place, equal};
use crate::kinds::strategy::{Strategy, Verb};
use crate::names;
use crate::value;
use crate::value::Value;

/// PersistentVolumeClaim: a request for storage.
pub struct PersistentVolumeClaim;

impl Strategy for PersistentVolumeClaim {
    fn default(&self, draft: &mut Value) {
        claim(part(draft, "spec"));
        let status = part(draft, "status");
        fill(status, "phase", "Pending");
        round(status, "capacity");
        round(status, "allocatedResources");
    }

    fn prepare(&self, new: &mut Value, old: Option<&Value>, verb: Verb) {
        if verb == Verb::Create {
            new.set_at(&["status"], value!({"phase": "Pending"}));
        }
        if let Some(spec) = new.at_mut(&["spec"]) {
            settle_sources(spec, old.and_then(|old| old.get("spec")));
        }
    }

    fn returns_deleted(&self) -> bool {
        true
    }

    fn validate(&self, new: &Value, old: Option<&Value>, verb: Verb) -> Vec<Cause> {
        let (claim, mut out) = (Place::root(new), Vec::new());
        let spec = claim.field("spec");
        if let (Verb::UpdateSubresource(_), _) = (verb, old) {
            let status = claim.field("status");
            validate_status(&status, &mut out);
            return out;
        }
        claim_spec::check(&spec, &mut out);
        if let Some(old) = old {
            changed(&claim, old, &mut out);
        }
        out
    }
}

/// Keeps `dataSource`, which names claims and snapshots only and drops anything else in silence, and its successor
/// `dataSourceRef` as one (KEP-1495).
fn settle_sources(spec: &mut Value, old: Option<&Value>) {
    let in_use = old.is_some_and(|old| has(old, "dataSource") || has(old, "dataSourceRef"));
    if !in_use && !has(spec, "dataSourceRef") {
        let source = (
            spec.str_at(&["dataSource", "apiGroup"]).unwrap_or_default(),
            spec.str_at(&["dataSource", "kind"]),
        );
        if !matches!(
            source,
            ("", Some("PersistentVolumeClaim")) | ("snapshot.storage.k8s.io", Some("VolumeSnapshot"))
        ) {
            spec.remove_at(&["dataSource"]);
        }
    }
    let copy = |spec: &Value, from: &str| {
        let mut source = Value::map();
        for field in ["apiGroup", "kind", "name"] {
            if let Some(value) = spec.at(&[from, field]) {
                source.set_at(&[field], value.clone());
            }
        }
        source
    };
    match (has(spec, "dataSource"), has(spec, "dataSourceRef")) {
        (true, false) => spec.set_at(&["dataSourceRef"], copy(spec, "dataSource")),
        (false, true) if spec.at(&["dataSourceRef", "namespace"]).is_none_or(Value::is_empty) => {
            spec.set_at(&["dataSource"], copy(spec, "dataSourceRef"));
        }
        _ => {}
    }
}

const RESIZE_STATES: [&str; 5] = [
    "ControllerResizeInProgress",
    "ControllerResizeInfeasible",
    "NodeResizeInProgress",
    "NodeResizeInfeasible",
    "NodeResizePending",
];

/// What a claim got, and how far making it larger is.
fn validate_status(status: &Place, out: &mut Causes) {
    status.field("capacity").entries().for_each(|(_, amount)| resource_names::measured(&amount, out));
    let states = status.field("allocatedResourceStatuses");
    for (name, state) in states.entries() {
        storage_name(&states, name, out);
        if !RESIZE_STATES.contains(&state.text()) {
            out.push(Cause::not_supported(states.path(), name, &RESIZE_STATES));
        }
    }
    let allocated = status.field("allocatedResources");
    for (name, amount) in allocated.entries() {
        if storage_name(&allocated, name, out) {
            resource_names::measured(&amount, out);
        }
    }
}

/// Whether claims can have the resource.
fn storage_name(map: &Place, name: &str, out: &mut Causes) -> bool {
    let before = out.len();
    out.extend(names::qualified_name(name).iter().map(|why| map.invalid_as(name, why)));
    if out.len() == before && resource_names::is_native(name) && name != "storage" {
        out.push(Cause::not_supported(map.path(), name, &["storage"]));
    }
    out.len() == before
}

const FIXED: &str = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";

/// A claim may be given its volume once, and be made larger once it is bound.
fn changed(claim: &Place, old: &Value, out: &mut Causes) {
    let spec = claim.field("spec");
    let was = old.get("spec").unwrap_or(&Value::Null);
    let mut kept = spec.value.clone();
    if was.get("volumeName").is_none_or(Value::is_empty) {
        kept.remove_at(&["volumeName"]);
    }
    if was.get("storageClassName").is_none_or(Value::is_null) {
        kept.remove_at(&["storageClassName"]);
    }
    if claim.value.str_at(&["status", "phase"]) == Some("Bound") {
        restore(&mut kept, was, &["resources", "requests", "storage"]);
        restore(&mut kept, was, &["volumeAttributesClassName"]);
    }
    if !equal(&kept, was) {
        out.push(spec.forbidden(FIXED));
    }
    let resources = spec.field("resources");
    let requests = resources.field("requests");
    let size = requests.field("storage");
    let quantity =
        |path: &[&str]| old.at(path).map(parse_quantity).unwrap_or(crate::quantity::Quantity::ZERO);
    if size.quantity() < quantity(&["spec", "resources", "requests", "storage"])
        && size.quantity() <= quantity(&["status", "capacity", "storage"])
    {
        out.push(size.forbidden("field can not be less than status.capacity"));
    }
    let mut mode = claim.field("volumeMode");
    mode.value = spec.field("volumeMode").value;
    mode.immutable(was.get("volumeMode"), out);
    let class = spec.field("volumeAttributesClassName");
    if old.at(&["status", "currentVolumeAttributesClassName"]).is_some_and(|current| !current.is_null()) {
        if !class.is_set() {
            let detail = "update to nil is forbidden when status.currentVolumeAttributesClassName is not nil";
            out.push(class.forbidden(detail));
        } else if class.text().is_empty() {
            let detail =
                "update to empty string is forbidden when status.currentVolumeAttributesClassName is not nil";
            out.push(class.forbidden(detail));
        }
    }
}
