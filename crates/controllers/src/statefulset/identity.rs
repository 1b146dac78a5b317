//! Who is who in a StatefulSet: ordinals, names, and the pods that have them.

use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};
use k8s_openapi::api::core::v1::{
    self as core, PersistentVolumeClaim, PersistentVolumeClaimVolumeSource, Volume,
};

use super::history::{self, History};
use crate::objects::{Meta, Pod, owner, revision, template};

/// The label that tells of which revision a pod is.
pub(super) const REVISION: &str = "controller-revision-hash";
/// The label that has the pod's name.
pub(super) const POD_NAME: &str = "statefulset.kubernetes.io/pod-name";
/// The label that has its ordinal.
pub(super) const POD_INDEX: &str = "apps.kubernetes.io/pod-index";

/// The set's name and the ordinal in the name of a pod.
pub(super) fn parse(pod: &str) -> Option<(&str, i64)> {
    let (set, ordinal) = pod.rsplit_once('-')?;
    let digits = !ordinal.is_empty() && ordinal.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| ordinal.parse::<i32>().ok()).flatten().map(|ordinal| (set, ordinal.into()))
}

/// The ordinal of a pod; -1 if it has none.
pub(super) fn ordinal(pod: &Pod) -> i64 {
    parse(&pod.metadata.name).map_or(-1, |(_, ordinal)| ordinal)
}

pub(super) fn revision_of(pod: &Pod) -> &str {
    pod.metadata.labels.get(REVISION).map(String::as_str).unwrap_or_default()
}

/// The first ordinal, and how many there are.
pub(super) fn range(set: &StatefulSet) -> (i64, i64) {
    let Some(spec) = &set.spec else { return (0, 0) };
    let start = spec.ordinals.as_ref().and_then(|ordinals| ordinals.start).unwrap_or_default();
    (start.into(), spec.replicas.unwrap_or(1).max(0).into())
}

pub(super) fn is_in_range(set: &StatefulSet, ordinal: i64) -> bool {
    let (start, count) = range(set);
    (start..start + count).contains(&ordinal)
}

pub(super) fn pod_name(set: &StatefulSet, ordinal: i64) -> String {
    format!("{}-{ordinal}", set.metadata.name.as_deref().unwrap_or_default())
}

fn templates(set: &StatefulSet) -> impl Iterator<Item = &PersistentVolumeClaim> {
    set.spec.iter().flat_map(|spec| spec.volume_claim_templates.iter().flatten())
}

/// The name of the claim that `template` describes, for an ordinal.
fn claim_name(set: &StatefulSet, template: &PersistentVolumeClaim, ordinal: i64) -> String {
    let volume = template.metadata.name.as_deref().unwrap_or_default();
    format!("{volume}-{}-{ordinal}", set.metadata.name.as_deref().unwrap_or_default())
}

/// The claims of an ordinal, as they are made, in the order of their templates.
pub(super) fn claims(set: &StatefulSet, ordinal: i64) -> Vec<PersistentVolumeClaim> {
    let selector = set.spec.as_ref().and_then(|spec| spec.selector.match_labels.clone());
    let of = |template: &PersistentVolumeClaim| {
        let mut claim = template.clone();
        claim.metadata.name = Some(claim_name(set, template, ordinal));
        claim.metadata.namespace = set.metadata.namespace.clone();
        if let Some(selector) = &selector {
            claim.metadata.labels.get_or_insert_default().extend(selector.clone());
        }
        claim
    };
    templates(set).map(of).collect()
}

/// Whether the pod's volumes are the claims that they should be.
pub(super) fn storage_matches(set: &StatefulSet, pod: &Pod) -> bool {
    let at = ordinal(pod);
    templates(set).all(|template| {
        let name = template.metadata.name.as_deref().unwrap_or_default();
        let volume = pod.spec.volumes.iter().find(|volume| volume.name == name);
        let claim = volume.and_then(|volume| volume.persistent_volume_claim.as_ref());
        claim.is_some_and(|claim| claim.claim_name == claim_name(set, template, at))
    })
}

/// The volumes that an ordinal's claims are.
pub(super) fn volumes(set: &StatefulSet, ordinal: i64) -> Vec<Volume> {
    let of = |template: &PersistentVolumeClaim| Volume {
        name: template.metadata.name.clone().unwrap_or_default(),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
            claim_name: claim_name(set, template, ordinal),
            read_only: None,
        }),
        ..Volume::default()
    };
    templates(set).map(of).collect()
}

/// The pod of an ordinal: of the revision that the rollout comes from, if it has not come to it yet.
pub(super) fn new_pod(set: &StatefulSet, history: &History, ordinal: i64) -> core::Pod {
    let spec = set.spec.clone().unwrap_or_default();
    let strategy = spec.update_strategy.unwrap_or_default();
    let (start, _) = range(set);
    let kept = match &strategy.rolling_update {
        Some(rolling) => rolling.partition.unwrap_or_default(),
        None if strategy.type_.as_deref() == Some("RollingUpdate") => {
            set.status.as_ref().and_then(|status| status.current_replicas).unwrap_or_default()
        }
        None => 0,
    };
    let of = if ordinal < start + i64::from(kept) { &history.current } else { &history.update };
    pod_of(set, of, ordinal)
}

fn pod_of(set: &StatefulSet, of: &ControllerRevision, ordinal: i64) -> core::Pod {
    let meta = Meta::from(&set.metadata);
    let template = revision::template(of).unwrap_or_default();
    let mut pod = template::pod(&template, &meta.namespace, owner::reference::<StatefulSet>(&meta));
    let name = pod_name(set, ordinal);
    pod.metadata.generate_name = Some(format!("{}-", meta.name));
    let labels = pod.metadata.labels.get_or_insert_default();
    labels.insert(POD_NAME.to_owned(), name.clone());
    labels.insert(POD_INDEX.to_owned(), ordinal.to_string());
    labels.insert(REVISION.to_owned(), history::name(of).to_owned());
    pod.metadata.name = Some(name.clone());
    let spec = pod.spec.get_or_insert_default();
    spec.hostname = Some(name);
    spec.subdomain = set.spec.as_ref().and_then(|spec| spec.service_name.clone());
    let mut volumes = volumes(set, ordinal);
    let others = spec.volumes.take().unwrap_or_default();
    let others = others.into_iter().filter(|other| volumes.iter().all(|volume| volume.name != other.name));
    volumes.extend(others.collect::<Vec<_>>());
    spec.volumes = Some(volumes);
    pod
}
