//! Fields behind feature gates that are off unless asked for, which no new object gets; who has them keeps them
//! (k8s.io/kubernetes/pkg/api/pod `dropDisabledFields`): `ContainerStopSignals`, `GenericWorkload`,
//! `ClusterTrustBundleProjection`, `PodCertificateRequest`.

use crate::kinds::strategies::core::pod_spec::defaults::CONTAINER_LISTS;
use crate::kinds::strategies::fill::{each, with};
use crate::value::Value;

const PROJECTIONS: [&str; 2] = ["clusterTrustBundle", "podCertificate"];

/// Drops the fields from the pod spec at `path` that the spec before did not have.
pub fn drop_unused(new: &mut Value, old: Option<&Value>, path: &[&str]) {
    let before = old.and_then(|old| old.at(path)).unwrap_or(&Value::Null);
    let Some(spec) = new.at_mut(path) else { return };
    if before.get("schedulingGroup").is_none() {
        spec.remove_at(&["schedulingGroup"]);
    }
    if !has_stop_signal(before) {
        for list in CONTAINER_LISTS {
            each(spec, list, forget_stop_signal);
        }
    }
    for projection in PROJECTIONS.iter().filter(|projection| !has_projection(before, projection)) {
        each(spec, "volumes", |volume| {
            with(volume, "projected", |projected| {
                each(projected, "sources", |source| drop(source.remove_at(&[projection])));
            });
        });
    }
}

fn forget_stop_signal(container: &mut Value) {
    let forgotten = container.remove_at(&["lifecycle", "stopSignal"]).is_some();
    if forgotten && container.get("lifecycle").is_some_and(Value::is_empty) {
        container.remove_at(&["lifecycle"]);
    }
}

fn has_stop_signal(spec: &Value) -> bool {
    let mut containers = CONTAINER_LISTS.iter().flat_map(|list| spec.list_at(&[list]));
    containers.any(|container| container.at(&["lifecycle", "stopSignal"]).is_some())
}

fn has_projection(spec: &Value, projection: &str) -> bool {
    let mut sources =
        spec.list_at(&["volumes"]).iter().flat_map(|volume| volume.list_at(&["projected", "sources"]));
    sources.any(|source| source.get(projection).is_some())
}
