//! The stock of cluster addresses and node ports that services draw from.
//!
//! The stock is what no service of the store holds; services being written right now are kept beside it, by owner, so
//! that a write which is tried again finds its own.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::sync::Mutex;

use decapod_api::{Cause, Object, Status, Value};

use crate::registry::{Lookup, Registry};

/// The addresses and ports that are given out.
pub struct Services {
    network: Ipv4Addr,
    prefix_bits: u8,
    ports: RangeInclusive<u16>,
    held: Mutex<Option<Held>>,
}

/// Who holds what; the owner is a service's `namespace/name`.
#[derive(Default)]
struct Held {
    addresses: HashMap<Ipv4Addr, String>,
    ports: HashMap<(u16, String), String>,
}

/// What a write has taken. Dropped without [`Reservation::keep`], it goes back.
pub struct Reservation<'a> {
    services: Option<&'a Services>,
    owner: String,
    addresses: Vec<Ipv4Addr>,
    ports: Vec<(u16, String)>,
}

/// Addresses at the start of the range that are only given out by name (upstream's static band, KEP-3070).
const STATIC_BAND_MIN: u32 = 16;

// === impl Services ===

impl Services {
    /// Addresses of `network`/`prefix_bits` and ports of `ports`.
    pub fn new(network: Ipv4Addr, prefix_bits: u8, ports: RangeInclusive<u16>) -> Services {
        Services { network, prefix_bits, ports, held: Mutex::default() }
    }

    /// Takes what the service needs and writes it into the draft.
    pub(super) fn reserve(
        &self,
        registry: &Registry,
        draft: &mut Value,
        old: Option<&Value>,
    ) -> Result<Reservation<'_>, Status> {
        let owner = owner(draft);
        let mut reservation =
            Reservation { services: Some(self), owner: owner.clone(), addresses: vec![], ports: vec![] };
        let mut guard = self.held.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let held = guard.get_or_insert_with(|| Held::load(registry));
        let mut causes = Vec::new();
        if let Some(old) = old {
            keep_address(draft, old);
        }
        self.take_address(held, draft, &owner, &mut reservation, &mut causes);
        self.take_ports(held, draft, &owner, &mut reservation, &mut causes, registry);
        if let Some(old) = old {
            held.release_unused(&owner, old, draft);
        }
        drop(guard);
        if causes.is_empty() {
            return Ok(reservation);
        }
        let name = draft.str_at(&["metadata", "name"]).unwrap_or_default();
        Err(Status::invalid("", "Service", name, causes))
    }

    fn take_address(
        &self,
        held: &mut Held,
        draft: &mut Value,
        owner: &str,
        taken: &mut Reservation,
        causes: &mut Vec<Cause>,
    ) {
        let wants = !matches!(draft.str_at(&["spec", "type"]), Some("ExternalName"));
        let asked = draft.str_at(&["spec", "clusterIP"]).unwrap_or_default().to_owned();
        if !wants || asked == "None" {
            if asked == "None" {
                draft.set_at(&["spec", "clusterIPs"], vec![Value::from("None")]);
            }
            return;
        }
        let address = match asked.as_str() {
            "" => self.free_address(held),
            asked => match asked.parse::<Ipv4Addr>() {
                Ok(address) if !self.contains(address) => {
                    let detail = format!(
                        "failed to allocate IP {asked}: the provided network does not match the current range"
                    );
                    causes.push(Cause::invalid("spec.clusterIPs", &vec![Value::from(asked)].into(), &detail));
                    return;
                }
                Ok(address) => Some(address),
                Err(_) => {
                    let detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
                    causes.push(Cause::invalid("spec.clusterIPs[0]", &asked.into(), detail));
                    return;
                }
            },
        };
        let Some(address) = address else {
            causes.push(Cause::invalid(
                "spec.clusterIPs",
                &Value::List(vec![]),
                "failed to allocate a serviceIP: range is full",
            ));
            return;
        };
        match held.addresses.get(&address) {
            Some(holder) if holder != owner => {
                let detail = format!("failed to allocate IP {address}: provided IP is already allocated");
                causes.push(Cause::invalid(
                    "spec.clusterIPs",
                    &vec![Value::from(address.to_string())].into(),
                    &detail,
                ));
                return;
            }
            Some(_) => {}
            None => {
                held.addresses.insert(address, owner.to_owned());
                taken.addresses.push(address);
            }
        }
        draft.set_at(&["spec", "clusterIP"], address.to_string());
        draft.set_at(&["spec", "clusterIPs"], vec![Value::from(address.to_string())]);
    }

    fn take_ports(
        &self,
        held: &mut Held,
        draft: &mut Value,
        owner: &str,
        taken: &mut Reservation,
        causes: &mut Vec<Cause>,
        registry: &Registry,
    ) {
        let kind = draft.str_at(&["spec", "type"]).unwrap_or("ClusterIP").to_owned();
        let allocates = draft.at(&["spec", "allocateLoadBalancerNodePorts"]) != Some(&Value::Bool(false));
        let wants = kind == "NodePort" || (kind == "LoadBalancer" && allocates);
        let ports = draft.entry_at(&["spec", "ports"]).ensure_list();
        let mut given: Vec<(u16, String)> = Vec::new();
        for (i, port) in ports.iter_mut().enumerate() {
            let asked = port.int_at(&["nodePort"]).unwrap_or(0);
            if !wants && asked == 0 {
                continue;
            }
            let protocol = port.str_at(&["protocol"]).unwrap_or("TCP").to_owned();
            let path = format!("spec.ports[{i}].nodePort");
            let number = match u16::try_from(asked) {
                Ok(0) => self.free_port(held, &protocol, &given, registry),
                Ok(number) if self.ports.contains(&number) => Some(number),
                _ => {
                    let detail = format!(
                        "provided port is not in the valid range. The range of valid ports is {}-{}",
                        self.ports.start(),
                        self.ports.end()
                    );
                    causes.push(Cause::invalid(path, &asked.into(), &detail));
                    continue;
                }
            };
            let Some(number) = number else {
                causes.push(Cause::invalid(
                    path,
                    &asked.into(),
                    "failed to allocate a nodePort: range is full",
                ));
                continue;
            };
            let key = (number, protocol);
            match held.ports.get(&key) {
                Some(holder) if holder != owner => {
                    causes.push(Cause::invalid(
                        path,
                        &i64::from(number).into(),
                        "provided port is already allocated",
                    ));
                    continue;
                }
                Some(_) => {}
                None => {
                    held.ports.insert(key.clone(), owner.to_owned());
                    taken.ports.push(key.clone());
                }
            }
            given.push(key);
            port.set_at(&["nodePort"], i64::from(number));
        }
        if ports.is_empty() {
            draft.remove_at(&["spec", "ports"]);
        }
    }

    /// The first free address past the static band, else within it.
    fn free_address(&self, held: &Held) -> Option<Ipv4Addr> {
        let size = 1u64 << (32 - u32::from(self.prefix_bits));
        let last = u32::try_from(size.saturating_sub(2)).ok()?;
        let band = (last / 16).clamp(STATIC_BAND_MIN, 256).min(last);
        let base = u32::from(self.network);
        (band + 1..=last)
            .chain(1..=band)
            .map(|n| Ipv4Addr::from(base + n))
            .find(|a| !held.addresses.contains_key(a))
    }

    /// A random free port, as upstream gives them out.
    fn free_port(
        &self,
        held: &Held,
        protocol: &str,
        given: &[(u16, String)],
        registry: &Registry,
    ) -> Option<u16> {
        let (start, end) = (*self.ports.start(), *self.ports.end());
        let size = u64::from(end - start) + 1;
        let first = registry.env.random_below(size);
        (0..size).filter_map(|n| u16::try_from(u64::from(start) + (first + n) % size).ok()).find(|port| {
            let key = (*port, protocol.to_owned());
            // A port given for another protocol of the same service may be shared; one of the same may not.
            !held.ports.contains_key(&key) && !given.contains(&key)
        })
    }

    fn contains(&self, address: Ipv4Addr) -> bool {
        let shift = 32 - u32::from(self.prefix_bits);
        u32::from(address).checked_shr(shift) == u32::from(self.network).checked_shr(shift)
    }

    /// Gives back what a service that is gone had.
    pub(super) fn release(&self, object: &Object) {
        let owner = format!("{}/{}", object.namespace(), object.name());
        if let Some(held) = self.held.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).as_mut() {
            held.addresses.retain(|_, holder| *holder != owner);
            held.ports.retain(|_, holder| *holder != owner);
        }
    }
}

// === impl Held ===

impl Held {
    fn load(registry: &Registry) -> Held {
        let mut held = Held::default();
        for service in registry.drafts("", "services", "") {
            let owner = owner(&service);
            for address in addresses(&service) {
                held.addresses.insert(address, owner.clone());
            }
            for port in ports(&service) {
                held.ports.insert(port, owner.clone());
            }
        }
        held
    }

    /// Gives back what the old form of a service had and the new one has not.
    fn release_unused(&mut self, owner: &str, old: &Value, new: &Value) {
        let kept: (Vec<_>, Vec<_>) = (addresses(new).collect(), ports(new).collect());
        for address in addresses(old).filter(|address| !kept.0.contains(address)) {
            self.addresses.retain(|held, holder| *held != address || holder != owner);
        }
        for port in ports(old).filter(|port| !kept.1.contains(port)) {
            self.ports.retain(|held, holder| *held != port || holder != owner);
        }
    }
}

// === impl Reservation ===

impl Reservation<'_> {
    /// Nothing was needed.
    pub fn none() -> Reservation<'static> {
        Reservation { services: None, owner: String::new(), addresses: vec![], ports: vec![] }
    }

    /// The write is there: what it took is its own.
    pub fn keep(mut self) {
        self.services = None;
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        let Some(services) = self.services else { return };
        if let Some(held) = services.held.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).as_mut() {
            held.addresses
                .retain(|address, holder| *holder != self.owner || !self.addresses.contains(address));
            held.ports.retain(|port, holder| *holder != self.owner || !self.ports.contains(port));
        }
    }
}

/// An update that leaves the address out keeps it.
fn keep_address(draft: &mut Value, old: &Value) {
    let headless_change = draft.str_at(&["spec", "type"]) == Some("ExternalName");
    let absent = draft.str_at(&["spec", "clusterIP"]).unwrap_or_default().is_empty();
    if headless_change || !absent {
        return;
    }
    for field in ["clusterIP", "clusterIPs"] {
        if let Some(before) = old.at(&["spec", field]) {
            draft.set_at(&["spec", field], before.clone());
        }
    }
}

fn owner(service: &Value) -> String {
    let text = |field: &str| service.str_at(&["metadata", field]).unwrap_or_default();
    format!("{}/{}", text("namespace"), text("name"))
}

fn addresses(service: &Value) -> impl Iterator<Item = Ipv4Addr> {
    let asked = service.str_at(&["spec", "clusterIP"]).and_then(|text| text.parse::<IpAddr>().ok());
    asked.into_iter().filter_map(|address| match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    })
}

fn ports(service: &Value) -> impl Iterator<Item = (u16, String)> {
    service.list_at(&["spec", "ports"]).iter().filter_map(|port| {
        let number = u16::try_from(port.int_at(&["nodePort"])?).ok().filter(|number| *number != 0)?;
        Some((number, port.str_at(&["protocol"]).unwrap_or("TCP").to_owned()))
    })
}
