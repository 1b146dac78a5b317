//! What the API says, kept as the proxy sees it, and which services that touches. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use decapod_client::ObjectKey;
use decapod_sys::nftables::Family;
use k8s_openapi::api::core::v1::{Node as ApiNode, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;

use crate::config::{NodePortAddresses, ProxyConfig};
use crate::endpoints::Slice;
use crate::frontend::{Compiled, Node, compile};
use crate::service::ServiceSpec;

/// Services, endpoint slices and the node.
#[derive(Default)]
pub struct Tracker {
    node: Node,
    addresses: NodePortAddresses,
    services: HashMap<ObjectKey, ServiceSpec>,
    slices: HashMap<ObjectKey, BTreeMap<String, Slice>>,
    owners: HashMap<ObjectKey, ObjectKey>,
    touched: BTreeSet<ObjectKey>,
}

/// The label of a node's zone.
const ZONE_LABEL: &str = "topology.kubernetes.io/zone";

// === impl Tracker ===

impl Tracker {
    /// Nothing is known yet.
    pub fn new(config: &ProxyConfig) -> Tracker {
        let mut tracker = Tracker { addresses: config.node_port_addresses.clone(), ..Tracker::default() };
        tracker.node.name.clone_from(&config.node);
        if let NodePortAddresses::Fixed(addresses) = &config.node_port_addresses {
            tracker.node.addresses.clone_from(addresses);
        }
        tracker
    }

    /// A service has changed; `None` if it is gone.
    pub fn service(&mut self, key: &ObjectKey, service: Option<&Service>) {
        self.set_service(key, service.and_then(ServiceSpec::of));
    }

    /// An endpoint slice has changed; `None` if it is gone.
    pub fn slice(&mut self, key: &ObjectKey, slice: Option<&EndpointSlice>) {
        let node = self.node.name.clone();
        self.set_slice(key, slice.and_then(|slice| Slice::of(slice, &node)));
    }

    /// The node has changed: its addresses and its zone matter.
    pub fn node(&mut self, node: Option<&ApiNode>) {
        let Some(node) = node else { return };
        let labels = node.metadata.labels.as_ref();
        let zone = labels.and_then(|labels| labels.get(ZONE_LABEL)).cloned().unwrap_or_default();
        let addresses = match &self.addresses {
            NodePortAddresses::Primary => primary_addresses(node),
            NodePortAddresses::Fixed(addresses) => addresses.clone(),
        };
        let node = Node { name: self.node.name.clone(), zone, addresses };
        if node != self.node {
            self.node = node;
            self.touched.extend(self.services.keys().cloned());
        }
    }

    /// As [`Tracker::service`].
    pub fn set_service(&mut self, key: &ObjectKey, service: Option<ServiceSpec>) {
        let changed = match service {
            Some(service) if self.services.get(key) == Some(&service) => false,
            Some(service) => {
                self.services.insert(key.clone(), service);
                true
            }
            None => self.services.remove(key).is_some(),
        };
        if changed {
            self.touched.insert(key.clone());
        }
    }

    /// As [`Tracker::slice`].
    pub fn set_slice(&mut self, key: &ObjectKey, slice: Option<Slice>) {
        let service =
            slice.as_ref().map(|slice| ObjectKey::new(key.namespace.clone(), slice.service.clone()));
        if let Some(old) = self.owners.get(key).filter(|old| Some(*old) != service.as_ref()).cloned() {
            self.owners.remove(key);
            if let Some(slices) = self.slices.get_mut(&old) {
                slices.remove(&key.name);
                if slices.is_empty() {
                    self.slices.remove(&old);
                }
            }
            self.touched.insert(old);
        }
        let Some((service, slice)) = service.zip(slice) else { return };
        self.owners.insert(key.clone(), service.clone());
        let slices = self.slices.entry(service.clone()).or_default();
        if slices.get(&key.name) != Some(&slice) {
            slices.insert(key.name.clone(), slice);
            self.touched.insert(service);
        }
    }

    /// Whether anything has changed since the last [`Tracker::take`].
    pub fn is_touched(&self) -> bool {
        !self.touched.is_empty()
    }

    /// The services that have changed since the last call, in order.
    pub fn take(&mut self) -> BTreeSet<ObjectKey> {
        std::mem::take(&mut self.touched)
    }

    /// What a service means in `family` now; `None` if it is gone.
    pub fn compile(&self, key: &ObjectKey, family: Family) -> Option<Compiled> {
        let service = self.services.get(key)?;
        let slices = self.slices.get(key);
        let slices = slices.into_iter().flat_map(BTreeMap::values);
        Some(compile(key, service, slices, &self.node, family))
    }

    /// How many services there are.
    pub fn services(&self) -> usize {
        self.services.len()
    }

    /// How many endpoint slices there are.
    pub fn slices(&self) -> usize {
        self.owners.len()
    }
}

/// The first internal address of each family, or the first external one (upstream: GetNodeHostIPs).
fn primary_addresses(node: &ApiNode) -> Vec<IpAddr> {
    let all = node.status.as_ref().and_then(|status| status.addresses.as_ref());
    let of = |kind: &'static str| {
        let of_kind = all.into_iter().flatten().filter(move |address| address.type_ == kind);
        of_kind.filter_map(|address| address.address.parse::<IpAddr>().ok())
    };
    let candidates: Vec<IpAddr> = of("InternalIP").chain(of("ExternalIP")).collect();
    let first = |ipv4: bool| candidates.iter().find(|address| address.is_ipv4() == ipv4).copied();
    [first(true), first(false)].into_iter().flatten().collect()
}
