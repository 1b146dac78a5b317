//! Changes as text, close to what `nft` takes: what tests compare and errors show.
//!
//! Registers are read back into what fills them, as `nft list` does.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use super::data::{DataType, text_of};
use super::expr::{Comparison, Expr, Reg, Source};
use super::{Base, Batch, Chain, ChainKind, Change, Element, Family, Hook, MapValue, Set, Value, Verdict};

/// What the registers hold, by their first.
#[derive(Default)]
struct Registers(BTreeMap<u8, (String, Vec<DataType>)>);

/// The text of a rule.
pub fn rule_text(rule: &[Expr]) -> String {
    let mut registers = Registers::default();
    let words: Vec<String> = rule.iter().filter_map(|expr| registers.step(expr)).collect();
    words.join(" ")
}

/// The text of an element.
pub fn element_text(set: &Set, element: &Element) -> String {
    let key = text_of(&set.key, &element.key);
    match (&element.value, &set.value) {
        (Some(Value::Verdict(verdict)), _) => format!("{key} : {verdict}"),
        (Some(Value::Data(data)), Some(MapValue::Data(types))) => format!("{key} : {}", text_of(types, data)),
        _ => key,
    }
}

/// The type of a set, as its declaration says it.
pub fn set_type(set: &Set) -> String {
    let names = |types: &[DataType]| types.iter().map(|t| t.name()).collect::<Vec<_>>().join(" . ");
    let value = match &set.value {
        None => String::new(),
        Some(MapValue::Data(types)) => format!(" : {}", names(types)),
        Some(MapValue::Verdict) => " : verdict".to_owned(),
    };
    let dynamic = set.dynamic.map(|size| format!("; size {size}; flags dynamic,timeout")).unwrap_or_default();
    format!("type {}{value}{dynamic}", names(&set.key))
}

// === impl Registers ===

impl Registers {
    /// What `expr` adds to the rule's text.
    fn step(&mut self, expr: &Expr) -> Option<String> {
        Some(match expr {
            Expr::Load { source, to } => {
                let text = self.source(*source);
                self.fill(*to, text, vec![source.data_type()]);
                return None;
            }
            Expr::Set { data, data_type, to } => {
                self.fill(*to, data_type.text(data), vec![*data_type]);
                return None;
            }
            Expr::Map { map, key, to, types } => {
                let text = format!("{} map @{map}", self.key(*key, None));
                self.fill(*to, text, types.clone());
                return None;
            }
            Expr::Compare { from, by, data } => {
                let (text, types) = self.value(*from);
                let by = match by {
                    Comparison::Equal => "",
                    Comparison::NotEqual => "!= ",
                    Comparison::AtMost => "<= ",
                    Comparison::AtLeast => ">= ",
                };
                format!("{text} {by}{}", text_of(&types[..1], data))
            }
            Expr::AnyBit { from, mask } => {
                let (text, types) = self.value(*from);
                format!("{text} {}", text_of(&types[..1], &mask.to_ne_bytes()))
            }
            Expr::InNetwork { from, network, not } => {
                format!("{} {}{network}", self.value(*from).0, if *not { "!= " } else { "" })
            }
            Expr::InSet { set, key, not } => {
                format!("{} {}@{set}", self.key(*key, None), if *not { "!= " } else { "" })
            }
            Expr::VerdictMap { map, key } => format!("{} vmap @{map}", self.key(*key, None)),
            Expr::Update { set, key, timeout_ms } => {
                format!("update @{set} {{ {} timeout {}s }}", self.key(*key, None), timeout_ms / 1000)
            }
            Expr::DestinationNat { address, port, .. } => {
                // A map's value holds both.
                let port = self.0.get(&port.0).map(|(port, _)| format!(" . {port}")).unwrap_or_default();
                format!("dnat to {}{port}", self.value(*address).0)
            }
            Expr::Masquerade => "masquerade fully-random".to_owned(),
            Expr::Reject(_) => "reject".to_owned(),
            Expr::Counter => "counter".to_owned(),
            Expr::Verdict(verdict) => verdict.to_string(),
        })
    }

    fn source(&self, source: Source) -> String {
        let ip = |family: Family| if family == Family::Ip6 { "ip6" } else { "ip" };
        match source {
            Source::SourceAddress(family) => format!("{} saddr", ip(family)),
            Source::DestinationAddress(family) => format!("{} daddr", ip(family)),
            Source::OriginalDestination(family) => format!("ct original {} daddr", ip(family)),
            Source::Random { modulus, offset: 0 } => format!("numgen random mod {modulus}"),
            Source::Random { modulus, offset } => format!("numgen random mod {modulus} offset {offset}"),
            Source::Hash { from, words, modulus, offset } => {
                format!("jhash {} mod {modulus} offset {offset}", self.key(from, Some(Reg(from.0 + words))))
            }
            Source::SourcePort => "th sport".to_owned(),
            Source::DestinationPort => "th dport".to_owned(),
            Source::IcmpType => "icmp type".to_owned(),
            Source::Protocol => "meta l4proto".to_owned(),
            Source::NetworkProtocol => "meta nfproto".to_owned(),
            Source::InLink => "iifname".to_owned(),
            Source::OutLink => "oifname".to_owned(),
            Source::FlowState => "ct state".to_owned(),
            Source::FlowStatus => "ct status".to_owned(),
            Source::OriginalPort => "ct original proto-dst".to_owned(),
            Source::SourceKind => "fib saddr type".to_owned(),
            Source::DestinationKind => "fib daddr type".to_owned(),
        }
    }

    /// Puts a value into registers, and what it overwrites out of them.
    fn fill(&mut self, to: Reg, text: String, types: Vec<DataType>) {
        let end = to.0 + types.iter().map(|t| t.words()).sum::<u8>();
        self.0.retain(|first, _| !(to.0..end).contains(first));
        self.0.insert(to.0, (text, types));
    }

    fn value(&self, from: Reg) -> (String, Vec<DataType>) {
        self.0.get(&from.0).cloned().unwrap_or_else(|| ("?".to_owned(), vec![DataType::Number]))
    }

    /// What stands in the registers from `from` on, up to `end` or the first empty one.
    fn key(&self, from: Reg, end: Option<Reg>) -> String {
        let (mut at, mut parts) = (from.0, Vec::new());
        while let Some((text, types)) = self.0.get(&at).filter(|_| end != Some(Reg(at))) {
            parts.push(text.as_str());
            at += types.iter().map(|t| t.words()).sum::<u8>();
        }
        parts.join(" . ")
    }
}

// === impl Display ===

impl Display for Verdict {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        match self {
            Verdict::Accept => f.write_str("accept"),
            Verdict::Drop => f.write_str("drop"),
            Verdict::Return => f.write_str("return"),
            Verdict::Jump(chain) => write!(f, "jump {chain}"),
            Verdict::Goto(chain) => write!(f, "goto {chain}"),
        }
    }
}

impl Display for Base {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        let kind = if self.kind == ChainKind::Nat { "nat" } else { "filter" };
        let hook = match self.hook {
            Hook::Prerouting => "prerouting",
            Hook::Input => "input",
            Hook::Forward => "forward",
            Hook::Output => "output",
            Hook::Postrouting => "postrouting",
        };
        write!(f, "type {kind} hook {hook} priority {}", self.priority)
    }
}

impl Display for Change {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        match self {
            Change::AddTable => f.write_str("add table"),
            Change::DeleteTable => f.write_str("delete table"),
            Change::AddChain(Chain { name, base: None }) => write!(f, "add chain {name}"),
            Change::AddChain(Chain { name, base: Some(base) }) => write!(f, "add chain {name} {{ {base} }}"),
            Change::FlushChain(name) => write!(f, "flush chain {name}"),
            Change::DeleteChain(name) => write!(f, "delete chain {name}"),
            Change::AddSet(set) => write!(f, "add {} {} {{ {} }}", set.noun(), set.name, set_type(set)),
            Change::FlushSet(set) => write!(f, "flush {} {}", set.noun(), set.name),
            Change::DeleteSet(set) => write!(f, "delete {} {}", set.noun(), set.name),
            Change::AddRule { chain, rule } => write!(f, "add rule {chain} {}", rule_text(rule)),
            Change::AddElements { set, elements } => write_elements(f, "add", set, elements),
            Change::DeleteElements { set, elements } => write_elements(f, "delete", set, elements),
        }
    }
}

impl Display for Batch {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        for change in &self.changes {
            writeln!(f, "{change}")?;
        }
        Ok(())
    }
}

impl Set {
    /// `set` or `map`.
    pub fn noun(&self) -> &'static str {
        if self.value.is_some() { "map" } else { "set" }
    }
}

fn write_elements(f: &mut Formatter, verb: &str, set: &Set, elements: &[Element]) -> fmt::Result {
    let texts: Vec<String> = elements.iter().map(|element| element_text(set, element)).collect();
    write!(f, "{verb} element {} {{ {} }}", set.name, texts.join(", "))
}
