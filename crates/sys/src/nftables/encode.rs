//! Changes as netlink messages (linux/netfilter/nf_tables.h). Numbers in attributes are big-endian.

use super::data::{DataType, bytes_of};
use super::expr::{Comparison, Expr, KIND_LOCAL, Reg, Source};
use super::{Batch, Chain, ChainKind, Change, Element, Family, Hook, MapValue, Set, Value, Verdict};
use crate::netlink::message::{ACK, APPEND, CREATE, REQUEST, Writer};

const SUBSYSTEM: u16 = 10 << 8;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;

const NEW_TABLE: u16 = SUBSYSTEM;
const DEL_TABLE: u16 = SUBSYSTEM | 2;
const NEW_CHAIN: u16 = SUBSYSTEM | 3;
const DEL_CHAIN: u16 = SUBSYSTEM | 5;
const NEW_RULE: u16 = SUBSYSTEM | 6;
const DEL_RULE: u16 = SUBSYSTEM | 8;
const NEW_SET: u16 = SUBSYSTEM | 9;
const DEL_SET: u16 = SUBSYSTEM | 11;
const NEW_ELEMENTS: u16 = SUBSYSTEM | 12;
const DEL_ELEMENTS: u16 = SUBSYSTEM | 14;

const LIST_ITEM: u16 = 1;
const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;
const SET_MAP: u32 = 0x8;
const SET_TIMEOUT: u32 = 0x10;
const SET_EVAL: u32 = 0x20;
const TYPE_VERDICT: u32 = 0xffff_ff00;
const REG_VERDICT: u32 = 0;
const REG_FIRST: u32 = 8;

/// A message of elements stays below this, so that the attribute that holds them stays below 64 KiB.
const ELEMENTS_BYTES: usize = 48 << 10;

/// A message's number and the index of the change that it is of.
pub type Origin = (u32, usize);

/// Writes `batch` with sequence numbers from `first` on; returns which change each is of. The last change's last
/// message asks for an acknowledgement.
pub fn batch(writer: &mut Writer, batch: &Batch, first: u32) -> Vec<Origin> {
    writer.message(BATCH_BEGIN, REQUEST, first, &[0, 0, 0, 10], |_| {});
    let mut encoder = Encoder { writer, batch, sequence: first, origins: Vec::new(), last: false };
    for (index, change) in batch.changes.iter().enumerate() {
        encoder.last = index + 1 == batch.changes.len();
        encoder.change(index, change);
    }
    let (end, origins) = (encoder.sequence.wrapping_add(1), encoder.origins);
    writer.message(BATCH_END, REQUEST, end, &[0, 0, 0, 10], |_| {});
    origins
}

struct Encoder<'a> {
    writer: &'a mut Writer,
    batch: &'a Batch,
    sequence: u32,
    origins: Vec<Origin>,
    last: bool,
}

// === impl Encoder ===

impl Encoder<'_> {
    fn change(&mut self, index: usize, change: &Change) {
        match change {
            Change::AddTable => self.message(index, NEW_TABLE, CREATE, 1, |_| {}),
            Change::DeleteTable => self.message(index, DEL_TABLE, 0, 1, |_| {}),
            Change::AddChain(chain) => self.message(index, NEW_CHAIN, CREATE, 1, |w| write_chain(w, chain)),
            Change::FlushChain(name) => self.message(index, DEL_RULE, 0, 1, |w| w.text(2, name)),
            Change::DeleteChain(name) => self.message(index, DEL_CHAIN, 0, 1, |w| w.text(3, name)),
            Change::AddSet(set) => self.message(index, NEW_SET, CREATE, 1, |w| write_set(w, set)),
            Change::FlushSet(set) => self.message(index, DEL_ELEMENTS, 0, 1, |w| w.text(2, &set.name)),
            Change::DeleteSet(set) => self.message(index, DEL_SET, 0, 1, |w| w.text(2, &set.name)),
            Change::AddRule { chain, rule } => self.message(index, NEW_RULE, CREATE | APPEND, 1, |w| {
                w.text(2, chain);
                w.nested(4, |w| rule.iter().for_each(|expr| write_expr(w, expr)));
            }),
            Change::AddElements { set, elements } => {
                self.elements(index, NEW_ELEMENTS, CREATE, set, elements)
            }
            Change::DeleteElements { set, elements } => self.elements(index, DEL_ELEMENTS, 0, set, elements),
        }
    }

    fn elements(&mut self, index: usize, kind: u16, flags: u16, set: &Set, elements: &[Element]) {
        let with_values = kind == NEW_ELEMENTS;
        let size = |element: &Element| {
            let value = match &element.value {
                Some(Value::Verdict(Verdict::Goto(chain) | Verdict::Jump(chain))) => chain.len() + 32,
                Some(Value::Data(data)) => data.len() + 8,
                _ => 24,
            };
            element.key.len() + value + 32
        };
        let mut rest = elements;
        let last = self.last;
        loop {
            let (mut bytes, mut count) = (0, 0);
            while let Some(element) = rest.get(count).filter(|_| bytes < ELEMENTS_BYTES) {
                (bytes, count) = (bytes + size(element), count + 1);
            }
            let (now, later) = rest.split_at(count);
            rest = later;
            self.last = last && rest.is_empty();
            self.message(index, kind, flags, 1, |w| {
                w.text(2, &set.name);
                w.nested(3, |w| now.iter().for_each(|element| write_element(w, element, with_values)));
            });
            if rest.is_empty() {
                return;
            }
        }
    }

    /// Writes a message that begins with the table's name as attribute `table`.
    fn message(&mut self, index: usize, kind: u16, flags: u16, table: u16, body: impl FnOnce(&mut Writer)) {
        self.sequence = self.sequence.wrapping_add(1);
        self.origins.push((self.sequence, index));
        let ack = if self.last { ACK } else { 0 };
        let header = [self.batch.family.number(), 0, 0, 0];
        let name = &self.batch.table;
        self.writer.message(kind, REQUEST | flags | ack, self.sequence, &header, |w| {
            w.text(table, name);
            body(w);
        });
    }
}

fn write_chain(w: &mut Writer, chain: &Chain) {
    w.text(3, &chain.name);
    let Some(base) = chain.base else { return };
    let hook = match base.hook {
        Hook::Prerouting => 0,
        Hook::Input => 1,
        Hook::Forward => 2,
        Hook::Output => 3,
        Hook::Postrouting => 4,
    };
    w.nested(4, |w| {
        w.be32(1, hook);
        w.be32(2, base.priority.cast_unsigned());
    });
    w.text(7, if base.kind == ChainKind::Nat { "nat" } else { "filter" });
}

/// `nft`'s number for a concatenation: six bits for each part.
fn concat_number(types: &[DataType]) -> u32 {
    types.iter().fold(0, |number, data_type| number << 6 | data_type.number())
}

fn write_set(w: &mut Writer, set: &Set) {
    let mut flags = 0;
    flags |= if set.value.is_some() { SET_MAP } else { 0 };
    flags |= if set.dynamic.is_some() { SET_EVAL | SET_TIMEOUT } else { 0 };
    w.text(2, &set.name);
    w.be32(3, flags);
    w.be32(4, concat_number(&set.key));
    w.be32(5, bytes_of(&set.key) as u32);
    match &set.value {
        None => {}
        Some(MapValue::Verdict) => w.be32(6, TYPE_VERDICT),
        Some(MapValue::Data(types)) => {
            w.be32(6, concat_number(types));
            w.be32(7, bytes_of(types) as u32);
        }
    }
    // Only has to be unique within the batch while no rule refers to it by number, and none does.
    w.be32(10, 1);
    if let Some(size) = set.dynamic {
        w.nested(9, |w| w.be32(1, size));
    }
}

fn write_element(w: &mut Writer, element: &Element, with_value: bool) {
    w.nested(LIST_ITEM, |w| {
        w.nested(1, |w| w.attribute(DATA_VALUE, &element.key));
        match element.value.as_ref().filter(|_| with_value) {
            None => {}
            Some(Value::Data(data)) => w.nested(2, |w| w.attribute(DATA_VALUE, data)),
            Some(Value::Verdict(verdict)) => w.nested(2, |w| write_verdict(w, verdict)),
        }
    });
}

fn write_verdict(w: &mut Writer, verdict: &Verdict) {
    let (code, chain): (i32, _) = match verdict {
        Verdict::Drop => (0, None),
        Verdict::Accept => (1, None),
        Verdict::Jump(chain) => (-3, Some(chain)),
        Verdict::Goto(chain) => (-4, Some(chain)),
        Verdict::Return => (-5, None),
    };
    w.nested(DATA_VERDICT, |w| {
        w.be32(1, code.cast_unsigned());
        chain.iter().for_each(|chain| w.text(2, chain));
    });
}

fn reg(reg: Reg) -> u32 {
    REG_FIRST + u32::from(reg.0)
}

/// Writes one expression by its name in the kernel.
fn named(w: &mut Writer, name: &str, body: impl FnOnce(&mut Writer)) {
    w.nested(LIST_ITEM, |w| {
        w.text(1, name);
        w.nested(2, body);
    });
}

fn write_expr(w: &mut Writer, expr: &Expr) {
    match expr {
        Expr::Load { source, to } => write_load(w, *source, *to),
        Expr::Set { data, to, .. } => named(w, "immediate", |w| {
            w.be32(1, reg(*to));
            w.nested(2, |w| w.attribute(DATA_VALUE, data));
        }),
        Expr::Compare { from, by, data } => write_compare(w, *from, *by, data),
        Expr::AnyBit { from, mask } => {
            write_mask(w, *from, &mask.to_ne_bytes());
            write_compare(w, *from, Comparison::NotEqual, &[0; 4]);
        }
        Expr::InNetwork { from, network, not } => {
            write_mask(w, *from, &crate::netlink::route::octets(network.netmask()));
            let by = if *not { Comparison::NotEqual } else { Comparison::Equal };
            write_compare(w, *from, by, &crate::netlink::route::octets(network.network()));
        }
        Expr::InSet { set, key, not } => named(w, "lookup", |w| {
            w.text(1, set);
            w.be32(2, reg(*key));
            w.be32(5, u32::from(*not));
        }),
        Expr::Map { map, key, to, .. } => write_lookup(w, map, *key, reg(*to)),
        Expr::VerdictMap { map, key } => write_lookup(w, map, *key, REG_VERDICT),
        Expr::Update { set, key, timeout_ms } => named(w, "dynset", |w| {
            w.text(1, set);
            w.be32(3, 1);
            w.be32(4, reg(*key));
            w.be64(6, *timeout_ms);
        }),
        Expr::DestinationNat { family, address, port } => named(w, "nat", |w| {
            w.be32(1, 1);
            w.be32(2, u32::from(family.number()));
            w.be32(3, reg(*address));
            w.be32(5, reg(*port));
        }),
        Expr::Masquerade => named(w, "masq", |w| w.be32(1, 0x10)),
        Expr::Reject(family) => named(w, "reject", |w| {
            let (kind, code) = match family {
                Family::Ip => (0, 3),
                Family::Ip6 => (0, 4),
                Family::Inet => (2, 1),
            };
            w.be32(1, kind);
            w.u8(2, code);
        }),
        Expr::Counter => named(w, "counter", |_| {}),
        Expr::Verdict(verdict) => named(w, "immediate", |w| {
            w.be32(1, REG_VERDICT);
            w.nested(2, |w| write_verdict(w, verdict));
        }),
    }
}

fn write_lookup(w: &mut Writer, set: &str, key: Reg, to: u32) {
    named(w, "lookup", |w| {
        w.text(1, set);
        w.be32(2, reg(key));
        w.be32(3, to);
    });
}

fn write_compare(w: &mut Writer, from: Reg, by: Comparison, data: &[u8]) {
    let by = match by {
        Comparison::Equal => 0,
        Comparison::NotEqual => 1,
        Comparison::AtMost => 3,
        Comparison::AtLeast => 5,
    };
    named(w, "cmp", |w| {
        w.be32(1, reg(from));
        w.be32(2, by);
        w.nested(3, |w| w.attribute(DATA_VALUE, data));
    });
}

fn write_mask(w: &mut Writer, from: Reg, mask: &[u8]) {
    named(w, "bitwise", |w| {
        w.be32(1, reg(from));
        w.be32(2, reg(from));
        w.be32(3, mask.len() as u32);
        w.nested(4, |w| w.attribute(DATA_VALUE, mask));
        w.nested(5, |w| w.attribute(DATA_VALUE, &vec![0; mask.len()]));
    });
}

fn write_load(w: &mut Writer, source: Source, to: Reg) {
    let v6 = |family: Family| family == Family::Ip6;
    match source {
        Source::SourceAddress(family) => payload(w, to, 1, if v6(family) { (8, 16) } else { (12, 4) }),
        Source::DestinationAddress(family) => payload(w, to, 1, if v6(family) { (24, 16) } else { (16, 4) }),
        Source::SourcePort => payload(w, to, 2, (0, 2)),
        Source::DestinationPort => payload(w, to, 2, (2, 2)),
        Source::IcmpType => payload(w, to, 2, (0, 1)),
        Source::InLink => keyed(w, "meta", to, 6, None),
        Source::OutLink => keyed(w, "meta", to, 7, None),
        Source::NetworkProtocol => keyed(w, "meta", to, 15, None),
        Source::Protocol => keyed(w, "meta", to, 16, None),
        Source::FlowState => keyed(w, "ct", to, 0, None),
        Source::FlowStatus => keyed(w, "ct", to, 2, None),
        Source::OriginalDestination(family) => keyed(w, "ct", to, if v6(family) { 22 } else { 20 }, Some(0)),
        Source::OriginalPort => keyed(w, "ct", to, 12, Some(0)),
        Source::SourceKind => fib(w, to, 1),
        Source::DestinationKind => fib(w, to, 2),
        Source::Random { modulus, offset } => named(w, "numgen", |w| {
            w.be32(1, reg(to));
            w.be32(2, modulus);
            w.be32(3, 1);
            w.be32(4, offset);
        }),
        Source::Hash { from, words, modulus, offset } => named(w, "hash", |w| {
            w.be32(1, reg(from));
            w.be32(2, reg(to));
            w.be32(3, u32::from(words) * 4);
            w.be32(4, modulus);
            w.be32(6, offset);
            w.be32(7, 0);
        }),
    }
}

fn payload(w: &mut Writer, to: Reg, base: u32, (offset, bytes): (u32, u32)) {
    named(w, "payload", |w| {
        w.be32(1, reg(to));
        w.be32(2, base);
        w.be32(3, offset);
        w.be32(4, bytes);
    });
}

fn keyed(w: &mut Writer, name: &str, to: Reg, key: u32, direction: Option<u8>) {
    named(w, name, |w| {
        w.be32(1, reg(to));
        w.be32(2, key);
        direction.iter().for_each(|direction| w.u8(3, *direction));
    });
}

/// Asks the routing table what kind of address the source (1) or destination (2) is.
fn fib(w: &mut Writer, to: Reg, of: u32) {
    const _: () = assert!(KIND_LOCAL == 2);
    named(w, "fib", |w| {
        w.be32(1, reg(to));
        w.be32(2, 3);
        w.be32(3, of);
    });
}
