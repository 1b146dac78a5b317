//! The kernel's connection tracking: finding and forgetting flows, as a seam (linux/netfilter/nfnetlink_conntrack.h).

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use rustix::net::netlink;

use crate::netlink::NetlinkError;
use crate::netlink::message::{attribute, be16_of, nested};
use crate::netlink::route::address_of;
use crate::netlink::socket::Socket;

/// A flow that the kernel knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Its transport protocol's number: 6, 17, 132.
    pub protocol: u8,
    /// Who began it.
    pub source: SocketAddr,
    /// Whom it meant, before any translation.
    pub destination: SocketAddr,
    /// Who answers: the destination after translation.
    pub answers: SocketAddr,
    /// As the kernel names it, for deletion.
    tuple: Vec<u8>,
    id: Vec<u8>,
}

/// The flows of one network namespace.
pub trait Conntrack: Send + Sync {
    /// Forgets the flows of IPv6 or IPv4 for which `stale` holds; returns how many.
    fn forget(&self, ipv6: bool, stale: &dyn Fn(&Flow) -> bool) -> Result<usize, NetlinkError>;
}

/// The flows of the network namespace in which it was opened.
pub struct ConntrackSocket(Socket);

/// Flows in memory, for tests.
#[derive(Default)]
pub struct FakeConntrack(Mutex<Vec<Flow>>);

const GET: u16 = (1 << 8) | 1;
const DELETE: u16 = (1 << 8) | 2;

const TUPLE_ORIGINAL: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const ID: u16 = 12;
const TUPLE_IP: u16 = 1;
const TUPLE_PROTO: u16 = 2;
const PROTO_NUMBER: u16 = 1;
const PROTO_SOURCE_PORT: u16 = 2;
const PROTO_DESTINATION_PORT: u16 = 3;

// === impl Flow ===

impl Flow {
    /// A flow for tests.
    pub fn new(protocol: u8, source: SocketAddr, destination: SocketAddr, answers: SocketAddr) -> Flow {
        Flow { protocol, source, destination, answers, tuple: Vec::new(), id: Vec::new() }
    }

    fn parse(attributes: &[u8]) -> Option<Flow> {
        let original = attribute(attributes, TUPLE_ORIGINAL)?;
        Some(Flow {
            protocol: *nested(original, &[TUPLE_PROTO, PROTO_NUMBER])?.first()?,
            source: end(original, true)?,
            destination: end(original, false)?,
            answers: end(attribute(attributes, TUPLE_REPLY)?, true)?,
            tuple: original.to_vec(),
            id: attribute(attributes, ID)?.to_vec(),
        })
    }
}

/// One end of a tuple.
fn end(tuple: &[u8], source: bool) -> Option<SocketAddr> {
    let addresses = attribute(tuple, TUPLE_IP)?;
    let kinds: [u16; 2] = if source { [1, 3] } else { [2, 4] };
    let address = kinds.iter().find_map(|kind| attribute(addresses, *kind)).and_then(address_of)?;
    let port = if source { PROTO_SOURCE_PORT } else { PROTO_DESTINATION_PORT };
    let port = nested(tuple, &[TUPLE_PROTO, port]).and_then(be16_of)?;
    Some(SocketAddr::new(address, port))
}

// === impl ConntrackSocket ===

impl ConntrackSocket {
    /// The flows of the calling thread's network namespace.
    pub fn open() -> Result<ConntrackSocket, NetlinkError> {
        Socket::open(Some(netlink::NETFILTER)).map(ConntrackSocket)
    }
}

impl Conntrack for ConntrackSocket {
    fn forget(&self, ipv6: bool, stale: &dyn Fn(&Flow) -> bool) -> Result<usize, NetlinkError> {
        let header = [if ipv6 { 10 } else { 2 }, 0, 0, 0];
        let mut flows = Vec::new();
        self.0.dump(GET, &header, |_, payload| {
            flows.extend(payload.get(4..).and_then(Flow::parse).filter(|flow| stale(flow)));
        })?;
        let mut forgotten = 0;
        for flow in &flows {
            let result = self.0.request(DELETE, 0, &header, |w| {
                w.nested(TUPLE_ORIGINAL, |w| w.raw(&flow.tuple));
                w.attribute(ID, &flow.id);
            });
            match result {
                Ok(()) => forgotten += 1,
                // It ended by itself meanwhile.
                Err(error) if error.is_absent() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(forgotten)
    }
}

// === impl FakeConntrack ===

impl FakeConntrack {
    /// Adds a flow.
    pub fn add(&self, flow: Flow) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(flow);
    }

    /// All flows.
    pub fn flows(&self) -> Vec<Flow> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Conntrack for FakeConntrack {
    fn forget(&self, ipv6: bool, stale: &dyn Fn(&Flow) -> bool) -> Result<usize, NetlinkError> {
        let mut flows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = flows.len();
        flows.retain(|flow| flow.destination.is_ipv6() != ipv6 || !stale(flow));
        Ok(before - flows.len())
    }
}
