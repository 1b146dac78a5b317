//! What a rule looks at and does.
//!
//! A rule is a list of expressions over sixteen four-byte registers. [`Source`]s fill registers; the rest compare
//! them, look them up and act. A comparison that fails and a key that is not found end the rule. Registers are empty
//! at the start of each rule.

use ipnet::IpNet;

use super::{DataType, Family, Verdict};

/// A register: 0 to 15. Longer values take the following ones too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reg(pub u8);

/// Where a value comes from. `Family` has to be [`Family::Ip`] or [`Family::Ip6`] for those that have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The packet's source address.
    SourceAddress(Family),
    /// The packet's destination address.
    DestinationAddress(Family),
    /// The packet's source port.
    SourcePort,
    /// The packet's destination port.
    DestinationPort,
    /// The type of an ICMP message.
    IcmpType,
    /// Its transport protocol.
    Protocol,
    /// IPv4 or IPv6.
    NetworkProtocol,
    /// The link it came in by.
    InLink,
    /// The link it leaves by.
    OutLink,
    /// How it relates to its flow.
    FlowState,
    /// What is known of its flow.
    FlowStatus,
    /// Whom the flow's first packet meant, before any translation.
    OriginalDestination(Family),
    /// The port the flow's first packet meant, before any translation.
    OriginalPort,
    /// Whether the source address is this machine's.
    SourceKind,
    /// Whether the destination address is this machine's.
    DestinationKind,
    /// A random number from `offset` to less than `offset + modulus`.
    Random {
        /// How many there are.
        modulus: u32,
        /// The least.
        offset: u32,
    },
    /// A number from `offset` to less than `offset + modulus` that follows from `words` registers from `from` on.
    Hash {
        /// What it follows from.
        from: Reg,
        /// How many registers.
        words: u8,
        /// How many numbers there are.
        modulus: u32,
        /// The least.
        offset: u32,
    },
}

/// How two values compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// The same.
    Equal,
    /// Not the same.
    NotEqual,
    /// At most, in the network's byte order.
    AtMost,
    /// At least, in the network's byte order.
    AtLeast,
}

/// One step of a rule.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// Fills a register.
    Load {
        /// With what.
        source: Source,
        /// Which.
        to: Reg,
    },
    /// Fills a register with a fixed value.
    Set {
        /// With what: at most 16 bytes.
        data: Vec<u8>,
        /// Its type, for texts.
        data_type: DataType,
        /// Which.
        to: Reg,
    },
    /// Goes on if a register compares like this.
    Compare {
        /// Which.
        from: Reg,
        /// How.
        by: Comparison,
        /// With what: exactly as many bytes as the value has.
        data: Vec<u8>,
    },
    /// Goes on if any of the bits are set.
    AnyBit {
        /// Of which register.
        from: Reg,
        /// Which bits, in the machine's byte order.
        mask: u32,
    },
    /// Goes on if an address is of a network, or when `not` if it is not.
    InNetwork {
        /// Where the address is.
        from: Reg,
        /// The network.
        network: IpNet,
        /// Whether it has to be outside.
        not: bool,
    },
    /// Goes on if the key is in the set, or when `not` if it is not.
    InSet {
        /// The set's name.
        set: String,
        /// Where its key begins.
        key: Reg,
        /// Whether it has to be absent.
        not: bool,
    },
    /// Fills registers with what the key leads to; goes on if it is there.
    Map {
        /// The map's name.
        map: String,
        /// Where its key begins.
        key: Reg,
        /// Where the value goes.
        to: Reg,
        /// The types of the value, for texts.
        types: Vec<DataType>,
    },
    /// Does what the key leads to; goes on if it is not there.
    VerdictMap {
        /// The map's name.
        map: String,
        /// Where its key begins.
        key: Reg,
    },
    /// Puts a key into a dynamic set; if it is there, its time begins anew. Goes on unless the set is full.
    Update {
        /// The set's name.
        set: String,
        /// Where its key begins.
        key: Reg,
        /// How long it stays, in milliseconds.
        timeout_ms: u64,
    },
    /// Sends the flow elsewhere.
    DestinationNat {
        /// IPv4 or IPv6.
        family: Family,
        /// Where the address is.
        address: Reg,
        /// Where the port is.
        port: Reg,
    },
    /// Lets the flow come from this machine, from a port that is random.
    Masquerade,
    /// Refuses the packet: port unreachable. In an `inet` table use [`Family::Inet`].
    Reject(Family),
    /// Counts packets and bytes.
    Counter,
    /// Ends the chain's work on the packet.
    Verdict(Verdict),
}

// === impl Source ===

impl Source {
    /// The type of its values.
    pub fn data_type(self) -> DataType {
        match self {
            Source::SourceAddress(family)
            | Source::DestinationAddress(family)
            | Source::OriginalDestination(family) => {
                if family == Family::Ip6 {
                    DataType::Ipv6
                } else {
                    DataType::Ipv4
                }
            }
            Source::SourcePort | Source::DestinationPort | Source::OriginalPort => DataType::Port,
            Source::IcmpType => DataType::Icmp,
            Source::Protocol => DataType::Proto,
            Source::NetworkProtocol => DataType::Nfproto,
            Source::InLink | Source::OutLink => DataType::LinkName,
            Source::FlowState => DataType::FlowState,
            Source::FlowStatus => DataType::FlowStatus,
            Source::SourceKind | Source::DestinationKind => DataType::AddressKind,
            Source::Random { .. } | Source::Hash { .. } => DataType::Number,
        }
    }
}

// === impl Expr ===

/// The bit of [`Source::FlowState`] for the first packet of a flow.
pub const STATE_NEW: u32 = 8;
/// The bits of [`Source::FlowState`] for packets of flows that have been let through.
pub const STATE_ESTABLISHED_RELATED: u32 = 6;
/// The bit of [`Source::FlowStatus`] for flows that were sent elsewhere.
pub const STATUS_DNAT: u32 = 0x20;
/// The value of [`Source::SourceKind`] for addresses of this machine.
pub const KIND_LOCAL: u32 = 2;

impl Expr {
    /// Fills registers from `first` on with `sources`, one after another.
    pub fn loads(first: u8, sources: &[Source]) -> Vec<Expr> {
        let mut at = first;
        let load = |source: &Source| {
            let to = Reg(at);
            at += source.data_type().words();
            Expr::Load { source: *source, to }
        };
        sources.iter().map(load).collect()
    }

    /// Goes on if `source` has exactly this value. Uses register 0.
    pub fn is(source: Source, data: Vec<u8>) -> [Expr; 2] {
        [Expr::Load { source, to: Reg(0) }, Expr::Compare { from: Reg(0), by: Comparison::Equal, data }]
    }

    /// Goes on if `source` has any other value. Uses register 0.
    pub fn is_not(source: Source, data: Vec<u8>) -> [Expr; 2] {
        [Expr::Load { source, to: Reg(0) }, Expr::Compare { from: Reg(0), by: Comparison::NotEqual, data }]
    }

    /// Goes on if `source` is an address of `network`, or when `not` if it is not. Uses register 0.
    pub fn network(source: Source, network: IpNet, not: bool) -> [Expr; 2] {
        [Expr::Load { source, to: Reg(0) }, Expr::InNetwork { from: Reg(0), network, not }]
    }

    /// Goes on with the first packet of a flow. Uses register 0.
    pub fn flow_is_new() -> [Expr; 2] {
        let mask = STATE_NEW;
        [Expr::Load { source: Source::FlowState, to: Reg(0) }, Expr::AnyBit { from: Reg(0), mask }]
    }

    /// Goes on with packets of flows that were sent elsewhere. Uses register 0.
    pub fn flow_is_translated() -> [Expr; 2] {
        let mask = STATUS_DNAT;
        [Expr::Load { source: Source::FlowStatus, to: Reg(0) }, Expr::AnyBit { from: Reg(0), mask }]
    }
}
