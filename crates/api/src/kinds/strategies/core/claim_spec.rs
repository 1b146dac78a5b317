//! Faults of claims' specs: in claims, in the templates of StatefulSets, in ephemeral volumes (upstream's
//! `ValidatePersistentVolumeClaimSpec`).

use super::resource_names;
use crate::Cause;
use crate::kinds::strategies::rules::{Causes, Place};
use crate::names;

const ACCESS_MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
const VOLUME_MODES: [&str; 2] = ["Block", "Filesystem"];

/// The spec of a claim.
pub fn check(spec: &Place, out: &mut Causes) {
    access_modes(&spec.field("accessModes"), "at least 1 access mode is required", out);
    spec.field("selector").label_selector(out);
    let resources = spec.field("resources");
    let requests = resources.field("requests");
    let mut storage = resources.key("storage");
    storage.value = requests.key("storage").value;
    if !storage.is_set() {
        out.push(storage.required(""));
    } else if storage.quantity().is_zero() || storage.quantity().is_negative() {
        out.push(storage.invalid("must be greater than zero"));
    } else {
        resource_names::amount("storage", &storage, out);
    }
    spec.field("storageClassName").check_if_set(names::subdomain, out);
    spec.field("volumeMode").one_of_if_set(&VOLUME_MODES, out);
    for source in ["dataSource", "dataSourceRef"] {
        if spec.field(source).is_set() {
            data_source(&spec.field(source), out);
        }
    }
    let (source, reference) = (spec.field("dataSource"), spec.field("dataSourceRef"));
    if source.is_set() && reference.is_set() {
        let path = source.path();
        if !reference.field("namespace").text().is_empty() {
            out.push(spec.invalid_as(path, "may not be specified when dataSourceRef.namespace is specified"));
        } else if ["apiGroup", "kind", "name"]
            .iter()
            .any(|f| source.field(f).value != reference.field(f).value)
        {
            out.push(spec.invalid_as(path, "must match dataSourceRef"));
        }
    }
    spec.field("volumeAttributesClassName").check_if_set(names::subdomain, out);
}

/// How a volume may be used, of a claim or of the volume itself.
pub fn access_modes(modes: &Place, missing: &str, out: &mut Causes) {
    if modes.list().is_empty() {
        out.push(modes.required(missing));
    }
    for mode in modes.items().filter(|mode| !ACCESS_MODES.contains(&mode.text())) {
        out.push(Cause::not_supported(modes.path(), mode.text(), &ACCESS_MODES));
    }
    let is_single = |mode: &Place| mode.text() == "ReadWriteOncePod";
    let is_other = |mode: &Place| !is_single(mode) && ACCESS_MODES.contains(&mode.text());
    if modes.items().any(|mode| is_single(&mode)) && modes.items().any(|mode| is_other(&mode)) {
        out.push(modes.forbidden("may not use ReadWriteOncePod with other access modes"));
    }
}

/// The mode of a volume: files or blocks.
pub fn volume_mode(mode: &Place, out: &mut Causes) {
    mode.one_of_if_set(&VOLUME_MODES, out);
}

fn data_source(source: &Place, out: &mut Causes) {
    source.field("name").need(out);
    source.field("kind").need(out);
    let (group, kind) = (source.field("apiGroup"), source.field("kind").text());
    if group.text().is_empty() && kind != "PersistentVolumeClaim" {
        let detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
        out.push(source.invalid_as(kind, detail));
    }
    group.check_if_set(names::subdomain, out);
    source.field("namespace").check_if_set(names::label, out);
}
