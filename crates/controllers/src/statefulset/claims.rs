//! Whom the claims of a StatefulSet's pods belong to: nobody, the set or the pod, as its retention policy says
//! (KEP-1847).

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{self as core, PersistentVolumeClaim};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::identity;
use crate::objects::{Meta, owner};

/// The pod that claims are looked at for; its UID is empty as long as it has not been created.
pub(super) struct Of {
    set_reference: OwnerReference,
    pod_reference: OwnerReference,
    is_scaled_down: bool,
    when_deleted: bool,
    when_scaled: bool,
}

impl Of {
    pub(super) fn new(set: &StatefulSet, pod: &Meta, ordinal: i64) -> Of {
        let policy = set.spec.as_ref().and_then(|spec| spec.persistent_volume_claim_retention_policy.clone());
        let policy = policy.unwrap_or_default();
        Of {
            set_reference: owner::reference::<StatefulSet>(&Meta::from(&set.metadata)),
            pod_reference: owner::reference::<core::Pod>(pod),
            is_scaled_down: !identity::is_in_range(set, ordinal),
            when_deleted: policy.when_deleted.as_deref() == Some("Delete"),
            when_scaled: policy.when_scaled.as_deref() == Some("Delete"),
        }
    }

    /// Whether the claims are of an earlier pod of that name, and about to go with it.
    pub(super) fn is_stale(&self, claim: &PersistentVolumeClaim) -> bool {
        self.when_scaled && is_of_namesake(claim, &self.pod_reference)
    }

    /// Whether somebody else controls the claim, so that the policy cannot hold.
    pub(super) fn has_stranger(&self, claim: &PersistentVolumeClaim) -> bool {
        (self.when_deleted || self.when_scaled)
            && owners(claim).iter().any(|owner| {
                let ours = [&self.set_reference, &self.pod_reference].into_iter();
                match ours.into_iter().find(|ours| is_named(owner, ours)) {
                    Some(ours) => ours.uid != owner.uid,
                    None => owner.controller == Some(true),
                }
            })
    }

    /// The claim with the owners that it should have; `None` if it has them.
    pub(super) fn mended(&self, claim: &PersistentVolumeClaim) -> Option<PersistentVolumeClaim> {
        if self.is_up_to_date(claim) {
            return None;
        }
        let ours = [&self.set_reference, &self.pod_reference];
        let mut kept: Vec<OwnerReference> = owners(claim)
            .iter()
            .filter(|owner| !ours.iter().any(|ours| is_named(owner, ours)))
            .cloned()
            .collect();
        if !self.has_stranger(claim) {
            let (set, pod) = self.wanted();
            kept.extend(set.then(|| self.set_reference.clone()));
            kept.extend(pod.then(|| self.pod_reference.clone()));
        }
        let mut claim = claim.clone();
        claim.metadata.owner_references = (!kept.is_empty()).then_some(kept);
        Some(claim)
    }

    /// Whether the set and whether the pod should own the claim.
    fn wanted(&self) -> (bool, bool) {
        (
            self.when_deleted && !(self.when_scaled && self.is_scaled_down),
            self.when_scaled && self.is_scaled_down,
        )
    }

    fn is_up_to_date(&self, claim: &PersistentVolumeClaim) -> bool {
        // What earlier ones of the same name left behind is the garbage collector's.
        if is_of_namesake(claim, &self.set_reference) || is_of_namesake(claim, &self.pod_reference) {
            return true;
        }
        let of = |ours: &OwnerReference| owners(claim).iter().find(|owner| owner.uid == ours.uid);
        let (by_set, by_pod) = (of(&self.set_reference), of(&self.pod_reference));
        if self.has_stranger(claim) {
            return by_set.is_none() && by_pod.is_none();
        }
        let controls = |owner: &&OwnerReference| owner.controller == Some(true);
        if !by_set.iter().chain(&by_pod).all(controls) {
            return false;
        }
        self.wanted() == (by_set.is_some(), by_pod.is_some())
    }
}

fn owners(claim: &PersistentVolumeClaim) -> &[OwnerReference] {
    claim.metadata.owner_references.as_deref().unwrap_or_default()
}

fn is_named(a: &OwnerReference, b: &OwnerReference) -> bool {
    (&a.api_version, &a.kind, &a.name) == (&b.api_version, &b.kind, &b.name)
}

fn is_of_namesake(claim: &PersistentVolumeClaim, ours: &OwnerReference) -> bool {
    owners(claim).iter().find(|owner| is_named(owner, ours)).is_some_and(|owner| owner.uid != ours.uid)
}
