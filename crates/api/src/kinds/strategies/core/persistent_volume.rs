//! PersistentVolume: storage of the cluster.

use super::pod_spec::defaults::volume_source;
use super::{
    claim_spec,
    pod_spec::validate::{self, scheduling},
    resource_names,
};
use crate::Cause;
use crate::kinds::strategies::checks;
use crate::kinds::strategies::fill::{created_at, fill, part, round, same};
use crate::kinds::strategies::rules::{Causes, Place, equal};
use crate::kinds::strategy::{Strategy, Verb, Writer};
use crate::names;
use crate::value;
use crate::value::Value;

/// Where the time of the last change of phase is kept.
const TRANSITION: [&str; 2] = ["status", "lastPhaseTransitionTime"];

/// PersistentVolume: storage of the cluster.
pub struct PersistentVolume;

impl Strategy for PersistentVolume {
    fn default(&self, draft: &mut Value) {
        fill(part(draft, "status"), "phase", "Pending");
        let spec = part(draft, "spec");
        fill(spec, "persistentVolumeReclaimPolicy", "Retain");
        fill(spec, "volumeMode", "Filesystem");
        round(spec, "capacity");
        volume_source(spec);
    }

    fn prepare(&self, new: &mut Value, old: Option<&Value>, verb: Verb) {
        match (verb, old) {
            (Verb::Create, _) => {
                let created = created_at(new);
                new.set_at(&["status"], value!({"phase": "Pending"}));
                new.set_at(&["status", "lastPhaseTransitionTime"], created);
            }
            (Verb::UpdateSubresource("status"), Some(old)) if same(new, old, &["status", "phase"]) => {
                let before = old.at(&TRANSITION).cloned().unwrap_or_default();
                fill(new.entry_at(&["status"]), "lastPhaseTransitionTime", before);
            }
            _ => {}
        }
    }

    fn stamp(&self, new: &mut Value, old: Option<&Value>, verb: Verb, by: Writer) {
        if let (Verb::UpdateSubresource("status"), Some(old)) = (verb, old) {
            let unset = new.at(&TRANSITION).is_none_or(Value::is_empty) || same(new, old, &TRANSITION);
            if unset && !same(new, old, &["status", "phase"]) {
                new.set_at(&TRANSITION, by.now);
            }
        }
    }

    fn returns_deleted(&self) -> bool {
        true
    }

    fn validate(&self, new: &Value, old: Option<&Value>, verb: Verb) -> Vec<Cause> {
        let (volume, mut out) = (Place::root(new), Vec::new());
        if !matches!(verb, Verb::UpdateSubresource(_)) {
            let spec = volume.field("spec");
            volume_spec(&spec, &mut out);
            if let Some(old) = old {
                changed(&volume, &spec, old.get("spec").unwrap_or(&Value::Null), &mut out);
            }
        }
        out
    }
}

/// The secrets that a driver is given.
const CSI_SECRETS: [&str; 4] = [
    "controllerPublishSecretRef",
    "controllerExpandSecretRef",
    "nodePublishSecretRef",
    "nodeExpandSecretRef",
];
/// Where the storage of a volume can come from.
const SOURCES: [&str; 22] = [
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "flocker",
    "nfs",
    "rbd",
    "quobyte",
    "cephfs",
    "iscsi",
    "cinder",
    "fc",
    "flexVolume",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "scaleIO",
    "local",
    "storageos",
    "csi",
];

fn volume_spec(spec: &Place, out: &mut Causes) {
    claim_spec::access_modes(&spec.field("accessModes"), "", out);
    let capacity = spec.field("capacity");
    if capacity.is_empty() {
        out.push(capacity.required(""));
    }
    if !capacity.key("storage").is_set() || capacity.value.as_map().is_some_and(|map| map.len() > 1) {
        let mut cause = Cause::not_supported(capacity.path(), "", &["storage"]);
        let shown = serde_json::to_string(capacity.value).unwrap_or_default();
        cause.message = format!("Unsupported value: {shown}: supported values: \"storage\"");
        out.push(cause);
    }
    for (_, amount) in capacity.entries() {
        resource_names::measured(&amount, out);
        if amount.quantity().is_zero() || amount.quantity().is_negative() {
            out.push(amount.invalid("must be greater than zero"));
        }
    }
    spec.field("persistentVolumeReclaimPolicy").one_of(&["Delete", "Recycle", "Retain"], out);
    let affinity = spec.field("nodeAffinity");
    if affinity.is_set() {
        if affinity.field("required").is_set() {
            scheduling::node_selector(&affinity.field("required"), true, out);
        } else {
            out.push(affinity.field("required").required("must specify required node constraints"));
        }
    }
    source(spec, out);
    let path = spec.value.str_at(&["hostPath", "path"]).unwrap_or_default();
    if path == "/" && spec.field("persistentVolumeReclaimPolicy").text() == "Recycle" {
        let detail = "may not be 'recycle' for a hostPath mount of '/'";
        out.push(spec.field("persistentVolumeReclaimPolicy").forbidden(detail));
    }
    spec.field("storageClassName").check_if_set(names::subdomain, out);
    claim_spec::volume_mode(&spec.field("volumeMode"), out);
    let class = spec.field("volumeAttributesClassName");
    if class.is_set() {
        if class.text().is_empty() {
            out.push(class.required("an empty string is disallowed"));
        }
        class.check_if_set(names::subdomain, out);
        if !spec.field("csi").is_set() {
            out.push(spec.field("csi").required("has to be specified when using volumeAttributesClassName"));
        }
    }
}

fn source(spec: &Place, out: &mut Causes) {
    let mut found = false;
    for name in SOURCES {
        let source = spec.field(name);
        if !source.is_set() {
            continue;
        }
        if std::mem::replace(&mut found, true) {
            out.push(source.forbidden("may not specify more than 1 volume type"));
            continue;
        }
        match name {
            "hostPath" => validate::volume_source_path(&source, out),
            "local" => {
                source.field("path").need_checked(checks::no_backsteps, out);
                if !spec.field("nodeAffinity").is_set() {
                    out.push(spec.field("nodeAffinity").required("Local volume requires node affinity"));
                }
            }
            "csi" => {
                validate::driver_name(&source.field("driver"), out);
                source.field("volumeHandle").need(out);
                for secret in CSI_SECRETS.iter().filter(|secret| source.field(secret).is_set()) {
                    let secret = source.field(secret);
                    secret.field("name").need_checked(names::subdomain, out);
                    secret.field("namespace").need_checked(names::label, out);
                }
            }
            other => {
                validate::storage_sources::check(other, spec, out);
                namespaces(&source, out);
            }
        }
    }
    if !found {
        out.push(spec.required("must specify a volume type"));
    }
}

/// What persistent volumes refer to may be in any namespace, but has to be in one.
fn namespaces(source: &Place, out: &mut Causes) {
    let secret = source.field("secretRef");
    if secret.is_set() {
        secret.field("namespace").need(out);
    }
    if source.field("secretNamespace").is_set() {
        source.field("secretNamespace").need(out);
    }
    let endpoints = source.field("endpointsNamespace");
    if endpoints.is_set() && endpoints.text().is_empty() {
        let detail = "if the endpointnamespace is set, it must be a valid namespace name";
        out.push(endpoints.invalid(detail));
    }
    endpoints.check_if_set(names::label, out);
}

/// Where a volume is does not change.
fn changed(volume: &Place, spec: &Place, was: &Value, out: &mut Causes) {
    let source =
        |spec: &Value| -> Vec<Option<Value>> { SOURCES.iter().map(|name| spec.get(name).cloned()).collect() };
    let mut now = spec.value.clone();
    const SECRET: [&str; 2] = ["csi", "controllerExpandSecretRef"];
    if was.get("csi").is_some() && was.at(&SECRET).is_none_or(Value::is_null) {
        now.remove_at(&SECRET);
    }
    if source(&now) != source(was) {
        let place = spec.field("persistentvolumesource");
        out.push(place.forbidden("spec.persistentvolumesource is immutable after creation"));
    }
    let mut mode = volume.field("volumeMode");
    mode.value = spec.field("volumeMode").value;
    mode.immutable(was.get("volumeMode"), out);
    let affinity = was.get("nodeAffinity").filter(|affinity| !affinity.is_null());
    if affinity.is_some_and(|affinity| !equal(affinity, spec.field("nodeAffinity").value)) {
        let mut place = volume.field("nodeAffinity");
        place.value = spec.field("nodeAffinity").value;
        out.push(place.invalid("field is immutable, except for updating from beta label to GA"));
    }
    let class = spec.field("volumeAttributesClassName");
    if was.get("volumeAttributesClassName").is_some_and(|class| !class.is_null()) && !class.is_set() {
        out.push(class.forbidden("update from non-nil value to nil is forbidden"));
    }
}
