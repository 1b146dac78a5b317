//! Packets: queries in, replies out (RFC 1035, 6891). Every byte of a query is somebody else's, so everything is
//! checked and nothing is trusted.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::name::Name;

/// Types of records.
pub mod kind {
    /// An IPv4 address.
    pub const A: u16 = 1;
    /// A name server.
    pub const NS: u16 = 2;
    /// Another name.
    pub const CNAME: u16 = 5;
    /// The start of a zone.
    pub const SOA: u16 = 6;
    /// A name for an address.
    pub const PTR: u16 = 12;
    /// Text.
    pub const TXT: u16 = 16;
    /// An IPv6 address.
    pub const AAAA: u16 = 28;
    /// A service's host and port.
    pub const SRV: u16 = 33;
    /// EDNS.
    pub const OPT: u16 = 41;
    /// A zone's changes.
    pub const IXFR: u16 = 251;
    /// A whole zone.
    pub const AXFR: u16 = 252;
    /// Everything.
    pub const ANY: u16 = 255;
}

/// How a query went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Well.
    NoError,
    /// It could not be read.
    FormErr,
    /// Somebody else did not answer.
    ServFail,
    /// There is no such name.
    NxDomain,
    /// This is not done here.
    NotImp,
    /// This is not done for you.
    Refused,
    /// An EDNS version that is not spoken here.
    BadVers,
}

/// What carries a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// Replies may be cut to what the asker takes.
    Udp,
    /// Replies may be as long as their length can say.
    Tcp,
}

/// A query that could be read.
#[derive(Clone, Debug)]
pub struct Query {
    /// The asker's number.
    pub id: u16,
    /// Whether the asker wants us to ask others.
    pub recursion_desired: bool,
    /// What is asked for, in lower case.
    pub name: Name,
    /// Which type of record.
    pub kind: u16,
    /// Which class; 1 is the Internet.
    pub class: u16,
    /// What the asker says by EDNS, if it does.
    pub edns: Option<Edns>,
    /// Where the question ends in the packet.
    pub question_end: usize,
}

/// What an asker says by EDNS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Edns {
    /// How long a reply over UDP it takes, in bytes.
    pub size: u16,
    /// Whether it wants signatures.
    pub dnssec_ok: bool,
}

/// A record's data.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// Another name.
    Cname(Name),
    /// A name for an address.
    Ptr(Name),
    /// A name server.
    Ns(Name),
    /// Text; at most 255 bytes.
    Txt(String),
    /// A service's host and port.
    Srv {
        /// Share among equals.
        weight: u16,
        /// The port.
        port: u16,
        /// The host.
        target: Name,
    },
    /// The start of a zone.
    Soa {
        /// The first name server.
        server: Name,
        /// Who looks after it, as a name.
        mailbox: Name,
        /// Counts changes.
        serial: u32,
        /// How long what is not there may be remembered as such, in seconds.
        negative_ttl: u32,
    },
}

/// A record.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Whose it is.
    pub owner: Name,
    /// How long it may be remembered, in seconds.
    pub ttl: u32,
    /// What it says.
    pub data: Data,
}

/// What a query is answered with.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// How it went.
    pub code: Code,
    /// Whether it comes from who is to know.
    pub authoritative: bool,
    /// The records asked for.
    pub answers: Vec<Record>,
    /// Whose the zone is.
    pub authority: Vec<Record>,
    /// What the asker would ask for next; left out when there is no room.
    pub additional: Vec<Record>,
}

/// Why a packet is no query that can be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It is none, or none that should be answered.
    Silence,
    /// It is to be told so.
    Tell(Code),
}

/// The length of a packet's head.
pub const HEAD: usize = 12;
/// The longest reply over UDP that needs no EDNS, and the longest that is sent, so that it is not fragmented.
pub const UDP_MIN: usize = 512;
/// The longest reply that is sent over UDP, so that it is not fragmented.
pub const UDP_MAX: usize = 1232;

/// The two bytes at `at`.
pub fn u16_at(packet: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(packet.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

/// The four bytes at `at`.
pub fn u32_at(packet: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(packet.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

// === impl Query ===

impl Query {
    /// Reads a packet.
    pub fn read(packet: &[u8]) -> Result<Query, Unreadable> {
        if packet.len() < HEAD || packet[2] & 0x80 != 0 {
            return Err(Unreadable::Silence);
        }
        let opcode = packet[2] >> 3 & 0xf;
        if opcode != 0 {
            return Err(Unreadable::Tell(Code::NotImp));
        }
        let broken = Unreadable::Tell(Code::FormErr);
        let mut query = Query::question(packet).ok_or(broken)?;
        let version = query.read_edns(packet).ok_or(broken)?;
        if version > 0 {
            return Err(Unreadable::Tell(Code::BadVers));
        }
        Ok(query)
    }

    fn question(packet: &[u8]) -> Option<Query> {
        if u16_at(packet, 4)? != 1 {
            return None;
        }
        let (name, at) = Name::read(packet, HEAD)?;
        // Spelled out, for it is copied into the reply.
        (at == HEAD + name.wire().len()).then_some(())?;
        Some(Query {
            id: u16_at(packet, 0)?,
            recursion_desired: packet[2] & 1 != 0,
            name,
            kind: u16_at(packet, at)?,
            class: u16_at(packet, at + 2)?,
            edns: None,
            question_end: at + 4,
        })
    }

    /// Walks over the records behind the question and takes what EDNS says; returns its version. There may be one.
    fn read_edns(&mut self, packet: &[u8]) -> Option<u8> {
        let (mut version, mut at) = (0, self.question_end);
        let records =
            [6, 8, 10].into_iter().map(|count| u16_at(packet, count).unwrap_or(0)).map(u32::from).sum();
        for _ in 0..records {
            let record = RawRecord::read(packet, at)?;
            if record.kind == kind::OPT {
                let first = self.edns.is_none() && record.owner.wire() == [0];
                first.then_some(())?;
                version = (record.ttl >> 16) as u8;
                self.edns = Some(Edns { size: record.class, dnssec_ok: record.ttl & 0x8000 != 0 });
            }
            at = record.end;
        }
        Some(version)
    }

    /// How long a reply may be.
    pub fn limit(&self, over: Over) -> usize {
        match (over, self.edns) {
            (Over::Tcp, _) => usize::from(u16::MAX),
            (Over::Udp, None) => UDP_MIN,
            (Over::Udp, Some(edns)) => usize::from(edns.size).clamp(UDP_MIN, UDP_MAX),
        }
    }
}

/// A record as it stands in somebody's packet.
#[derive(Clone, Debug)]
pub struct RawRecord {
    /// Whose it is.
    pub owner: Name,
    /// Its type.
    pub kind: u16,
    /// Its class.
    pub class: u16,
    /// How long it may be remembered, in seconds.
    pub ttl: u32,
    /// Where `ttl` stands.
    pub ttl_at: usize,
    /// Where the data begin.
    pub data_at: usize,
    /// Where the record ends.
    pub end: usize,
}

// === impl RawRecord ===

impl RawRecord {
    /// Reads the record at `at`.
    pub fn read(packet: &[u8], at: usize) -> Option<RawRecord> {
        let (owner, at) = Name::read(packet, at)?;
        let length = usize::from(u16_at(packet, at + 8)?);
        let (data_at, end) = (at + 10, at + 10 + length);
        packet.get(data_at..end)?;
        Some(RawRecord {
            owner,
            kind: u16_at(packet, at)?,
            class: u16_at(packet, at + 2)?,
            ttl: u32_at(packet, at + 4)?,
            ttl_at: at + 4,
            data_at,
            end,
        })
    }

    /// The data, of the types that can be handed on.
    pub fn data(&self, packet: &[u8]) -> Option<Data> {
        let data = packet.get(self.data_at..self.end)?;
        match self.kind {
            kind::A => Some(Data::A(Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?))),
            kind::AAAA => Some(Data::Aaaa(Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?))),
            kind::CNAME => Some(Data::Cname(Name::read(packet, self.data_at)?.0)),
            _ => None,
        }
    }
}

// === impl Reply ===

impl Reply {
    /// A reply without records.
    pub fn empty(code: Code) -> Reply {
        Reply { code, authoritative: false, answers: vec![], authority: vec![], additional: vec![] }
    }

    /// Writes the reply to `query`, which `packet` asks, into `out`, cut to `limit` bytes. The answers begin with another
    /// one each time, so that askers who take the first share the load: which one follows from the query's number.
    pub fn write(&self, query: &Query, packet: &[u8], limit: usize, out: &mut Vec<u8>) {
        let mut writer = Writer::new(out, packet, query, self.code, self.authoritative);
        let room = limit - if query.edns.is_some() { OPT_LENGTH } else { 0 };
        // Aliases stay in their order, and before what they stand for.
        let alias = self.answers.iter().any(|record| matches!(record.data, Data::Cname(_)));
        let shift = if alias { 0 } else { usize::from(query.id) % self.answers.len().max(1) };
        let answers = self.answers[shift..].iter().chain(&self.answers[..shift]);
        let complete = writer.section(6, answers, room) && writer.section(8, self.authority.iter(), room);
        if complete {
            writer.section(10, self.additional.iter(), room);
        } else {
            writer.cut();
        }
        if let Some(edns) = query.edns {
            writer.edns(edns, self.code);
        }
    }
}

/// Writes into `out` that `packet` cannot be answered, because of `code`.
pub fn write_refusal(packet: &[u8], code: Code, out: &mut Vec<u8>) {
    out.clear();
    let id = packet.get(..2).unwrap_or(&[0, 0]);
    let (opcode_and_rd, code_bits) = (packet.get(2).copied().unwrap_or(0) & 0x79, code.bits());
    out.extend_from_slice(&[id[0], id[1], 0x80 | opcode_and_rd, 0x80 | (code_bits & 0xf) as u8]);
    out.extend_from_slice(&[0; 8]);
    if code_bits > 0xf {
        out[11] = 1;
        write_edns(out, code_bits, false);
    }
}

/// Writes the head of `reply`, a complete one, to `query`, which `packet` asks, saying that the rest is cut.
pub fn write_cut(reply: &[u8], query: &Query, packet: &[u8], out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&query.id.to_be_bytes());
    out.extend_from_slice(&[
        reply.get(2).copied().unwrap_or(0x80) | 0x02,
        reply.get(3).copied().unwrap_or(0),
    ]);
    out.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0]);
    out.extend_from_slice(packet.get(HEAD..query.question_end).unwrap_or_default());
    if let Some(edns) = query.edns {
        out[11] = 1;
        write_edns(out, 0, edns.dnssec_ok);
    }
}

// === impl Code ===

impl Code {
    fn bits(self) -> u16 {
        match self {
            Code::NoError => 0,
            Code::FormErr => 1,
            Code::ServFail => 2,
            Code::NxDomain => 3,
            Code::NotImp => 4,
            Code::Refused => 5,
            Code::BadVers => 16,
        }
    }
}

// === impl Data ===

impl Data {
    /// The type of record that has such data.
    pub fn kind(&self) -> u16 {
        match self {
            Data::A(_) => kind::A,
            Data::Aaaa(_) => kind::AAAA,
            Data::Cname(_) => kind::CNAME,
            Data::Ptr(_) => kind::PTR,
            Data::Ns(_) => kind::NS,
            Data::Txt(_) => kind::TXT,
            Data::Srv { .. } => kind::SRV,
            Data::Soa { .. } => kind::SOA,
        }
    }
}

/// Writes one packet.
struct Writer<'o> {
    out: &'o mut Vec<u8>,
    /// Where labels stand that can be pointed to.
    labels: Vec<u16>,
}

const OPT_LENGTH: usize = 11;
/// How many labels are remembered to point to.
const LABELS_MAX: usize = 64;

/// Whether the rest of a name, `wire`, stands at `at` in a packet that we have written.
fn stands_at(packet: &[u8], mut at: usize, mut wire: &[u8]) -> bool {
    loop {
        let Some(length) = packet.get(at).copied() else { return false };
        if length >= 0xc0 {
            at = usize::from(u16_at(packet, at).unwrap_or(0) & 0x3fff);
            continue;
        }
        let end = 1 + usize::from(length);
        match (packet.get(at..at + end), wire.get(..end)) {
            (Some(there), Some(here)) if there.eq_ignore_ascii_case(here) => {}
            _ => return false,
        }
        if length == 0 {
            return true;
        }
        at += end;
        wire = &wire[end..];
    }
}

fn write_edns(out: &mut Vec<u8>, code_bits: u16, dnssec_ok: bool) {
    out.push(0);
    out.extend_from_slice(&kind::OPT.to_be_bytes());
    out.extend_from_slice(&(UDP_MAX as u16).to_be_bytes());
    out.extend_from_slice(&[(code_bits >> 4) as u8, 0, if dnssec_ok { 0x80 } else { 0 }, 0, 0, 0]);
}

// === impl Writer ===

impl<'o> Writer<'o> {
    fn new(
        out: &'o mut Vec<u8>,
        packet: &[u8],
        query: &Query,
        code: Code,
        authoritative: bool,
    ) -> Writer<'o> {
        out.clear();
        out.extend_from_slice(&query.id.to_be_bytes());
        let asked = u8::from(query.recursion_desired);
        out.push(0x80 | if authoritative { 0x04 } else { 0 } | asked);
        out.push(0x80 | (code.bits() & 0xf) as u8);
        out.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0]);
        // The question in the asker's own spelling.
        out.extend_from_slice(packet.get(HEAD..query.question_end).unwrap_or_default());
        let mut at = HEAD;
        let labels = query.name.labels().map(|label| {
            let here = at as u16;
            at += 1 + label.len();
            here
        });
        let labels = labels.collect();
        Writer { out, labels }
    }

    /// Writes records until the packet would be longer than `room`; says whether all could be written.
    fn section<'r>(
        &mut self,
        count_at: usize,
        records: impl Iterator<Item = &'r Record>,
        room: usize,
    ) -> bool {
        let mut count = 0u16;
        let mut complete = true;
        for record in records {
            let before = self.out.len();
            self.record(record);
            if self.out.len() > room || count == u16::MAX {
                self.out.truncate(before);
                self.labels.retain(|at| usize::from(*at) < before);
                complete = false;
                break;
            }
            count += 1;
        }
        self.out[count_at..count_at + 2].copy_from_slice(&count.to_be_bytes());
        complete
    }

    fn cut(&mut self) {
        self.out[2] |= 0x02;
    }

    fn edns(&mut self, edns: Edns, code: Code) {
        let count = u16_at(self.out, 10).unwrap_or(0) + 1;
        self.out[10..12].copy_from_slice(&count.to_be_bytes());
        write_edns(self.out, code.bits(), edns.dnssec_ok);
    }

    fn u16(&mut self, value: u16) {
        self.out.extend_from_slice(&value.to_be_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.out.extend_from_slice(&value.to_be_bytes());
    }

    /// Writes a name, or as much of it as has not been written, with a pointer to the rest.
    fn name(&mut self, name: &Name) {
        let mut at = 0;
        let wire = name.wire();
        while wire[at] != 0 {
            let known =
                self.labels.iter().find(|known| stands_at(self.out, usize::from(**known), &wire[at..]));
            if let Some(known) = known {
                self.out.extend_from_slice(&(0xc000 | known).to_be_bytes());
                return;
            }
            if self.labels.len() < LABELS_MAX && self.out.len() < 0x4000 {
                self.labels.push(self.out.len() as u16);
            }
            let end = at + 1 + usize::from(wire[at]);
            self.out.extend_from_slice(&wire[at..end]);
            at = end;
        }
        self.out.push(0);
    }

    fn record(&mut self, record: &Record) {
        self.name(&record.owner);
        self.u16(record.data.kind());
        self.u16(1);
        self.u32(record.ttl);
        let length_at = self.out.len();
        self.u16(0);
        match &record.data {
            Data::A(address) => self.out.extend_from_slice(&address.octets()),
            Data::Aaaa(address) => self.out.extend_from_slice(&address.octets()),
            Data::Cname(name) | Data::Ptr(name) | Data::Ns(name) => self.name(name),
            Data::Txt(text) => {
                let text = &text.as_bytes()[..text.len().min(255)];
                self.out.push(text.len() as u8);
                self.out.extend_from_slice(text);
            }
            Data::Srv { weight, port, target } => {
                self.u16(0);
                self.u16(*weight);
                self.u16(*port);
                // RFC 2782: never a pointer.
                self.out.extend_from_slice(target.wire());
            }
            Data::Soa { server, mailbox, serial, negative_ttl } => {
                self.name(server);
                self.name(mailbox);
                self.u32(*serial);
                self.u32(7200);
                self.u32(1800);
                self.u32(86400);
                self.u32(*negative_ttl);
            }
        }
        let length = (self.out.len() - length_at - 2) as u16;
        self.out[length_at..length_at + 2].copy_from_slice(&length.to_be_bytes());
    }
}
