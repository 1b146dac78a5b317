//! What the slices of a Service should hold, and how to get there with few writes.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1::{
    Endpoint, EndpointConditions, EndpointHints, EndpointPort, EndpointSlice, ForNode, ForZone,
};

use super::slices::{self, Ports, Wanted};
use crate::objects::{Meta, Pod, service};
use crate::runtime::{Plan, Write};

/// What is known of a Service that selects pods.
#[derive(Clone, Debug)]
pub struct State {
    /// Itself.
    pub service: core::Service,
    /// The pods that it selects.
    pub pods: Vec<Pod>,
    /// The zones of their nodes; empty for a node without one. Nodes that are not there are not here either.
    pub zones: BTreeMap<String, String>,
    /// All slices of the Service.
    pub slices: Vec<EndpointSlice>,
}

pub(super) fn reconcile(state: &State) -> Plan {
    let mut plan = Plan::nothing();
    let service = Meta::from(&state.service.metadata);
    let ours: Vec<&EndpointSlice> = state
        .slices
        .iter()
        .filter(|slice| slice.metadata.deletion_timestamp.is_none() && slices::is_managed(slice))
        .collect();
    let types = address_types(&state.service);
    for slice in ours.iter().filter(|slice| !types.contains(&slice.address_type.as_str())) {
        plan.write(delete(slice));
    }
    for kind in types {
        let existing: Vec<EndpointSlice> =
            ours.iter().filter(|slice| slice.address_type == kind).map(|slice| (*slice).clone()).collect();
        let changes = slices::plan(&state.service, kind, existing, wanted(state, kind));
        if !service.is_deleting() {
            changes.create.iter().for_each(|slice| plan.write(Write::create(slice)));
        }
        changes.update.iter().for_each(|slice| plan.write(Write::update(slice)));
        changes.delete.iter().for_each(|slice| plan.write(delete(slice)));
    }
    plan
}

fn delete(slice: &EndpointSlice) -> Write {
    let meta = Meta::from(&slice.metadata);
    Write::delete::<EndpointSlice>(&meta.namespace, &meta.name, &meta.uid)
        .tolerating(&["NotFound", "Conflict"])
}

/// Of which families the Service's addresses are.
fn address_types(service: &core::Service) -> Vec<&'static str> {
    let spec = service.spec.clone().unwrap_or_default();
    let families = spec.ip_families.unwrap_or_default();
    if families.is_empty() {
        let address = spec.cluster_ip.unwrap_or_default();
        return match address.as_str() {
            "" | "None" => vec!["IPv4", "IPv6"],
            address if address.contains(':') => vec!["IPv6"],
            _ => vec!["IPv4"],
        };
    }
    let of = |family: &'static str| families.iter().any(|one| one == family).then_some(family);
    ["IPv4", "IPv6"].into_iter().filter_map(of).collect()
}

/// The endpoints of one family, by the ports that they listen on.
fn wanted(state: &State, kind: &str) -> Wanted {
    let mut wanted = Wanted::new();
    for pod in state.pods.iter().filter(|pod| service::is_candidate(pod, true)) {
        // The order of the ports means nothing.
        let mut ports: Vec<EndpointPort> = ports(&state.service, pod);
        ports.sort_by_key(|port| (port.name.clone(), port.protocol.clone(), port.port));
        let endpoints = wanted.entry(Ports::of(&ports)).or_insert_with(|| (ports, Vec::new()));
        endpoints.1.extend(endpoint(state, pod, kind));
    }
    wanted
}

fn ports(service: &core::Service, pod: &Pod) -> Vec<EndpointPort> {
    let ports = service.spec.iter().flat_map(|spec| &spec.ports).flatten();
    ports
        .filter_map(|port| {
            Some(EndpointPort {
                name: Some(port.name.clone().unwrap_or_default()),
                port: Some(service::target_port(pod, port)?),
                protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".to_owned())),
                app_protocol: port.app_protocol.clone(),
            })
        })
        .collect()
}

fn endpoint(state: &State, pod: &Pod, kind: &str) -> Option<Endpoint> {
    let spec = state.service.spec.clone().unwrap_or_default();
    let publishes_all = spec.publish_not_ready_addresses == Some(true);
    let zone = state.zones.get(&pod.spec.node_name);
    if zone.is_none() && !publishes_all {
        // Its node is not known yet; when it is, we are told.
        return None;
    }
    let addresses = service::addresses(pod);
    let addresses: Vec<String> =
        addresses.into_iter().filter(|address| address.contains(':') == (kind == "IPv6")).collect();
    if addresses.is_empty() {
        return None;
    }
    let (serving, terminating) = (pod.is_ready(), pod.metadata.is_deleting());
    let ready = publishes_all || serving && !terminating;
    let some = |text: &String| (!text.is_empty()).then(|| text.clone());
    let (zone, node) = (zone.and_then(some), some(&pod.spec.node_name));
    Some(Endpoint {
        addresses,
        conditions: Some(EndpointConditions {
            ready: Some(ready),
            serving: Some(serving),
            terminating: Some(terminating),
        }),
        hints: hints(spec.traffic_distribution.as_deref(), ready, zone.as_ref(), node.as_ref()),
        hostname: service::hostname(pod, &Meta::from(&state.service.metadata)),
        node_name: node,
        zone,
        target_ref: Some(core::ObjectReference {
            kind: Some("Pod".to_owned()),
            namespace: Some(pod.metadata.namespace.clone()),
            name: Some(pod.metadata.name.clone()),
            uid: Some(pod.metadata.uid.clone()),
            ..core::ObjectReference::default()
        }),
        deprecated_topology: None,
    })
}

/// For whom the endpoint is meant, where the Service prefers what is near (KEP-4444, KEP-3015).
fn hints(
    distribution: Option<&str>,
    ready: bool,
    zone: Option<&String>,
    node: Option<&String>,
) -> Option<EndpointHints> {
    let by_node = distribution == Some("PreferSameNode");
    if !ready || !by_node && !matches!(distribution, Some("PreferClose" | "PreferSameZone")) {
        return None;
    }
    let for_zones = zone.map(|name| vec![ForZone { name: name.clone() }]);
    let for_nodes = node.filter(|_| by_node).map(|name| vec![ForNode { name: name.clone() }]);
    (for_zones.is_some() || for_nodes.is_some()).then_some(EndpointHints { for_zones, for_nodes })
}
