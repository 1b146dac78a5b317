//! What a volume is: free, bound, or without its claim.

use std::time::Duration;

use decapod_client::{decode, reference};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, PersistentVolumeStatus};

use super::{BOUND_BY_CONTROLLER, PROVISIONED_BY, matching, reclaim};
use crate::runtime::{Live, LiveRead, Note, Plan, Write};

/// What is known of a volume.
#[derive(Clone, Debug)]
pub struct State {
    /// Itself.
    pub volume: PersistentVolume,
    /// The claim of the name that it is bound to.
    pub claim: Option<PersistentVolumeClaim>,
}

pub(super) fn phase(volume: &PersistentVolume) -> &str {
    volume.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

pub(super) fn reconcile(state: &State, live: &Live) -> Plan {
    let volume = &state.volume;
    let of = volume.spec.as_ref().and_then(|spec| spec.claim_ref.clone()).unwrap_or_default();
    let Some(uid) = of.uid.filter(|uid| !uid.is_empty()) else {
        return with_phase(volume, "Available", "");
    };
    let is_it = |claim: &PersistentVolumeClaim| claim.metadata.uid.as_ref() == Some(&uid);
    let mut claim = state.claim.clone().filter(is_it);
    let is_over = matches!(phase(volume), "Released" | "Failed");
    if claim.is_none() && (!is_over || state.claim.is_some()) {
        // The informer may not know it yet, or know the one before.
        let (namespace, name) = (of.namespace.unwrap_or_default(), of.name.unwrap_or_default());
        let read = LiveRead::of::<PersistentVolumeClaim>(&namespace, &name);
        let Some(found) = live.object(&read) else { return Plan::ask(vec![read]) };
        claim = found.and_then(|found| decode(found).ok()).filter(is_it);
    }
    let Some(claim) = claim else { return release(volume, live) };
    let named = claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref()).unwrap_or_default();
    if named.is_empty() {
        return if matching::modes_differ(volume, &claim) {
            mismatch(volume, &claim)
        } else {
            Plan::nothing()
        };
    }
    if Some(named) == volume.metadata.name.as_deref() {
        return with_phase(volume, "Bound", "");
    }
    // The claim has another volume.
    let annotations = volume.metadata.annotations.clone().unwrap_or_default();
    let policy = volume.spec.as_ref().and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref());
    if annotations.contains_key(PROVISIONED_BY) && policy == Some("Delete") {
        return release(volume, live);
    }
    unbind(volume)
}

fn mismatch(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> Plan {
    let (of_volume, of_claim) =
        (volume.metadata.name.clone().unwrap_or_default(), claim.metadata.name.clone().unwrap_or_default());
    let mut plan = Plan::nothing();
    let message = format!(
        "Cannot bind PersistentVolume to requested PersistentVolumeClaim {of_claim:?} due to incompatible volumeMode."
    );
    plan.note(Note::warning(reference(volume), "VolumeMismatch", message));
    let message = format!(
        "Cannot bind PersistentVolume {of_volume:?} to requested PersistentVolumeClaim due to incompatible volumeMode."
    );
    plan.note(Note::warning(reference(claim), "VolumeMismatch", message));
    plan
}

/// The claim is gone: that is said first, and then done about what the volume's policy is.
fn release(volume: &PersistentVolume, live: &Live) -> Plan {
    if !matches!(phase(volume), "Released" | "Failed") {
        let released = with_phase(volume, "Released", "");
        return Plan { again_after: Some(Duration::ZERO), ..released };
    }
    reclaim::reclaim(volume, live)
}

/// The volume forgets its claim; or, if somebody else chose that claim, which one of that name it was.
fn unbind(volume: &PersistentVolume) -> Plan {
    let mut free = volume.clone();
    let annotations = free.metadata.annotations.get_or_insert_default();
    let by_controller = annotations.remove(BOUND_BY_CONTROLLER).is_some();
    let spec = free.spec.get_or_insert_default();
    match &mut spec.claim_ref {
        Some(of) if !by_controller => of.uid = None,
        of => *of = None,
    }
    let mut plan = Plan { again_after: Some(Duration::ZERO), ..Plan::nothing() };
    plan.write(Write::update(&free));
    plan
}

/// Writes the volume's phase, if that is news.
pub(super) fn with_phase(volume: &PersistentVolume, wanted: &str, message: &str) -> Plan {
    let mut plan = Plan::nothing();
    if phase(volume) != wanted {
        let status = PersistentVolumeStatus {
            phase: Some(wanted.to_owned()),
            message: (!message.is_empty()).then(|| message.to_owned()),
            ..volume.status.clone().unwrap_or_default()
        };
        plan.write(Write::update_status(&PersistentVolume { status: Some(status), ..volume.clone() }));
    }
    plan
}
