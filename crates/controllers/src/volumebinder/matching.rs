//! Which volume fits a claim (k8s.io/component-helpers/storage/volume, `FindMatchingVolume`).

use decapod_api::quantity::Quantity;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;

use crate::objects::labels;

const CLASS: &str = "volume.beta.kubernetes.io/storage-class";

/// The class of a claim; empty if it has none.
pub(super) fn class_of_claim(claim: &PersistentVolumeClaim) -> &str {
    let annotated = claim.metadata.annotations.as_ref().and_then(|annotations| annotations.get(CLASS));
    let named = claim.spec.as_ref().and_then(|spec| spec.storage_class_name.as_ref());
    annotated.or(named).map(String::as_str).unwrap_or_default()
}

/// Whether a claim says of which class it is, be it of none.
pub(super) fn says_class(claim: &PersistentVolumeClaim) -> bool {
    let is_annotated =
        claim.metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(CLASS));
    is_annotated || claim.spec.as_ref().is_some_and(|spec| spec.storage_class_name.is_some())
}

fn class_of_volume(volume: &PersistentVolume) -> &str {
    let annotated = volume.metadata.annotations.as_ref().and_then(|annotations| annotations.get(CLASS));
    let named = volume.spec.as_ref().and_then(|spec| spec.storage_class_name.as_ref());
    annotated.or(named).map(String::as_str).unwrap_or_default()
}

/// Whether a claim of this class waits until a pod that uses it is scheduled.
pub(super) fn waits_for_consumer(class: Option<&StorageClass>) -> bool {
    class.is_some_and(|class| class.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer"))
}

/// The class of claims that do not say: the newest of those marked so.
pub(super) fn default_class(classes: &[StorageClass]) -> Option<&StorageClass> {
    let is_default = |class: &&StorageClass| {
        let annotation = |key: &str| class.metadata.annotations.as_ref()?.get(key);
        ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"]
            .iter()
            .any(|key| annotation(key).is_some_and(|value| value == "true"))
    };
    let created = |class: &StorageClass| class.metadata.creation_timestamp.as_ref().map(|time| time.0);
    classes
        .iter()
        .filter(is_default)
        .min_by(|a, b| created(b).cmp(&created(a)).then_with(|| a.metadata.name.cmp(&b.metadata.name)))
}

/// Whether the volume is kept for the claim.
pub(super) fn is_bound_to(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let Some(of) = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref()) else { return false };
    let meta = &claim.metadata;
    let uid = of.uid.as_ref().filter(|uid| !uid.is_empty());
    of.name == meta.name
        && of.namespace == meta.namespace
        && uid.is_none_or(|uid| Some(uid) == meta.uid.as_ref())
}

/// The storage of a volume.
fn capacity(volume: &PersistentVolume) -> Quantity {
    let capacity = volume.spec.as_ref().and_then(|spec| spec.capacity.as_ref()?.get("storage"));
    capacity.and_then(|quantity| Quantity::parse(&quantity.0).ok()).unwrap_or(Quantity::ZERO)
}

/// The storage that a claim asks for.
fn asked(claim: &PersistentVolumeClaim) -> Quantity {
    let requests = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref()?.requests.as_ref());
    let asked = requests.and_then(|requests| requests.get("storage"));
    asked.and_then(|quantity| Quantity::parse(&quantity.0).ok()).unwrap_or(Quantity::ZERO)
}

/// Whether one is a file system and the other a device.
pub(super) fn modes_differ(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let of_volume = volume.spec.as_ref().and_then(|spec| spec.volume_mode.as_deref());
    let of_claim = claim.spec.as_ref().and_then(|spec| spec.volume_mode.as_deref());
    of_volume.unwrap_or("Filesystem") != of_claim.unwrap_or("Filesystem")
}

fn access_modes(volume: &PersistentVolume) -> Vec<String> {
    let mut modes = volume.spec.as_ref().and_then(|spec| spec.access_modes.clone()).unwrap_or_default();
    modes.sort_unstable();
    modes.dedup();
    modes
}

fn allows(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let modes = access_modes(volume);
    let asked = claim.spec.as_ref().and_then(|spec| spec.access_modes.as_ref());
    asked.into_iter().flatten().all(|mode| modes.contains(mode))
}

fn attributes_differ(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let of_volume = volume.spec.as_ref().and_then(|spec| spec.volume_attributes_class_name.as_deref());
    let of_claim = claim.spec.as_ref().and_then(|spec| spec.volume_attributes_class_name.as_deref());
    of_volume.unwrap_or_default() != of_claim.unwrap_or_default()
}

/// The best volume for `claim`: the one that is kept for it, else the smallest that is large enough, of those with the
/// fewest access modes. If it waits for a consumer, only one that is kept for it.
pub(super) fn best<'a>(
    claim: &PersistentVolumeClaim,
    volumes: &'a [PersistentVolume],
    waits: bool,
) -> Option<&'a PersistentVolume> {
    let mut sets: Vec<Vec<String>> =
        volumes.iter().filter(|volume| allows(volume, claim)).map(access_modes).collect();
    sets.sort_by(|a, b| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
    sets.dedup();
    sets.iter().find_map(|modes| {
        let with_modes: Vec<&PersistentVolume> =
            volumes.iter().filter(|volume| access_modes(volume) == *modes).collect();
        best_of(claim, &with_modes, waits)
    })
}

fn best_of<'a>(
    claim: &PersistentVolumeClaim,
    volumes: &[&'a PersistentVolume],
    waits: bool,
) -> Option<&'a PersistentVolume> {
    let spec = claim.spec.as_ref()?;
    let could = |volume: &&&PersistentVolume| {
        let is_taken = volume.spec.as_ref().is_some_and(|spec| spec.claim_ref.is_some());
        (!is_taken || is_bound_to(volume, claim))
            && capacity(volume) >= asked(claim)
            && !modes_differ(volume, claim)
            && !attributes_differ(volume, claim)
            && volume.metadata.deletion_timestamp.is_none()
    };
    let could: Vec<&PersistentVolume> = volumes.iter().filter(could).copied().collect();
    if let Some(kept) = could.iter().find(|volume| is_bound_to(volume, claim)) {
        return Some(kept);
    }
    let none = labels::Labels::new();
    let fits = |volume: &&&PersistentVolume| {
        volume.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Available")
            && class_of_volume(volume) == class_of_claim(claim)
            && spec.selector.as_ref().is_none_or(|selector| {
                labels::selects(selector, volume.metadata.labels.as_ref().unwrap_or(&none))
            })
    };
    could.iter().filter(fits).filter(|_| !waits).min_by_key(|volume| capacity(volume)).copied()
}

/// Why `volume`, which `claim` asks for by name, is not for it.
pub(super) fn why_not(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> Option<String> {
    if volume.metadata.deletion_timestamp.is_some() {
        let name = volume.metadata.name.as_deref().unwrap_or_default();
        return Some(format!("the volume is marked for deletion {name:?}"));
    }
    let why = match () {
        () if capacity(volume).value() < asked(claim).value() => "requested PV is too small",
        () if class_of_volume(volume) != class_of_claim(claim) => "storageClassName does not match",
        () if attributes_differ(volume, claim) => "volumeAttributesClassName does not match",
        () if modes_differ(volume, claim) => "incompatible volumeMode",
        () if !allows(volume, claim) => "incompatible accessMode",
        () => return None,
    };
    Some(why.to_owned())
}
