//! Services, as the controllers of their endpoints see them.

use std::collections::BTreeMap;

use decapod_api::{Object, raw};
use decapod_client::{Change, Informer, ObjectKey};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::meta::view;
use super::{Meta, Pod};

/// The label of what belongs to a Service without an address of its own.
pub const HEADLESS: &str = "service.kubernetes.io/headless";

/// Whether `service` selects pods: an ExternalName has none, and without a selector others see to its endpoints.
pub fn is_selecting(service: &core::Service) -> bool {
    let spec = service.spec.as_ref();
    spec.is_some_and(|spec| {
        spec.type_.as_deref() != Some("ExternalName")
            && spec.selector.as_ref().is_some_and(|selector| !selector.is_empty())
    })
}

/// Whether `service` has an address of its own.
pub fn has_address(service: &core::Service) -> bool {
    let address = service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref());
    address.is_some_and(|address| !address.is_empty() && address != "None")
}

/// Whether `pod` may be an endpoint at all.
pub fn is_candidate(pod: &Pod, with_terminating: bool) -> bool {
    let has_address = !pod.status.pod_ip.is_empty() || !pod.status.pod_ips.is_empty();
    !pod.is_terminal() && has_address && (with_terminating || !pod.metadata.is_deleting())
}

/// All addresses of `pod`.
pub fn addresses(pod: &Pod) -> Vec<String> {
    let addresses: Vec<String> =
        pod.status.pod_ips.iter().map(|one| one.ip.clone()).filter(|ip| !ip.is_empty()).collect();
    if addresses.is_empty() { vec![pod.status.pod_ip.clone()] } else { addresses }
}

/// The host name that `pod` has within `service`.
pub fn hostname(pod: &Pod, service: &Meta) -> Option<String> {
    let has = !pod.spec.hostname.is_empty() && pod.spec.subdomain == service.name;
    has.then(|| pod.spec.hostname.clone())
}

/// The number of the port of `pod` that `port` leads to.
pub fn target_port(pod: &Pod, port: &core::ServicePort) -> Option<i32> {
    match &port.target_port {
        None => Some(port.port),
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::String(name)) => {
            let sidecars =
                pod.spec.init_containers.iter().filter(|container| container.restart_policy == "Always");
            let protocol =
                |protocol: &str| if protocol.is_empty() { "TCP".to_owned() } else { protocol.to_owned() };
            let wanted = protocol(port.protocol.as_deref().unwrap_or_default());
            let ports = pod.spec.containers.iter().chain(sidecars).flat_map(|container| &container.ports);
            let mut ports = ports.filter(|one| one.name == *name && protocol(&one.protocol) == wanted);
            ports.next().map(|port| port.container_port)
        }
    }
}

/// The pods that `service` selects, as bytes: only those that match are ever decoded.
pub fn selected(pods: Vec<Object>, service: &core::Service) -> Vec<Object> {
    let selector = service.spec.as_ref().and_then(|spec| spec.selector.clone()).unwrap_or_default();
    pods.into_iter().filter(|pod| selects(&selector, pod)).collect()
}

fn selects(selector: &BTreeMap<String, String>, pod: &Object) -> bool {
    selector.iter().all(|(key, value)| pod.label(key).as_deref() == Some(value))
}

/// The Services whose endpoints a change of a pod may concern.
pub fn concerned(change: &Change, services: &Informer<core::Service>) -> Vec<ObjectKey> {
    let (old, new) = (change.old.as_ref(), change.new.as_ref());
    if old.zip(new).is_some_and(|(old, new)| is_alike(old, new)) {
        return Vec::new();
    }
    let services = services.untyped().namespaced(&change.key.namespace);
    let concerned = services.iter().filter(|service| {
        let selector = service.raw(&["spec", "selector"]).and_then(raw::fields);
        let selector: BTreeMap<String, String> = selector
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some((raw::text(key)?.into_owned(), raw::text(value)?.into_owned())))
            .collect();
        !selector.is_empty() && [old, new].into_iter().flatten().any(|pod| selects(&selector, pod))
    });
    concerned.map(ObjectKey::of).collect()
}

/// Whether two states of a pod make the same endpoint.
fn is_alike(old: &Object, new: &Object) -> bool {
    let paths: [&[&str]; 7] = [
        &["metadata", "uid"],
        &["metadata", "labels"],
        &["metadata", "deletionTimestamp"],
        &["spec", "nodeName"],
        &["spec", "hostname"],
        &["status", "phase"],
        &["status", "podIPs"],
    ];
    let is_ready = |pod: &Object| view::<Pod>(pod).is_some_and(|pod| pod.is_ready());
    paths.iter().all(|path| old.raw(path) == new.raw(path)) && is_ready(old) == is_ready(new)
}
