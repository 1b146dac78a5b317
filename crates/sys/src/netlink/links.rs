//! What a node's network needs of rtnetlink: links, addresses, routes and neighbours, as a seam.

use std::net::IpAddr;
use std::os::fd::BorrowedFd;

use ipnet::IpNet;

use super::NetlinkError;

/// A hardware address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Mac(pub [u8; 6]);

/// A link as the kernel shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Its number within its network namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// `bridge`, `veth`, …; empty for real devices.
    pub kind: String,
    /// Its hardware address.
    pub mac: Mac,
    /// The largest packet in bytes.
    pub mtu: u32,
    /// Whether it is up.
    pub up: bool,
}

/// A pair of links to make, one of them in another network namespace.
#[derive(Clone, Copy, Debug)]
pub struct Veth<'a> {
    /// The name of the one here.
    pub name: &'a str,
    /// The hardware address of the one here.
    pub mac: Mac,
    /// The name of the other one.
    pub peer: &'a str,
    /// The hardware address of the other one.
    pub peer_mac: Mac,
    /// Where the other one goes.
    pub peer_namespace: BorrowedFd<'a>,
    /// The largest packet in bytes, of both; 0 for the kernel's default.
    pub mtu: u32,
}

/// What to change about a link; `None` leaves it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkChange {
    /// Up or down.
    pub up: Option<bool>,
    /// The largest packet in bytes.
    pub mtu: Option<u32>,
    /// The hardware address.
    pub mac: Option<Mac>,
}

/// A route of the main table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where to.
    pub to: IpNet,
    /// Through which router; `None` when the destination is on the link.
    pub gateway: Option<IpAddr>,
    /// Out of which link, by index; 0 where the kernel is to find the one that the gateway is on.
    pub link: u32,
    /// The address that the machine's own packets get.
    pub source: Option<IpAddr>,
}

/// A neighbour that is known for good, so that nobody else can claim its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Its address.
    pub address: IpAddr,
    /// Its hardware address.
    pub mac: Mac,
    /// On which link, by index.
    pub link: u32,
}

/// The links of one network namespace.
pub trait Links: Send + Sync {
    /// All links.
    fn links(&self) -> Result<Vec<Link>, NetlinkError>;
    /// Makes a bridge, down. It is an error if the name is taken.
    fn add_bridge(&self, name: &str, mac: Mac, mtu: u32) -> Result<(), NetlinkError>;
    /// Makes a pair of links, both down. It is an error if a name is taken.
    fn add_veth(&self, veth: &Veth) -> Result<(), NetlinkError>;
    /// Changes a link.
    fn change(&self, link: u32, change: &LinkChange) -> Result<(), NetlinkError>;
    /// Ends a link, and the other one of a pair.
    fn delete(&self, link: u32) -> Result<(), NetlinkError>;
    /// The addresses of a link, with the length of its network's prefix.
    fn addresses(&self, link: u32) -> Result<Vec<IpNet>, NetlinkError>;
    /// Adds an address; it may be there already.
    fn add_address(&self, link: u32, address: IpNet) -> Result<(), NetlinkError>;
    /// The routes of the main table.
    fn all_routes(&self) -> Result<Vec<Route>, NetlinkError>;
    /// Adds a route or replaces the one to the same destination.
    fn set_route(&self, route: &Route) -> Result<(), NetlinkError>;
    /// Ends the route to a destination.
    fn delete_route(&self, to: IpNet) -> Result<(), NetlinkError>;
    /// Adds a neighbour or replaces the one with the same address.
    fn set_neighbour(&self, neighbour: &Neighbour) -> Result<(), NetlinkError>;

    /// The routes of the main table that leave by `link`.
    fn routes(&self, link: u32) -> Result<Vec<Route>, NetlinkError> {
        Ok(self.all_routes()?.into_iter().filter(|route| route.link == link).collect())
    }

    /// The link named `name`.
    fn find(&self, name: &str) -> Result<Option<Link>, NetlinkError> {
        Ok(self.links()?.into_iter().find(|link| link.name == name))
    }

    /// The link named `name`, which has to be there.
    fn get(&self, name: &str) -> Result<Link, NetlinkError> {
        self.find(name)?.ok_or_else(|| NetlinkError::NoLink(name.to_owned()))
    }
}

// === impl Mac ===

impl Mac {
    /// A locally administered one that follows from an address, so that an address always has the same (as kubenet
    /// did: `0a:58` and the four bytes of IPv4; the last four of IPv6).
    pub fn of(address: IpAddr) -> Mac {
        let mut mac = [0x0a, 0x58, 0, 0, 0, 0];
        match address {
            IpAddr::V4(address) => mac[2..].copy_from_slice(&address.octets()),
            IpAddr::V6(address) => mac[2..].copy_from_slice(&address.octets()[12..]),
        }
        Mac(mac)
    }
}

impl std::fmt::Display for Mac {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}
