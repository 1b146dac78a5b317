//! How many pods there should be, which their controllers say.

use std::collections::BTreeMap;

use decapod_api::meta::GroupVersionResource;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use crate::objects::Pod;
use crate::runtime::{Live, LiveRead};

/// What is known of how many pods a controller wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scale {
    /// The controller of this UID, which may be one further up, wants so many.
    Known(String, i32),
    /// The server knows, if this is a resource and has a scale.
    Ask(Option<GroupVersionResource>),
    /// There is no such controller.
    Unknown,
}

/// What came of counting.
pub(super) enum Count {
    /// So many, beside pods that nobody controls.
    Is { expected: i32, has_unmanaged: bool },
    /// It takes more reads.
    Ask(Vec<LiveRead>),
    /// It cannot be said.
    Fails(String),
}

/// How many pods the controllers of `pods` want in all.
pub(super) fn count(pods: &[Pod], scales: &BTreeMap<String, Scale>, live: &Live) -> Count {
    let (mut wanted, mut reads) = (BTreeMap::<String, i32>::new(), Vec::new());
    let mut has_unmanaged = false;
    let mut seen: Vec<&str> = Vec::new();
    for pod in pods {
        let Some(owner) = pod.metadata.controller() else {
            has_unmanaged = true;
            continue;
        };
        if seen.contains(&owner.uid.as_str()) {
            continue;
        }
        seen.push(&owner.uid);
        let none = || format!("found no controllers for pod {:?}", pod.metadata.name);
        match scales.get(&owner.uid) {
            Some(Scale::Known(uid, replicas)) => drop(wanted.insert(uid.clone(), *replicas)),
            Some(Scale::Ask(Some(resource))) => match ask(pod, owner, resource, live) {
                Ok(Some(replicas)) => drop(wanted.insert(owner.uid.clone(), replicas)),
                Ok(None) => return Count::Fails(none()),
                Err(Count::Ask(more)) => reads.extend(more),
                Err(failed) => return failed,
            },
            Some(Scale::Ask(None)) => {
                let (kind, version) = (&owner.kind, &owner.api_version);
                return Count::Fails(format!("no matches for kind {kind:?} in version {version:?}"));
            }
            Some(Scale::Unknown) | None => return Count::Fails(none()),
        }
    }
    if reads.is_empty() {
        Count::Is { expected: wanted.values().sum(), has_unmanaged }
    } else {
        Count::Ask(reads)
    }
}

/// The scale of a controller of any kind; `None` if the controller is gone.
fn ask(
    pod: &Pod,
    owner: &OwnerReference,
    resource: &GroupVersionResource,
    live: &Live,
) -> Result<Option<i32>, Count> {
    let namespace = &pod.metadata.namespace;
    let scale = LiveRead::part(resource.clone(), namespace, &owner.name, "scale");
    let whole = LiveRead::object(resource.clone(), namespace, &owner.name);
    let Some(found) = live.object(&scale) else { return Err(Count::Ask(vec![scale])) };
    if let Some(found) = found {
        let replicas = found.raw(&["spec", "replicas"]).and_then(|text| std::str::from_utf8(text).ok());
        let replicas = replicas.and_then(|text| text.parse().ok()).unwrap_or_default();
        return Ok((found.uid() == owner.uid.as_str()).then_some(replicas));
    }
    // Either it is not there, or its kind has none.
    match live.object(&whole) {
        None => Err(Count::Ask(vec![whole])),
        Some(None) => Ok(None),
        Some(Some(_)) => Err(Count::Fails(format!(
            "{} does not implement the scale subresource",
            resource.group_resource()
        ))),
    }
}
