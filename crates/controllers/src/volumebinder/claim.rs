//! A claim's way to a volume.

use std::time::Duration;

use decapod_client::reference;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimStatus};
use k8s_openapi::api::storage::v1::StorageClass;

use super::matching::{self, class_of_claim, is_bound_to};
use super::{BIND_COMPLETED, BOUND_BY_CONTROLLER, SELECTED_NODE, provisioning, volume};
use crate::objects::status::same;
use crate::runtime::{Note, Plan, Write};

/// What is known of a claim.
#[derive(Clone, Debug)]
pub struct State {
    /// Itself.
    pub claim: PersistentVolumeClaim,
    /// The volume that it names, as far as it is there; all volumes, if it names none.
    pub volumes: Vec<PersistentVolume>,
    /// All classes.
    pub classes: Vec<StorageClass>,
    /// The names of pods that use it and wait for a node.
    pub unscheduled: Vec<String>,
}

pub(super) fn reconcile(state: &State) -> Plan {
    let is_complete = has(&state.claim, BIND_COMPLETED);
    let named = state.claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref()).unwrap_or_default();
    match (is_complete, named, state.volumes.first()) {
        (false, "", _) => choose(state),
        (false, _, None) => with_phase(&state.claim, "Pending", None),
        (false, _, Some(volume)) => ask_for(&state.claim, volume),
        (true, "", _) => {
            let why = "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!";
            lost(&state.claim, "ClaimLost", why)
        }
        (true, _, None) => {
            let why = "Bound claim has lost its PersistentVolume. Data on the volume is lost!";
            lost(&state.claim, "ClaimLost", why)
        }
        (true, _, Some(volume)) => {
            let of = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
            if of.is_none_or(|of| of.uid == state.claim.metadata.uid) {
                bind(volume, &state.claim)
            } else {
                let why = "Two claims are bound to the same volume, this one is bound incorrectly";
                lost(&state.claim, "ClaimMisbound", why)
            }
        }
    }
}

fn has(claim: &PersistentVolumeClaim, annotation: &str) -> bool {
    claim.metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(annotation))
}

/// A claim that takes any volume that fits.
fn choose(state: &State) -> Plan {
    let claim = &state.claim;
    let class = class_of_claim(claim);
    let found = state.classes.iter().find(|one| one.metadata.name.as_deref() == Some(class));
    let waits = matching::waits_for_consumer(found);
    if let Some(volume) = matching::best(claim, &state.volumes, waits) {
        return bind(volume, claim);
    }
    if let Some(default) = matching::default_class(&state.classes).filter(|_| !matching::says_class(claim)) {
        let mut classed = claim.clone();
        classed.spec.get_or_insert_default().storage_class_name = default.metadata.name.clone();
        let mut plan = Plan::nothing();
        plan.write(Write::update(&classed));
        return plan;
    }
    let mut plan = Plan::nothing();
    if waits && !has(claim, SELECTED_NODE) {
        let (reason, message) = match state.unscheduled.as_slice() {
            [] => {
                ("WaitForFirstConsumer", "waiting for first consumer to be created before binding".to_owned())
            }
            [pod] => ("WaitForPodScheduled", format!("waiting for pod {pod} to be scheduled")),
            pods => ("WaitForPodScheduled", format!("waiting for pods {} to be scheduled", pods.join(","))),
        };
        plan.note(Note::normal(reference(claim), reason, message));
    } else if !class.is_empty() {
        return provisioning::ask(claim, &state.classes);
    } else {
        let message = "no persistent volumes available for this claim and no storage class is set";
        plan.note(Note::normal(reference(claim), "FailedBinding", message));
    }
    plan.actions.extend(with_phase(claim, "Pending", None).actions);
    plan
}

/// A claim that asks for this one volume.
fn ask_for(claim: &PersistentVolumeClaim, volume: &PersistentVolume) -> Plan {
    let is_free = volume.spec.as_ref().is_some_and(|spec| spec.claim_ref.is_none());
    let name = volume.metadata.name.as_deref().unwrap_or_default();
    let refusal = match (is_free, matching::why_not(volume, claim)) {
        (true, None) => return bind(volume, claim),
        (true, Some(why)) => ("VolumeMismatch", format!("Cannot bind to requested volume {name:?}: {why}")),
        (false, _) if is_bound_to(volume, claim) => return bind(volume, claim),
        (false, _) => ("FailedBinding", format!("volume {name:?} already bound to a different claim.")),
    };
    let mut plan = Plan::nothing();
    plan.note(Note::warning(reference(claim), refusal.0, refusal.1));
    plan.actions.extend(with_phase(claim, "Pending", None).actions);
    plan
}

/// The next step of a binding: the volume names the claim; it is bound, and the claim names it; the claim is bound.
pub(super) fn bind(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> Plan {
    let mut plan = Plan { again_after: Some(Duration::ZERO), ..Plan::nothing() };
    if let Some(naming) = naming(volume, claim) {
        plan.write(Write::update(&naming));
        return plan;
    }
    plan.actions.extend(volume::with_phase(volume, "Bound", "").actions);
    let mut named = claim.clone();
    let spec = named.spec.get_or_insert_default();
    let annotations = named.metadata.annotations.get_or_insert_default();
    if spec.volume_name != volume.metadata.name {
        spec.volume_name = volume.metadata.name.clone();
        annotations.entry(BOUND_BY_CONTROLLER.to_owned()).or_insert_with(|| "yes".to_owned());
    }
    annotations.entry(BIND_COMPLETED.to_owned()).or_insert_with(|| "yes".to_owned());
    if !same(&named, claim) {
        plan.write(Write::update(&named));
        return plan;
    }
    plan.actions.extend(with_phase(claim, "Bound", Some(volume)).actions);
    plan.again_after = None;
    plan
}

/// The volume naming the claim; `None` if it does.
fn naming(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> Option<PersistentVolume> {
    let mut naming = volume.clone();
    let spec = naming.spec.get_or_insert_default();
    let of = spec.claim_ref.clone().unwrap_or_default();
    let meta = &claim.metadata;
    if (&of.name, &of.namespace, &of.uid) == (&meta.name, &meta.namespace, &meta.uid) {
        return None;
    }
    spec.claim_ref = Some(reference(claim));
    if !is_bound_to(volume, claim) {
        let annotations = naming.metadata.annotations.get_or_insert_default();
        annotations.insert(BOUND_BY_CONTROLLER.to_owned(), "yes".to_owned());
    }
    Some(naming)
}

/// Writes the claim's phase, and what it has of `volume`, if that is news.
fn with_phase(claim: &PersistentVolumeClaim, phase: &str, volume: Option<&PersistentVolume>) -> Plan {
    let old = claim.status.clone().unwrap_or_default();
    let mut new = PersistentVolumeClaimStatus { phase: Some(phase.to_owned()), ..old.clone() };
    let of = volume.and_then(|volume| volume.spec.as_ref());
    new.access_modes = of.and_then(|spec| spec.access_modes.clone());
    match of {
        None => (new.capacity, new.current_volume_attributes_class_name) = (None, None),
        // What a volume that grows has is told by whoever lets it grow.
        Some(spec) if old.phase.as_deref() != Some(phase) => {
            new.capacity = spec.capacity.clone();
            if old.phase.as_deref() == Some("Pending") {
                new.current_volume_attributes_class_name = spec.volume_attributes_class_name.clone();
            }
        }
        Some(_) => {}
    }
    let mut plan = Plan::nothing();
    if !same(&old, &new) {
        plan.write(Write::update_status(&PersistentVolumeClaim { status: Some(new), ..claim.clone() }));
    }
    plan
}

fn lost(claim: &PersistentVolumeClaim, reason: &'static str, why: &str) -> Plan {
    if claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Lost") {
        return Plan::nothing();
    }
    let mut plan = with_phase(claim, "Lost", None);
    plan.note(Note::warning(reference(claim), reason, why));
    plan
}
