//! A fake of [`Links`] that keeps what it is told and writes it down, one line a call.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;
use rustix::io::Errno;

use super::NetlinkError;
use super::links::{Link, LinkChange, Links, Mac, Neighbour, Route, Veth};

/// Links that exist in memory only.
#[derive(Default)]
pub struct LinkRecorder(Mutex<State>);

#[derive(Default)]
struct State {
    log: Vec<String>,
    links: BTreeMap<u32, Link>,
    addresses: Vec<(u32, IpNet)>,
    routes: Vec<Route>,
}

// === impl LinkRecorder ===

impl LinkRecorder {
    /// What has been asked for since the last call, one line each.
    pub fn take_log(&self) -> String {
        std::mem::take(&mut self.lock().log).join("\n")
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    fn name(&self, link: u32) -> Result<String, NetlinkError> {
        let found = self.links.get(&link).map(|link| link.name.clone());
        found.ok_or(NetlinkError::Refused { code: Errno::NODEV, sequence: 0 })
    }

    fn add(&mut self, link: Link) -> Result<(), NetlinkError> {
        if self.links.values().any(|other| other.name == link.name) {
            return Err(NetlinkError::Refused { code: Errno::EXIST, sequence: 0 });
        }
        let index = self.links.last_key_value().map_or(1, |(index, _)| index + 1);
        self.links.insert(index, Link { index, ..link });
        Ok(())
    }
}

impl Links for LinkRecorder {
    fn links(&self) -> Result<Vec<Link>, NetlinkError> {
        Ok(self.lock().links.values().cloned().collect())
    }

    fn add_bridge(&self, name: &str, mac: Mac, mtu: u32) -> Result<(), NetlinkError> {
        let mut state = self.lock();
        state.log.push(format!("add bridge {name} {mac} mtu {mtu}"));
        state.add(Link { name: name.into(), kind: "bridge".into(), mac, mtu, ..Link::default() })
    }

    fn add_veth(&self, veth: &Veth) -> Result<(), NetlinkError> {
        let mut state = self.lock();
        let Veth { name, mac, peer, peer_mac, mtu, .. } = veth;
        state.log.push(format!("add veth {name} {mac} peer {peer} {peer_mac} mtu {mtu}"));
        state.add(Link { name: (*name).into(), kind: "veth".into(), mac: *mac, mtu: *mtu, ..Link::default() })
    }

    fn change(&self, link: u32, change: &LinkChange) -> Result<(), NetlinkError> {
        let mut state = self.lock();
        let mut words = vec![format!("set {}", state.name(link)?)];
        words.extend(change.mtu.map(|mtu| format!("mtu {mtu}")));
        words.extend(change.mac.map(|mac| format!("address {mac}")));
        words.extend(change.up.map(|up| if up { "up" } else { "down" }.to_owned()));
        state.log.push(words.join(" "));
        if let Some(link) = state.links.get_mut(&link) {
            link.up = change.up.unwrap_or(link.up);
        }
        Ok(())
    }

    fn delete(&self, link: u32) -> Result<(), NetlinkError> {
        let mut state = self.lock();
        let name = state.name(link)?;
        state.log.push(format!("delete {name}"));
        state.links.remove(&link);
        state.addresses.retain(|(of, _)| *of != link);
        state.routes.retain(|route| route.link != link);
        Ok(())
    }

    fn addresses(&self, link: u32) -> Result<Vec<IpNet>, NetlinkError> {
        Ok(self.lock().addresses.iter().filter(|(of, _)| *of == link).map(|(_, address)| *address).collect())
    }

    fn add_address(&self, link: u32, address: IpNet) -> Result<(), NetlinkError> {
        let mut state = self.lock();
        let name = state.name(link)?;
        state.log.push(format!("add address {address} to {name}"));
        state.addresses.push((link, address));
        Ok(())
    }

    fn all_routes(&self) -> Result<Vec<Route>, NetlinkError> {
        Ok(self.lock().routes.clone())
    }

    fn set_route(&self, route: &Route) -> Result<(), NetlinkError> {
        let mut state = self.lock();
        let name = if route.link == 0 { "?".to_owned() } else { state.name(route.link)? };
        let via = route.gateway.map(|gateway| format!(" via {gateway}")).unwrap_or_default();
        let source = route.source.map(|source| format!(" src {source}")).unwrap_or_default();
        state.log.push(format!("set route {}{via} dev {name}{source}", route.to));
        state.routes.retain(|other| other.to != route.to);
        state.routes.push(*route);
        Ok(())
    }

    fn delete_route(&self, to: IpNet) -> Result<(), NetlinkError> {
        let mut state = self.lock();
        state.log.push(format!("delete route {to}"));
        state.routes.retain(|route| route.to != to);
        Ok(())
    }

    fn set_neighbour(&self, neighbour: &Neighbour) -> Result<(), NetlinkError> {
        let mut state = self.lock();
        let name = state.name(neighbour.link)?;
        state.log.push(format!("set neighbour {} is {} dev {name}", neighbour.address, neighbour.mac));
        Ok(())
    }
}
