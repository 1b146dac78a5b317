//! Replies of other servers, for as long as they may be remembered, and no longer than half a minute. Time is what has
//! passed since the beginning.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::wire::{HEAD, RawRecord, kind, u16_at, u32_at};

/// What is asked: name, type, class and what EDNS says, as bytes.
pub type Question = Vec<u8>;

/// A bounded memory.
#[derive(Debug)]
pub struct Cache {
    entries: BTreeMap<Question, Entry>,
    expiring: BTreeMap<(Duration, Question), ()>,
    bytes: usize,
    max_bytes: usize,
}

#[derive(Debug)]
struct Entry {
    reply: Vec<u8>,
    /// Where times to live stand in the reply.
    ttls_at: Vec<u16>,
    since: Duration,
    until: Duration,
}

/// What a reply of somebody else is like.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// Where times to live stand.
    pub ttls_at: Vec<u16>,
    /// How long it may be remembered, in seconds; `None` for not at all.
    pub ttl: Option<u32>,
    /// The response code.
    pub code: u8,
    /// Whether it is cut.
    pub is_cut: bool,
}

/// Nothing is remembered for longer than this, in seconds.
const TTL_MAX: u32 = 30;
/// What an entry costs beside its bytes.
const ENTRY_COST: usize = 200;

/// Walks over a reply; `None` if it is broken anywhere.
pub fn shape(reply: &[u8], question_end: usize) -> Option<Shape> {
    let code = reply.get(3)? & 0xf;
    let is_cut = reply[2] & 0x02 != 0;
    let (answers, authority) = (u16_at(reply, 6)?, u16_at(reply, 8)?);
    let all = u32::from(answers) + u32::from(authority) + u32::from(u16_at(reply, 10)?);
    let (mut at, mut ttls_at, mut least, mut negative) = (question_end.max(HEAD), Vec::new(), u32::MAX, None);
    for i in 0..all {
        let record = RawRecord::read(reply, at)?;
        if record.kind != kind::OPT {
            ttls_at.push(u16::try_from(record.ttl_at).ok()?);
            least = least.min(record.ttl);
            if record.kind == kind::SOA && i >= u32::from(answers) {
                // The last field of the data.
                negative = u32_at(reply, record.end.checked_sub(4)?).map(|minimum| minimum.min(record.ttl));
            }
        }
        at = record.end;
    }
    let ttl = match (code, answers) {
        _ if is_cut => None,
        (0, 1..) => Some(least),
        // What is not there is remembered only if the zone says for how long.
        (0 | 3, _) => negative.map(|negative| negative.min(least)),
        _ => None,
    };
    Some(Shape { ttls_at, ttl, code, is_cut })
}

// === impl Cache ===

impl Cache {
    /// A memory of at most `max_bytes`.
    pub fn new(max_bytes: usize) -> Cache {
        Cache { entries: BTreeMap::new(), expiring: BTreeMap::new(), bytes: 0, max_bytes }
    }

    /// Remembers `reply`, which is of `shape`.
    pub fn put(&mut self, question: &Question, reply: &[u8], shape: &Shape, now: Duration) {
        let Some(ttl) = shape.ttl.filter(|ttl| *ttl > 0) else { return };
        self.remove(question);
        let until = now + Duration::from_secs(ttl.min(TTL_MAX).into());
        let entry = Entry { reply: reply.to_vec(), ttls_at: shape.ttls_at.clone(), since: now, until };
        self.bytes += entry.cost(question);
        self.expiring.insert((until, question.clone()), ());
        self.entries.insert(question.clone(), entry);
        while let Some(((until, oldest), ())) = self.expiring.first_key_value() {
            if self.bytes <= self.max_bytes && *until > now {
                break;
            }
            let oldest = oldest.clone();
            self.remove(&oldest);
        }
    }

    fn remove(&mut self, question: &Question) {
        if let Some(entry) = self.entries.remove(question) {
            self.bytes -= entry.cost(question);
            self.expiring.remove(&(entry.until, question.clone()));
        }
    }

    /// The reply that is remembered, with as much less time to live as has passed.
    pub fn get(&self, question: &Question, now: Duration) -> Option<Vec<u8>> {
        let entry = self.entries.get(question).filter(|entry| entry.until > now)?;
        let mut reply = entry.reply.clone();
        let passed = u32::try_from(now.saturating_sub(entry.since).as_secs()).unwrap_or(u32::MAX);
        for at in entry.ttls_at.iter().map(|at| usize::from(*at)) {
            let left = u32_at(&reply, at)?.saturating_sub(passed);
            reply[at..at + 4].copy_from_slice(&left.to_be_bytes());
        }
        Some(reply)
    }

    /// How many replies are remembered.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

// === impl Entry ===

impl Entry {
    fn cost(&self, question: &Question) -> usize {
        self.reply.len() + 2 * question.len() + 2 * self.ttls_at.len() + ENTRY_COST
    }
}
