//! What becomes of a volume whose claim is gone.

use std::path::PathBuf;

use decapod_client::{decode, reference};
use k8s_openapi::api::core::v1::PersistentVolume;

use super::{PROVISIONED_BY, volume};
use crate::objects::Meta;
use crate::runtime::{Action, Live, LiveRead, Note, Plan, Write};

/// Those that made it outside delete it, too, whatever is in it.
const MIGRATED_TO: &str = "pv.kubernetes.io/migrated-to";
/// Folders of a machine are only deleted below this one.
const FOLDERS: &str = "/tmp/";

/// What has to be done for a volume that is released, or has failed.
pub(super) fn reclaim(volume: &PersistentVolume, live: &Live) -> Plan {
    let annotations = volume.metadata.annotations.clone().unwrap_or_default();
    if annotations.get(MIGRATED_TO).is_some_and(|driver| !driver.is_empty()) {
        return Plan::nothing();
    }
    let policy = volume.spec.as_ref().and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref());
    match policy.unwrap_or_default() {
        "Retain" => Plan::nothing(),
        "Recycle" => failed(volume, "VolumeFailedRecycle", "No recycler plugin found for the volume!"),
        "Delete" => delete(volume, live),
        _ => {
            let why = "Volume has unrecognized PersistentVolumeReclaimPolicy";
            failed(volume, "VolumeUnknownReclaimPolicy", why)
        }
    }
}

fn failed(of: &PersistentVolume, reason: &'static str, why: &str) -> Plan {
    if volume::phase(of) == "Failed" {
        return Plan::nothing();
    }
    let mut plan = volume::with_phase(of, "Failed", why);
    plan.note(Note::warning(reference(of), reason, why));
    plan
}

/// Deletes what can be deleted here; the rest is left to who made it.
fn delete(of: &PersistentVolume, live: &Live) -> Plan {
    let meta = Meta::from(&of.metadata);
    let spec = of.spec.clone().unwrap_or_default();
    match meta.annotations.get(PROVISIONED_BY).map(String::as_str) {
        Some(by) if !by.is_empty() && !by.starts_with("kubernetes.io/") => return Plan::nothing(),
        _ if spec.csi.is_some() => return Plan::nothing(),
        _ => {}
    }
    let Some(folder) = spec.host_path else {
        let why = format!(
            "error getting deleter volume plugin for volume {:?}: no deletable volume plugin matched",
            meta.name
        );
        return failed(of, "VolumeFailedDelete", &why);
    };
    if !folder.path.starts_with(FOLDERS) || folder.path.len() == FOLDERS.len() || folder.path.contains("..") {
        let why = format!("host_path deleter only supports /tmp/.+ but received provided {}", folder.path);
        return failed(of, "VolumeFailedDelete", &why);
    }
    if let Some(failure) = live.failure.as_ref().filter(|failure| !failure.is_conflict()) {
        return failed(of, "VolumeFailedDelete", &failure.message);
    }
    // Nothing is removed for what an informer has not heard of yet.
    let read = LiveRead::of::<PersistentVolume>("", &meta.name);
    let Some(fresh) = live.object(&read) else { return Plan::ask(vec![read]) };
    let fresh = fresh.and_then(|fresh| decode::<PersistentVolume>(fresh).ok());
    if fresh.is_none_or(|fresh| fresh.metadata.resource_version != of.metadata.resource_version) {
        return Plan::nothing();
    }
    let delete = Write::delete::<PersistentVolume>("", &meta.name, &meta.uid);
    Plan::of(vec![Action::Remove(PathBuf::from(folder.path)), Action::from(delete)])
}
