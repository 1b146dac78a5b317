//! The slices that mirror Endpoints, as they should be.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::{EndpointAddress, EndpointPort as SubsetPort, Endpoints};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::objects::{Meta, owner};

/// Who sees to a slice.
pub(super) const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
pub(super) const MANAGER: &str = "endpointslicemirroring-controller.k8s.io";
/// Which Service it belongs to.
pub(super) const SERVICE: &str = "kubernetes.io/service-name";
/// How many addresses of a subset are mirrored (upstream's --mirroring-max-endpoints-per-subset).
pub(super) const ADDRESSES_MAX: usize = 1000;
/// What is not copied: it is about the Endpoints themselves.
const NOT_COPIED: [&str; 2] =
    ["endpoints.kubernetes.io/last-change-trigger-time", "kubectl.kubernetes.io/last-applied-configuration"];

/// What the slices should be: one for each set of ports and kind of address.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    pub slices: Vec<EndpointSlice>,
    /// How many addresses are none.
    pub invalid: usize,
    /// How many are not mirrored, those included.
    pub skipped: usize,
}

/// An address, and whether it is ready.
type Addresses = BTreeMap<String, (EndpointAddress, bool)>;

/// What mirrors `endpoints`.
pub(super) fn wanted(endpoints: &Endpoints) -> Wanted {
    let mut wanted = Wanted::default();
    for (ports, addresses) in repacked(endpoints) {
        let (mut v4, mut v6, mut invalid) = (Vec::new(), Vec::new(), 0);
        // Those that are ready come first.
        let ready = addresses.values().filter(|(_, ready)| *ready);
        for (address, ready) in ready.chain(addresses.values().filter(|(_, ready)| !ready)) {
            if v4.len() + v6.len() >= ADDRESSES_MAX {
                break;
            }
            match address.ip.parse::<IpAddr>() {
                Ok(ip) => {
                    let of = if ip.is_ipv4() { &mut v4 } else { &mut v6 };
                    of.push(endpoint(address, ip, *ready));
                }
                Err(_) => invalid += 1,
            }
        }
        wanted.invalid += invalid;
        wanted.skipped += addresses.len() - v4.len() - v6.len();
        for (kind, of) in [("IPv4", v4), ("IPv6", v6)] {
            if !of.is_empty() {
                wanted.slices.push(slice(endpoints, kind, &ports, of));
            }
        }
    }
    wanted
}

/// Ports with the addresses that have them, those with the same addresses together
/// (k8s.io/kubernetes/pkg/api/v1/endpoints, `RepackSubsets`).
fn repacked(endpoints: &Endpoints) -> Vec<(Vec<SubsetPort>, Addresses)> {
    let mut by_port: BTreeMap<String, (Option<SubsetPort>, Addresses)> = BTreeMap::new();
    for subset in endpoints.subsets.iter().flatten() {
        let ports: Vec<Option<SubsetPort>> = match subset.ports.as_deref().unwrap_or_default() {
            [] => vec![None],
            ports => ports.iter().cloned().map(Some).collect(),
        };
        for port in ports {
            let key = port.as_ref().map(port_key).unwrap_or_default();
            let (_, addresses) = by_port.entry(key).or_insert_with(|| (port, Addresses::new()));
            let not_ready = subset.not_ready_addresses.iter().flatten().map(|address| (address, false));
            for (address, ready) in not_ready.chain(subset.addresses.iter().flatten().map(|one| (one, true)))
            {
                let of = address.target_ref.as_ref().and_then(|of| of.uid.clone()).unwrap_or_default();
                addresses.insert(format!("{}/{of}", address.ip), (address.clone(), ready));
            }
        }
    }
    let mut packed: BTreeMap<Vec<(String, bool)>, (Vec<SubsetPort>, Addresses)> = BTreeMap::new();
    for (port, addresses) in by_port.into_values() {
        let key = addresses.iter().map(|(key, (_, ready))| (key.clone(), *ready)).collect();
        let (ports, _) = packed.entry(key).or_insert_with(|| (Vec::new(), addresses));
        ports.extend(port);
    }
    packed.into_values().collect()
}

fn port_key(port: &SubsetPort) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    format!("{}/{}/{:05}/{}", text(&port.name), text(&port.protocol), port.port, text(&port.app_protocol))
}

fn endpoint(address: &EndpointAddress, ip: IpAddr, ready: bool) -> Endpoint {
    Endpoint {
        addresses: vec![ip.to_string()],
        conditions: Some(EndpointConditions { ready: Some(ready), ..EndpointConditions::default() }),
        hostname: address.hostname.clone().filter(|name| !name.is_empty()),
        node_name: address.node_name.clone(),
        target_ref: address.target_ref.clone(),
        ..Endpoint::default()
    }
}

fn slice(endpoints: &Endpoints, kind: &str, ports: &[SubsetPort], of: Vec<Endpoint>) -> EndpointSlice {
    let meta = Meta::from(&endpoints.metadata);
    let mut labels = meta.labels.clone();
    labels.insert(SERVICE.to_owned(), meta.name.clone());
    labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
    let mut annotations = meta.annotations.clone();
    annotations.retain(|key, _| !NOT_COPIED.contains(&key.as_str()));
    let port = |port: &SubsetPort| EndpointPort {
        name: Some(port.name.clone().unwrap_or_default()),
        port: Some(port.port),
        protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".to_owned())),
        app_protocol: port.app_protocol.clone(),
    };
    EndpointSlice {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}-", meta.name)),
            namespace: Some(meta.namespace.clone()),
            labels: Some(labels),
            annotations: (!annotations.is_empty()).then_some(annotations),
            owner_references: Some(vec![owner::reference::<Endpoints>(&meta)]),
            ..ObjectMeta::default()
        },
        address_type: kind.to_owned(),
        ports: Some(ports.iter().map(port).collect()),
        endpoints: Some(of),
    }
}
