//! nftables: the kernel's packet filter, told by netlink what to hold.
//!
//! Whoever compiles rules makes a [`Batch`] of changes to one table and hands it to a [`Nftables`]: the kernel's
//! ([`NftablesSocket`]), or a recording fake ([`NftablesRecorder`]) that keeps the tables as text. A batch stands or
//! falls as a whole, and traffic sees all of it or nothing.

pub mod data;
mod encode;
pub mod expr;
mod kernel;
mod record;
mod render;

use std::sync::Arc;

pub use data::{Concat, DataType};
pub use expr::{Comparison, Expr, Reg, Source};
pub use kernel::NftablesSocket;
pub use record::NftablesRecorder;

use crate::netlink::NetlinkError;

/// Which packets a table sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    Ip,
    /// IPv6.
    Ip6,
    /// Both.
    Inet,
}

/// Where in a packet's way a chain begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// All that comes in, before its route is known.
    Prerouting,
    /// What is for this machine.
    Input,
    /// What passes through.
    Forward,
    /// What this machine sends.
    Output,
    /// All that goes out.
    Postrouting,
}

/// What a base chain may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainKind {
    /// Accept and drop.
    Filter,
    /// Translate addresses; sees the first packet of a flow only.
    Nat,
}

/// How a base chain hangs in a packet's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Base {
    /// What it may do.
    pub kind: ChainKind,
    /// Where.
    pub hook: Hook,
    /// Lower comes first; destination translation is at -100, filters at 0, source translation at 100.
    pub priority: i32,
}

/// A list of rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Its name.
    pub name: String,
    /// How packets get there; `None` when rules send them.
    pub base: Option<Base>,
}

/// What the elements of a map lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MapValue {
    /// Data of these types, one after another.
    Data(Vec<DataType>),
    /// What happens to the packet.
    Verdict,
}

/// A set or map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// Its name.
    pub name: String,
    /// The types that a key is made of.
    pub key: Vec<DataType>,
    /// What a map's elements lead to; `None` for a set.
    pub value: Option<MapValue>,
    /// For sets that packets change: how many elements there may be. Each has a timeout.
    pub dynamic: Option<u32>,
}

/// What happens to a packet.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    /// It has passed this base chain.
    Accept,
    /// It is gone.
    Drop,
    /// Back to the chain it came from.
    Return,
    /// On to another chain, to come back.
    Jump(Arc<str>),
    /// On to another chain for good.
    Goto(Arc<str>),
}

/// What an element of a map leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Data, each part padded to four bytes.
    Data(Vec<u8>),
    /// A verdict.
    Verdict(Verdict),
}

/// An element of a set or map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// The key, each part padded to four bytes ([`Concat`]).
    pub key: Vec<u8>,
    /// What it leads to, in a map.
    pub value: Option<Value>,
}

/// One change to a table.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The table is there from now on; it may have been.
    AddTable,
    /// The table and all in it is gone; it has to be there.
    DeleteTable,
    /// The chain is there; it may have been, with the same base.
    AddChain(Chain),
    /// The chain's rules are gone.
    FlushChain(String),
    /// The chain is gone; nothing may lead there.
    DeleteChain(String),
    /// The set is there; it may have been, of the same types.
    AddSet(Arc<Set>),
    /// The set's elements are gone.
    FlushSet(Arc<Set>),
    /// The set is gone; no rule may use it.
    DeleteSet(Arc<Set>),
    /// Another rule, after those there are.
    AddRule {
        /// The chain.
        chain: String,
        /// What it looks at and does, in order.
        rule: Vec<Expr>,
    },
    /// These elements are there; a map's elements must not have led elsewhere.
    AddElements {
        /// Where.
        set: Arc<Set>,
        /// Which.
        elements: Vec<Element>,
    },
    /// These elements, which have to be there, are gone. Their values do not matter.
    DeleteElements {
        /// Where.
        set: Arc<Set>,
        /// Which.
        elements: Vec<Element>,
    },
}

/// Changes to one table that stand or fall together.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Which packets the table sees.
    pub family: Family,
    /// Its name.
    pub table: String,
    /// What changes, in order.
    pub changes: Vec<Change>,
}

/// Why a batch was refused.
#[derive(Debug, thiserror::Error)]
pub enum NftablesError {
    /// The kernel refused a change.
    #[error("{table}: cannot {change}: {error}")]
    Change {
        /// Family and name.
        table: String,
        /// The change, as text.
        change: String,
        /// What the kernel said.
        error: NetlinkError,
    },
    /// Nothing got as far as that.
    #[error("{table}: {error}")]
    Batch {
        /// Family and name.
        table: String,
        /// What failed.
        error: NetlinkError,
    },
}

// === impl NftablesError ===

impl NftablesError {
    /// Whether what was named is not there.
    pub fn is_absent(&self) -> bool {
        match self {
            NftablesError::Change { error, .. } | NftablesError::Batch { error, .. } => error.is_absent(),
        }
    }
}

/// The packet filter of one network namespace.
pub trait Nftables: Send + Sync {
    /// Makes all changes of `batch`, or none.
    fn apply(&self, batch: &Batch) -> Result<(), NftablesError>;
    /// The names of the tables there are, of any family.
    fn tables(&self) -> Result<Vec<(Family, String)>, NftablesError>;
}

// === impl Family ===

impl Family {
    /// As `nft` writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Family::Ip => "ip",
            Family::Ip6 => "ip6",
            Family::Inet => "inet",
        }
    }

    /// The kernel's number for it.
    pub(crate) fn number(self) -> u8 {
        match self {
            Family::Ip => 2,
            Family::Ip6 => 10,
            Family::Inet => 1,
        }
    }
}

// === impl Chain, Set, Element ===

impl Chain {
    /// A chain that rules send packets to.
    pub fn regular(name: impl Into<String>) -> Chain {
        Chain { name: name.into(), base: None }
    }

    /// A chain in every packet's way.
    pub fn base(name: impl Into<String>, kind: ChainKind, hook: Hook, priority: i32) -> Chain {
        Chain { name: name.into(), base: Some(Base { kind, hook, priority }) }
    }
}

impl Set {
    /// A set of keys.
    pub fn keys(name: impl Into<String>, key: Vec<DataType>) -> Set {
        Set { name: name.into(), key, value: None, dynamic: None }
    }

    /// A map from keys to data.
    pub fn map(name: impl Into<String>, key: Vec<DataType>, value: Vec<DataType>) -> Set {
        Set { value: Some(MapValue::Data(value)), ..Set::keys(name, key) }
    }

    /// A map from keys to verdicts.
    pub fn verdicts(name: impl Into<String>, key: Vec<DataType>) -> Set {
        Set { value: Some(MapValue::Verdict), ..Set::keys(name, key) }
    }
}

impl Element {
    /// An element of a set.
    pub fn key(key: Vec<u8>) -> Element {
        Element { key, value: None }
    }

    /// An element of a map of data.
    pub fn data(key: Vec<u8>, value: Vec<u8>) -> Element {
        Element { value: Some(Value::Data(value)), ..Element::key(key) }
    }

    /// An element of a map of verdicts.
    pub fn verdict(key: Vec<u8>, verdict: Verdict) -> Element {
        Element { value: Some(Value::Verdict(verdict)), ..Element::key(key) }
    }
}

// === impl Batch ===

impl Batch {
    /// No changes yet.
    pub fn new(family: Family, table: impl Into<String>) -> Batch {
        Batch { family, table: table.into(), changes: Vec::new() }
    }

    /// Changes that begin by making the table anew, empty, whether it was there or not.
    pub fn anew(family: Family, table: impl Into<String>) -> Batch {
        let mut batch = Batch::new(family, table);
        batch.changes.extend([Change::AddTable, Change::DeleteTable, Change::AddTable]);
        batch
    }

    /// Changes that end the table, whether it was there or not.
    pub fn remove(family: Family, table: impl Into<String>) -> Batch {
        let mut batch = Batch::new(family, table);
        batch.changes.extend([Change::AddTable, Change::DeleteTable]);
        batch
    }

    /// Adds a chain and its rules.
    pub fn chain(&mut self, chain: Chain, rules: impl IntoIterator<Item = Vec<Expr>>) {
        let name = chain.name.clone();
        self.changes.push(Change::AddChain(chain));
        self.rules(&name, rules);
    }

    /// Adds rules to a chain.
    pub fn rules(&mut self, chain: &str, rules: impl IntoIterator<Item = Vec<Expr>>) {
        let add = |rule| Change::AddRule { chain: chain.to_owned(), rule };
        self.changes.extend(rules.into_iter().map(add));
    }

    /// Family and name of the table, as `nft` writes them.
    pub fn title(&self) -> String {
        format!("{} {}", self.family.as_str(), self.table)
    }
}
