//! The types of what sets hold and rules compare, their bytes and their text.
//!
//! The kernel knows lengths only; the types are for `nft list` and for our own texts. Within a key of several parts
//! each part is padded to four bytes.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DataType {
    /// An IPv4 address.
    Ipv4,
    /// An IPv6 address.
    Ipv6,
    /// A transport protocol's number.
    Proto,
    /// A port.
    Port,
    /// A number of the machine's byte order.
    Number,
    /// A link's name.
    LinkName,
    /// The type of an ICMP message.
    Icmp,
    /// The kind of an address: local or not.
    AddressKind,
    /// How a packet relates to its flow.
    FlowState,
    /// What is known of a flow.
    FlowStatus,
    /// IPv4 or IPv6.
    Nfproto,
}

/// Builds a key or a value of several parts.
#[derive(Clone, Debug, Default)]
pub struct Concat(Vec<u8>);

/// The bytes of a link's name in a register.
pub const LINK_NAME_BYTES: usize = 16;

// === impl DataType ===

impl DataType {
    /// How many bytes a value has.
    pub fn bytes(self) -> usize {
        match self {
            DataType::Proto | DataType::Icmp | DataType::Nfproto => 1,
            DataType::Port => 2,
            DataType::Ipv4
            | DataType::Number
            | DataType::AddressKind
            | DataType::FlowState
            | DataType::FlowStatus => 4,
            DataType::Ipv6 | DataType::LinkName => 16,
        }
    }

    /// How many four-byte registers a value takes.
    pub fn words(self) -> u8 {
        self.bytes().div_ceil(4) as u8
    }

    /// `nft`'s number for it (nftables, include/datatype.h).
    pub(crate) fn number(self) -> u32 {
        match self {
            DataType::Nfproto => 2,
            DataType::Ipv4 => 7,
            DataType::Ipv6 => 8,
            DataType::Proto => 12,
            DataType::Port => 13,
            DataType::Icmp => 14,
            DataType::Number => 19,
            DataType::FlowState => 26,
            DataType::FlowStatus => 28,
            DataType::AddressKind => 38,
            DataType::LinkName => 41,
        }
    }

    /// `nft`'s name for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            DataType::Ipv4 => "ipv4_addr",
            DataType::Ipv6 => "ipv6_addr",
            DataType::Proto => "inet_proto",
            DataType::Port => "inet_service",
            DataType::Number => "mark",
            DataType::LinkName => "ifname",
            DataType::Icmp => "icmp_type",
            DataType::AddressKind => "fib_addrtype",
            DataType::FlowState => "ct_state",
            DataType::FlowStatus => "ct_status",
            DataType::Nfproto => "nf_proto",
        }
    }

    /// The text of a value; its bytes in hexadecimal when they are not of this type.
    pub fn text(self, bytes: &[u8]) -> String {
        self.try_text(bytes).unwrap_or_else(|| {
            bytes.iter().fold("0x".to_owned(), |mut text, byte| {
                write!(text, "{byte:02x}").expect("a string takes all");
                text
            })
        })
    }

    fn try_text(self, bytes: &[u8]) -> Option<String> {
        if self == DataType::LinkName && bytes.len() < LINK_NAME_BYTES {
            return Some(format!("\"{}*\"", std::str::from_utf8(bytes).ok()?));
        }
        let bytes = bytes.get(..self.bytes())?;
        let number = || Some(u32::from_ne_bytes(bytes.try_into().ok()?));
        Some(match self {
            DataType::Ipv4 => Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).to_string(),
            DataType::Ipv6 => Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).to_string(),
            DataType::Proto => match bytes[0] {
                1 => "icmp".to_owned(),
                6 => "tcp".to_owned(),
                17 => "udp".to_owned(),
                58 => "ipv6-icmp".to_owned(),
                132 => "sctp".to_owned(),
                other => other.to_string(),
            },
            DataType::Port => u16::from_be_bytes(bytes.try_into().ok()?).to_string(),
            DataType::Icmp => bytes[0].to_string(),
            DataType::Nfproto => if bytes[0] == 2 { "ipv4" } else { "ipv6" }.to_owned(),
            DataType::LinkName => {
                format!("\"{}\"", std::str::from_utf8(bytes.split(|byte| *byte == 0).next()?).ok()?)
            }
            DataType::AddressKind => match number()? {
                2 => "local".to_owned(),
                other => other.to_string(),
            },
            DataType::Number => number()?.to_string(),
            DataType::FlowState => match number()? {
                1 => "invalid".to_owned(),
                8 => "new".to_owned(),
                6 => "established,related".to_owned(),
                other => format!("{other:#x}"),
            },
            DataType::FlowStatus => match number()? {
                0x20 => "dnat".to_owned(),
                other => format!("{other:#x}"),
            },
        })
    }
}

/// The text of a key or value of several parts.
pub fn text_of(types: &[DataType], bytes: &[u8]) -> String {
    let mut at = 0;
    let parts = types.iter().map(|data_type| {
        let part = bytes.get(at..).unwrap_or_default();
        at += usize::from(data_type.words()) * 4;
        data_type.text(part)
    });
    parts.collect::<Vec<_>>().join(" . ")
}

/// How many bytes a key or value of several parts has.
pub fn bytes_of(types: &[DataType]) -> usize {
    types.iter().map(|data_type| usize::from(data_type.words()) * 4).sum()
}

/// The type of an address.
pub fn type_of(address: IpAddr) -> DataType {
    if address.is_ipv4() { DataType::Ipv4 } else { DataType::Ipv6 }
}

// === impl Concat ===

impl Concat {
    /// Nothing yet.
    pub fn new() -> Concat {
        Concat(Vec::with_capacity(24))
    }

    /// Adds an address.
    pub fn ip(self, address: IpAddr) -> Concat {
        match address {
            IpAddr::V4(address) => self.part(&address.octets()),
            IpAddr::V6(address) => self.part(&address.octets()),
        }
    }

    /// Adds a transport protocol's number.
    pub fn proto(self, protocol: u8) -> Concat {
        self.part(&[protocol])
    }

    /// Adds a port.
    pub fn port(self, port: u16) -> Concat {
        self.part(&port.to_be_bytes())
    }

    /// Adds a number of the machine's byte order.
    pub fn number(self, number: u32) -> Concat {
        self.part(&number.to_ne_bytes())
    }

    /// The bytes.
    pub fn build(self) -> Vec<u8> {
        self.0
    }

    fn part(mut self, bytes: &[u8]) -> Concat {
        self.0.extend_from_slice(bytes);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }
}

/// The bytes of a link's name as rules compare it. Fewer bytes compare as the beginning of a name.
pub fn link_name(name: &str) -> Vec<u8> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.resize(LINK_NAME_BYTES, 0);
    bytes
}
