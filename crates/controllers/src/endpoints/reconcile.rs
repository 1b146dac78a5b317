//! What the Endpoints of a Service should say.

use std::collections::{BTreeMap, BTreeSet};

use decapod_client::reference;
use k8s_openapi::api::core::v1::{
    EndpointAddress, EndpointPort, EndpointSubset, Endpoints, ObjectReference, Service,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::objects::{Meta, Pod, service, status};
use crate::runtime::{Note, Plan, Write};

/// Who sees to Endpoints.
const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
const MANAGER: &str = "endpoint-controller";
/// Says that there are more addresses than fit.
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
const CAPACITY: usize = 1000;
/// Endpoints that are no Service's, but somebody's lock.
const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";

/// What is known under one name.
#[derive(Clone, Debug)]
pub enum State {
    /// A Service that selects pods.
    Wanted {
        /// Itself.
        service: Box<Service>,
        /// The pods that it selects.
        pods: Vec<Pod>,
        /// Its Endpoints, as they are.
        endpoints: Option<Endpoints>,
    },
    /// Endpoints without a Service.
    Leftover(Endpoints),
}

pub(super) fn reconcile(state: &State) -> Plan {
    match state {
        State::Leftover(endpoints) => leftover(endpoints),
        State::Wanted { service, pods, endpoints } => wanted(service, pods, endpoints.as_ref()),
    }
}

/// Whether we made `endpoints`; what others made may well have no Service.
pub(super) fn is_managed(endpoints: &Endpoints) -> bool {
    let labels = endpoints.metadata.labels.as_ref();
    labels.and_then(|labels| labels.get(MANAGED_BY)).is_some_and(|by| by == MANAGER)
}

fn leftover(endpoints: &Endpoints) -> Plan {
    let meta = Meta::from(&endpoints.metadata);
    let mut plan = Plan::nothing();
    if !meta.annotations.contains_key(LEADER) && !meta.is_deleting() {
        let delete = Write::delete::<Endpoints>(&meta.namespace, &meta.name, &meta.uid);
        plan.write(delete.tolerating(&["NotFound", "Conflict"]));
    }
    plan
}

fn wanted(service: &Service, pods: &[Pod], current: Option<&Endpoints>) -> Plan {
    let mut plan = Plan::nothing();
    let meta = Meta::from(&service.metadata);
    let mut subsets = subsets(service, &meta, pods);
    let is_cut = cut(&mut subsets);
    let mut new = current.cloned().unwrap_or_default();
    new.subsets = (!subsets.is_empty()).then_some(subsets);
    new.metadata.labels = Some(labels(service));
    let annotations = new.metadata.annotations.get_or_insert_default();
    if is_cut {
        annotations.insert(OVER_CAPACITY.to_owned(), "truncated".to_owned());
    } else {
        annotations.remove(OVER_CAPACITY);
    }
    let Some(current) = current else {
        new.metadata = ObjectMeta { name: Some(meta.name), namespace: Some(meta.namespace), ..new.metadata };
        let about = reference(service);
        let failed =
            Note::warning(about, "FailedToCreateEndpoint", "Failed to create endpoint for service: {error}");
        plan.write(Write::create(&new).or_saying(failed));
        return plan;
    };
    if !status::same(current, &new) {
        let failed =
            Note::warning(reference(current), "FailedToUpdateEndpoint", "Failed to update endpoint: {error}");
        plan.write(Write::update(&new).or_saying(failed));
    }
    plan
}

fn labels(service: &Service) -> BTreeMap<String, String> {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
    if service::has_address(service) {
        labels.remove(service::HEADLESS);
    } else {
        labels.insert(service::HEADLESS.to_owned(), String::new());
    }
    labels
}

/// A port, in an order of its own.
type Port = (String, i32, String, Option<String>);

/// All addresses, those with the same ports together (k8s.io/kubernetes/pkg/api/v1/endpoints, RepackSubsets).
fn subsets(service: &Service, meta: &Meta, pods: &[Pod]) -> Vec<EndpointSubset> {
    let spec = service.spec.clone().unwrap_or_default();
    let publishes_all = spec.publish_not_ready_addresses == Some(true);
    let is_v6 = spec.ip_families.iter().flatten().next().is_some_and(|family| family == "IPv6");
    let mut by_ports: BTreeMap<BTreeSet<Port>, (Vec<EndpointAddress>, Vec<EndpointAddress>)> =
        BTreeMap::new();
    for pod in pods.iter().filter(|pod| service::is_candidate(pod, publishes_all)) {
        let mut addresses = service::addresses(pod).into_iter();
        let Some(ip) = addresses.find(|address| address.contains(':') == is_v6) else { continue };
        let ports: BTreeSet<Port> = spec
            .ports
            .iter()
            .flatten()
            .filter_map(|port| {
                let protocol = port.protocol.clone().unwrap_or_else(|| "TCP".to_owned());
                Some((
                    port.name.clone().unwrap_or_default(),
                    service::target_port(pod, port)?,
                    protocol,
                    port.app_protocol.clone(),
                ))
            })
            .collect();
        if ports.is_empty() && spec.ports.as_ref().is_some_and(|ports| !ports.is_empty()) {
            continue;
        }
        let (ready, not_ready) = by_ports.entry(ports).or_default();
        let address = address(pod, ip, meta);
        if publishes_all || pod.is_ready() { ready.push(address) } else { not_ready.push(address) }
    }
    by_ports.into_iter().map(|(ports, (ready, not_ready))| subset(ports, ready, not_ready)).collect()
}

fn address(pod: &Pod, ip: String, service: &Meta) -> EndpointAddress {
    EndpointAddress {
        ip,
        hostname: service::hostname(pod, service),
        node_name: (!pod.spec.node_name.is_empty()).then(|| pod.spec.node_name.clone()),
        target_ref: Some(ObjectReference {
            kind: Some("Pod".to_owned()),
            namespace: Some(pod.metadata.namespace.clone()),
            name: Some(pod.metadata.name.clone()),
            uid: Some(pod.metadata.uid.clone()),
            ..ObjectReference::default()
        }),
    }
}

fn subset(
    ports: BTreeSet<Port>,
    mut ready: Vec<EndpointAddress>,
    mut not_ready: Vec<EndpointAddress>,
) -> EndpointSubset {
    for addresses in [&mut ready, &mut not_ready] {
        addresses.sort_by(|a, b| a.ip.cmp(&b.ip));
    }
    let some = |addresses: Vec<EndpointAddress>| (!addresses.is_empty()).then_some(addresses);
    let ports: Vec<EndpointPort> = ports
        .into_iter()
        .map(|(name, port, protocol, app_protocol)| EndpointPort {
            name: (!name.is_empty()).then_some(name),
            port,
            protocol: Some(protocol),
            app_protocol,
        })
        .collect();
    EndpointSubset {
        addresses: some(ready),
        not_ready_addresses: some(not_ready),
        ports: (!ports.is_empty()).then_some(ports),
    }
}

/// Cuts `subsets` to what fits, ready addresses before others; whether anything was cut.
fn cut(subsets: &mut [EndpointSubset]) -> bool {
    let count = |addresses: &Option<Vec<EndpointAddress>>| addresses.as_ref().map_or(0, Vec::len);
    let total: usize =
        subsets.iter().map(|one| count(&one.addresses) + count(&one.not_ready_addresses)).sum();
    if total <= CAPACITY {
        return false;
    }
    let mut room = CAPACITY;
    for ready in [true, false] {
        for subset in subsets.iter_mut() {
            let addresses = if ready { &mut subset.addresses } else { &mut subset.not_ready_addresses };
            let Some(list) = addresses else { continue };
            list.truncate(room);
            room -= list.len();
            if list.is_empty() {
                *addresses = None;
            }
        }
    }
    true
}
