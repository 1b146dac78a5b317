//! [`Links`] by rtnetlink (linux/rtnetlink.h, linux/if_link.h, linux/neighbour.h).

use std::net::IpAddr;
use std::os::fd::AsRawFd;

use ipnet::IpNet;

use super::NetlinkError;
use super::links::{Link, LinkChange, Links, Mac, Neighbour, Route, Veth};
use super::message::{self, CREATE, EXCLUSIVE, REPLACE, Writer, attribute, nested, text_of, u32_of};
use super::socket::Socket;

/// The links of the network namespace in which it was opened.
pub struct RouteSocket(Socket);

const NEW_LINK: u16 = 16;
const DEL_LINK: u16 = 17;
const GET_LINK: u16 = 18;
const SET_LINK: u16 = 19;
const NEW_ADDRESS: u16 = 20;
const GET_ADDRESS: u16 = 22;
const NEW_ROUTE: u16 = 24;
const DEL_ROUTE: u16 = 25;
const GET_ROUTE: u16 = 26;
const NEW_NEIGHBOUR: u16 = 28;

const AF_UNSPEC: u8 = 0;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINKINFO: u16 = 18;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const IFF_UP: u32 = 1;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
/// An IPv6 address that is ours beyond doubt is usable at once.
const IFA_F_NODAD: u8 = 2;

const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PREFSRC: u16 = 7;
const RT_TABLE_MAIN: u8 = 254;
const RTPROT_STATIC: u8 = 4;
const RT_SCOPE_UNIVERSE: u8 = 0;
const RT_SCOPE_LINK: u8 = 253;
const RT_SCOPE_NOWHERE: u8 = 255;
const RTN_UNICAST: u8 = 1;

const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const NUD_PERMANENT: u16 = 0x80;

// === impl RouteSocket ===

impl RouteSocket {
    /// The links of the calling thread's network namespace.
    pub fn open() -> Result<RouteSocket, NetlinkError> {
        Socket::open(None).map(RouteSocket)
    }
}

impl Links for RouteSocket {
    fn links(&self) -> Result<Vec<Link>, NetlinkError> {
        let mut links = Vec::new();
        self.0.dump(GET_LINK, &link_header(AF_UNSPEC, 0, 0, 0), |kind, payload| {
            links.extend((kind == NEW_LINK).then(|| parse_link(payload)).flatten());
        })?;
        Ok(links)
    }

    fn add_bridge(&self, name: &str, mac: Mac, mtu: u32) -> Result<(), NetlinkError> {
        self.0.request(NEW_LINK, CREATE | EXCLUSIVE, &link_header(AF_UNSPEC, 0, 0, 0), |w| {
            w.text(IFLA_IFNAME, name);
            w.attribute(IFLA_ADDRESS, &mac.0);
            if mtu != 0 {
                w.u32(IFLA_MTU, mtu);
            }
            w.nested(IFLA_LINKINFO, |w| w.text(IFLA_INFO_KIND, "bridge"));
        })
    }

    fn add_veth(&self, veth: &Veth) -> Result<(), NetlinkError> {
        let mtu = |w: &mut Writer| {
            if veth.mtu != 0 {
                w.u32(IFLA_MTU, veth.mtu);
            }
        };
        self.0.request(NEW_LINK, CREATE | EXCLUSIVE, &link_header(AF_UNSPEC, 0, 0, 0), |w| {
            w.text(IFLA_IFNAME, veth.name);
            w.attribute(IFLA_ADDRESS, &veth.mac.0);
            mtu(w);
            w.nested(IFLA_LINKINFO, |w| {
                w.text(IFLA_INFO_KIND, "veth");
                w.nested(IFLA_INFO_DATA, |w| {
                    w.nested(VETH_INFO_PEER, |w| {
                        w.raw(&link_header(AF_UNSPEC, 0, 0, 0));
                        w.text(IFLA_IFNAME, veth.peer);
                        w.attribute(IFLA_ADDRESS, &veth.peer_mac.0);
                        mtu(w);
                        w.u32(IFLA_NET_NS_FD, veth.peer_namespace.as_raw_fd() as u32);
                    });
                });
            });
        })
    }

    fn change(&self, link: u32, change: &LinkChange) -> Result<(), NetlinkError> {
        let LinkChange { up, mtu, mac } = *change;
        let flags = if up == Some(true) { IFF_UP } else { 0 };
        let mask = if up.is_some() { IFF_UP } else { 0 };
        self.0.request(SET_LINK, 0, &link_header(AF_UNSPEC, link, flags, mask), |w| {
            mtu.iter().for_each(|mtu| w.u32(IFLA_MTU, *mtu));
            mac.iter().for_each(|mac| w.attribute(IFLA_ADDRESS, &mac.0));
        })
    }

    fn delete(&self, link: u32) -> Result<(), NetlinkError> {
        self.0.request(DEL_LINK, 0, &link_header(AF_UNSPEC, link, 0, 0), |_| {})
    }

    fn addresses(&self, link: u32) -> Result<Vec<IpNet>, NetlinkError> {
        let mut addresses = Vec::new();
        self.0.dump(GET_ADDRESS, &[0; 8], |kind, payload| {
            if kind == NEW_ADDRESS && payload.get(4..).and_then(u32_of) == Some(link) {
                addresses.extend(parse_address(payload));
            }
        })?;
        Ok(addresses)
    }

    fn add_address(&self, link: u32, address: IpNet) -> Result<(), NetlinkError> {
        let family = family_of(address.addr());
        let flags = if family == AF_INET6 { IFA_F_NODAD } else { 0 };
        let mut header = [family, address.prefix_len(), flags, RT_SCOPE_UNIVERSE, 0, 0, 0, 0];
        header[4..].copy_from_slice(&link.to_ne_bytes());
        self.0.request(NEW_ADDRESS, CREATE | REPLACE, &header, |w| {
            w.attribute(IFA_LOCAL, &octets(address.addr()));
            w.attribute(IFA_ADDRESS, &octets(address.addr()));
        })
    }

    fn all_routes(&self) -> Result<Vec<Route>, NetlinkError> {
        let mut routes = Vec::new();
        self.0.dump(GET_ROUTE, &[0; 12], |kind, payload| {
            let of_main = payload.get(4) == Some(&RT_TABLE_MAIN) && payload.get(7) == Some(&RTN_UNICAST);
            if kind == NEW_ROUTE && of_main {
                routes.extend(parse_route(payload));
            }
        })?;
        Ok(routes)
    }

    fn set_route(&self, route: &Route) -> Result<(), NetlinkError> {
        let family = family_of(route.to.addr());
        let scope = if route.gateway.is_some() { RT_SCOPE_UNIVERSE } else { RT_SCOPE_LINK };
        let head = [family, route.to.prefix_len(), 0, 0, RT_TABLE_MAIN, RTPROT_STATIC, scope, RTN_UNICAST];
        let header = [&head[..], &[0; 4]].concat();
        self.0.request(NEW_ROUTE, CREATE | REPLACE, &header, |w| {
            w.attribute(RTA_DST, &octets(route.to.network()));
            route.gateway.iter().for_each(|gateway| w.attribute(RTA_GATEWAY, &octets(*gateway)));
            route.source.iter().for_each(|source| w.attribute(RTA_PREFSRC, &octets(*source)));
            if route.link != 0 {
                w.u32(RTA_OIF, route.link);
            }
        })
    }

    fn delete_route(&self, to: IpNet) -> Result<(), NetlinkError> {
        // Scope "nowhere" matches any.
        let head =
            [family_of(to.addr()), to.prefix_len(), 0, 0, RT_TABLE_MAIN, 0, RT_SCOPE_NOWHERE, RTN_UNICAST];
        let header = [&head[..], &[0; 4]].concat();
        self.0.request(DEL_ROUTE, 0, &header, |w| w.attribute(RTA_DST, &octets(to.network())))
    }

    fn set_neighbour(&self, neighbour: &Neighbour) -> Result<(), NetlinkError> {
        self.0.request(NEW_NEIGHBOUR, CREATE | REPLACE, &neighbour_header(neighbour), |w| {
            w.attribute(NDA_DST, &octets(neighbour.address));
            w.attribute(NDA_LLADDR, &neighbour.mac.0);
        })
    }
}

/// `struct ifinfomsg`.
fn link_header(family: u8, index: u32, flags: u32, change: u32) -> [u8; 16] {
    let mut header = [0; 16];
    header[0] = family;
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..].copy_from_slice(&change.to_ne_bytes());
    header
}

/// `struct ndmsg`.
fn neighbour_header(neighbour: &Neighbour) -> [u8; 12] {
    let mut header = [0; 12];
    header[0] = family_of(neighbour.address);
    header[4..8].copy_from_slice(&neighbour.link.to_ne_bytes());
    header[8..10].copy_from_slice(&NUD_PERMANENT.to_ne_bytes());
    header
}

fn parse_link(payload: &[u8]) -> Option<Link> {
    let attributes = payload.get(16..)?;
    let mac = attribute(attributes, IFLA_ADDRESS).and_then(|mac| mac.try_into().ok()).map(Mac);
    Some(Link {
        index: u32_of(payload.get(4..)?)?,
        name: text_of(attribute(attributes, IFLA_IFNAME)?)?.to_owned(),
        kind: nested(attributes, &[IFLA_LINKINFO, IFLA_INFO_KIND])
            .and_then(text_of)
            .unwrap_or_default()
            .to_owned(),
        mac: mac.unwrap_or_default(),
        mtu: attribute(attributes, IFLA_MTU).and_then(u32_of).unwrap_or_default(),
        up: u32_of(payload.get(8..)?)? & IFF_UP != 0,
    })
}

fn parse_address(payload: &[u8]) -> Option<IpNet> {
    let attributes = payload.get(8..)?;
    let address = attribute(attributes, IFA_LOCAL).or_else(|| attribute(attributes, IFA_ADDRESS))?;
    IpNet::new(address_of(address)?, *payload.get(1)?).ok()
}

fn parse_route(payload: &[u8]) -> Option<Route> {
    let attributes = payload.get(12..)?;
    let unspecified: &[u8] = if *payload.first()? == AF_INET { &[0; 4] } else { &[0; 16] };
    let to = address_of(attribute(attributes, RTA_DST).unwrap_or(unspecified))?;
    Some(Route {
        to: IpNet::new(to, *payload.get(1)?).ok()?,
        gateway: attribute(attributes, RTA_GATEWAY).and_then(address_of),
        link: attribute(attributes, RTA_OIF).and_then(message::u32_of)?,
        source: attribute(attributes, RTA_PREFSRC).and_then(address_of),
    })
}

fn family_of(address: IpAddr) -> u8 {
    if address.is_ipv4() { AF_INET } else { AF_INET6 }
}

/// The bytes of an address, as the network orders them.
pub(crate) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// The address of four or sixteen bytes.
pub(crate) fn address_of(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        16 => Some(IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?)),
        _ => None,
    }
}
