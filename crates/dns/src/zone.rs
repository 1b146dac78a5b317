//! What the cluster's names stand for, built object by object as informers see them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::net::IpAddr;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1 as discovery;

use crate::name::Name;

/// A map without a random seed, so that one seed replays a whole simulation.
pub(crate) type FixedMap<K, V> = HashMap<K, V, BuildHasherDefault<DefaultHasher>>;

/// The zone of a cluster.
#[derive(Clone, Debug)]
pub struct Zone {
    /// Such as `cluster.local.`.
    pub(crate) domain: Name,
    /// How long records may be remembered, in seconds.
    pub(crate) ttl: u32,
    /// The addresses at which this zone is served.
    pub(crate) servers: Vec<IpAddr>,
    /// Counts changes.
    pub(crate) serial: u32,
    pub(crate) namespaces: FixedMap<Box<str>, Namespace>,
    /// The services of a cluster address, and the named endpoints of an address.
    pub(crate) addresses: FixedMap<IpAddr, Addressed>,
    /// The service of each slice, by namespace and name of the slice.
    slices: FixedMap<(Box<str>, Box<str>), Box<str>>,
}

/// One namespace.
#[derive(Clone, Debug, Default)]
pub struct Namespace {
    /// Whether the namespace itself has been seen.
    pub(crate) exists: bool,
    pub(crate) services: FixedMap<Box<str>, Service>,
}

/// One service.
#[derive(Clone, Debug, Default)]
pub struct Service {
    /// `None` until the service itself has been seen.
    pub(crate) facing: Option<Facing>,
    /// Its endpoints, by slice.
    pub(crate) slices: BTreeMap<Box<str>, Slice>,
}

/// What a service shows of itself.
#[derive(Clone, Debug, PartialEq)]
pub enum Facing {
    /// Addresses of its own, and its ports.
    Cluster(Vec<IpAddr>, Vec<Port>),
    /// Its endpoints.
    Headless,
    /// Another name.
    External(Name),
}

/// A named port.
#[derive(Clone, Debug, PartialEq)]
pub struct Port {
    /// Empty for a port without a name.
    pub name: Box<str>,
    /// In lower case.
    pub protocol: Box<str>,
    /// The number.
    pub port: u16,
}

/// The endpoints of one slice.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Slice {
    /// The ready ones.
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) ports: Vec<Port>,
}

/// A ready endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    pub(crate) address: IpAddr,
    /// As the endpoint says, or the address with dashes.
    pub(crate) hostname: Box<str>,
    /// Whether the endpoint says so itself; only such have a name by their address.
    pub(crate) named: bool,
}

/// Who has an address. Small sets: an address has one service, or a few endpoints.
#[derive(Clone, Debug, Default)]
pub(crate) struct Addressed {
    pub services: BTreeSet<(Box<str>, Box<str>)>,
    pub endpoints: BTreeMap<Hostname, usize>,
}

/// Hostname, service, namespace.
pub(crate) type Hostname = (Box<str>, Box<str>, Box<str>);

/// The label that says whose slice it is.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// An address as a label: `10-0-0-1`.
pub fn dashed(address: &IpAddr) -> String {
    address.to_string().replace(['.', ':'], "-")
}

// === impl Zone ===

impl Zone {
    /// An empty zone under `domain`, served at `servers`, whose records may be remembered for `ttl` seconds.
    pub fn new(domain: Name, ttl: u32, servers: Vec<IpAddr>) -> Zone {
        Zone {
            domain,
            ttl,
            servers,
            serial: 1,
            namespaces: FixedMap::default(),
            addresses: FixedMap::default(),
            slices: FixedMap::default(),
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        let fresh = Zone::new(self.domain.clone(), self.ttl, std::mem::take(&mut self.servers));
        *self = Zone { serial: self.serial.wrapping_add(1), ..fresh };
    }

    /// Says whether there is a namespace of this name.
    pub fn set_namespace(&mut self, name: &str, exists: bool) {
        self.serial = self.serial.wrapping_add(1);
        self.namespaces.entry(name.into()).or_default().exists = exists;
        self.tidy(name, None);
    }

    /// Sets or (`None`) forgets a service.
    pub fn set_service(&mut self, namespace: &str, name: &str, service: Option<&core::Service>) {
        self.serial = self.serial.wrapping_add(1);
        let facing = service.and_then(|service| Facing::new(service.spec.as_ref()?));
        let entry = self.service_mut(namespace, name);
        let old = std::mem::replace(&mut entry.facing, facing.clone());
        let key = (Box::from(namespace), Box::from(name));
        for address in old.iter().flat_map(Facing::addresses) {
            if let Some(addressed) = self.addresses.get_mut(address) {
                addressed.services.remove(&key);
            }
            self.tidy_address(*address);
        }
        for address in facing.iter().flat_map(Facing::addresses) {
            self.addresses.entry(*address).or_default().services.insert(key.clone());
        }
        self.tidy(namespace, Some(name));
    }

    /// Sets or (`None`) forgets an EndpointSlice.
    pub fn set_slice(&mut self, namespace: &str, name: &str, slice: Option<&discovery::EndpointSlice>) {
        self.serial = self.serial.wrapping_add(1);
        let key = (Box::from(namespace), Box::from(name));
        if let Some(service) = self.slices.remove(&key) {
            let old = self.service_mut(namespace, &service).slices.remove(name);
            self.count_names(namespace, &service, &old.unwrap_or_default(), false);
            self.tidy(namespace, Some(&service));
        }
        let Some(slice) = slice else { return };
        let Some(service) = slice.metadata.labels.as_ref().and_then(|labels| labels.get(SERVICE_NAME)) else {
            return;
        };
        let new = Slice::new(slice);
        self.count_names(namespace, service, &new, true);
        self.service_mut(namespace, service).slices.insert(name.into(), new);
        self.slices.insert(key, service.as_str().into());
    }

    fn service_mut(&mut self, namespace: &str, name: &str) -> &mut Service {
        self.namespaces.entry(namespace.into()).or_default().services.entry(name.into()).or_default()
    }

    /// Keeps count of the endpoints that have a name by their address.
    fn count_names(&mut self, namespace: &str, service: &str, slice: &Slice, comes: bool) {
        for endpoint in slice.endpoints.iter().filter(|endpoint| endpoint.named) {
            let key = (endpoint.hostname.clone(), Box::from(service), Box::from(namespace));
            let names = &mut self.addresses.entry(endpoint.address).or_default().endpoints;
            let count = names.entry(key.clone()).or_insert(0);
            *count = if comes { *count + 1 } else { count.saturating_sub(1) };
            if *count == 0 {
                names.remove(&key);
            }
            self.tidy_address(endpoint.address);
        }
    }

    /// Forgets what is empty.
    fn tidy(&mut self, namespace: &str, service: Option<&str>) {
        let Some(entry) = self.namespaces.get_mut(namespace) else { return };
        if let Some(name) = service
            && entry.services.get(name).is_some_and(|s| s.facing.is_none() && s.slices.is_empty())
        {
            entry.services.remove(name);
        }
        if !entry.exists && entry.services.is_empty() {
            self.namespaces.remove(namespace);
        }
    }

    fn tidy_address(&mut self, address: IpAddr) {
        let empty = |addressed: &Addressed| addressed.services.is_empty() && addressed.endpoints.is_empty();
        if self.addresses.get(&address).is_some_and(empty) {
            self.addresses.remove(&address);
        }
    }

    /// How many services, slices and addresses are known.
    pub fn sizes(&self) -> [usize; 3] {
        let services = self.namespaces.values().map(|namespace| namespace.services.len()).sum();
        [services, self.slices.len(), self.addresses.len()]
    }
}

// === impl Facing ===

impl Facing {
    fn new(spec: &core::ServiceSpec) -> Option<Facing> {
        if spec.type_.as_deref() == Some("ExternalName") {
            let target = spec.external_name.as_deref()?;
            // An address is no name.
            let is_address = target.parse::<IpAddr>().is_ok();
            return Name::parse(target).filter(|_| !is_address).map(Facing::External);
        }
        let listed = spec.cluster_ips.as_deref().unwrap_or_default();
        let addresses = if listed.is_empty() { spec.cluster_ip.as_slice() } else { listed };
        if addresses.iter().any(|address| address == "None") {
            return Some(Facing::Headless);
        }
        let addresses: Vec<IpAddr> = addresses.iter().filter_map(|address| address.parse().ok()).collect();
        let port = |p: &core::ServicePort| Port::new(p.name.as_deref(), p.protocol.as_deref(), p.port);
        let ports = spec.ports.iter().flatten().filter_map(port).collect();
        // A service that has no address yet has nothing to show.
        (!addresses.is_empty()).then_some(Facing::Cluster(addresses, ports))
    }

    fn addresses(&self) -> &[IpAddr] {
        match self {
            Facing::Cluster(addresses, _) => addresses,
            Facing::Headless | Facing::External(_) => &[],
        }
    }
}

// === impl Port ===

impl Port {
    fn new(name: Option<&str>, protocol: Option<&str>, port: i32) -> Option<Port> {
        let protocol = protocol.unwrap_or("TCP").to_ascii_lowercase();
        let port = u16::try_from(port).ok()?;
        Some(Port { name: name.unwrap_or_default().into(), protocol: protocol.into(), port })
    }
}

// === impl Slice ===

impl Slice {
    fn new(slice: &discovery::EndpointSlice) -> Slice {
        let ready = |endpoint: &&discovery::Endpoint| {
            endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true)
        };
        let endpoints = slice.endpoints.iter().flatten().filter(ready).flat_map(|endpoint| {
            let hostname = endpoint.hostname.as_deref().filter(|hostname| !hostname.is_empty());
            let addresses = endpoint.addresses.iter().filter_map(|address| address.parse::<IpAddr>().ok());
            addresses.map(move |address| Endpoint {
                address,
                hostname: hostname.map_or_else(|| dashed(&address).into(), Box::from),
                named: hostname.is_some(),
            })
        });
        let port = |p: &discovery::EndpointPort| Port::new(p.name.as_deref(), p.protocol.as_deref(), p.port?);
        Slice {
            endpoints: endpoints.collect(),
            ports: slice.ports.iter().flatten().filter_map(port).collect(),
        }
    }
}

// === impl Service ===

impl Service {
    /// All endpoints with their slice's ports; one that stands in two slices comes twice.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = (&Endpoint, &[Port])> {
        self.slices
            .values()
            .flat_map(|slice| slice.endpoints.iter().map(|endpoint| (endpoint, slice.ports.as_slice())))
    }
}
