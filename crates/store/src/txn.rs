//! What is asked of the store in one commit, and what comes of it.

use decapod_api::{Encoded, Object, Revision};
use thiserror::Error;

use crate::key::Key;

/// What a write requires of the object it replaces; compare-and-set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// There is none.
    Absent,
    /// There is one, written at this revision.
    Revision(Revision),
    /// There is one.
    Exists,
    /// There may be one or not. A delete still needs one.
    Any,
}

/// One write of a transaction.
#[derive(Clone, Debug)]
pub enum Write {
    /// Creates or replaces an object.
    Put {
        /// Where.
        key: Key,
        /// The object, without a resourceVersion: the commit writes it.
        value: Encoded,
        /// What must be there.
        expect: Expect,
    },
    /// Removes an object.
    Delete {
        /// Where.
        key: Key,
        /// What must be there; nothing there is always a conflict.
        expect: Expect,
        /// The body that DELETED shows; without it, the current body. Either carries the revision of the delete.
        last: Option<Encoded>,
    },
}

/// Writes that happen together at one revision, or not at all. At most one key of each resource, because a
/// revision names one event of a resource.
#[derive(Clone, Debug, Default)]
pub struct Txn(pub Vec<Write>);

/// A commit that is durable.
#[derive(Clone, Debug)]
pub struct Committed {
    /// Its revision.
    pub revision: Revision,
    /// One object per write, in order: the new one of a put, the last one of a delete.
    pub objects: Vec<Object>,
}

/// Why a commit did not happen; only [`CommitError::Unknown`] leaves open whether it did.
#[derive(Clone, Debug, Error)]
pub enum CommitError {
    /// What was expected is not what is there. What is there is durable.
    #[error("{key} is not as expected")]
    Conflict {
        /// The key that differs.
        key: Key,
        /// What is there; none if nothing is.
        current: Option<Object>,
    },
    /// The transaction touches two keys of one resource.
    #[error("{key} is the second key of its resource in one transaction")]
    Repeated {
        /// The second key.
        key: Key,
    },
    /// The transaction is larger than the store takes.
    #[error("a transaction of {bytes} bytes exceeds {limit_bytes}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The largest allowed.
        limit_bytes: usize,
    },
    /// The disk is full. Deletes and leases may still succeed, from the reserve.
    #[error("the disk is full")]
    Full,
    /// The store has stopped before the write was tried.
    #[error("the store is unavailable: {reason}")]
    Unavailable {
        /// What stopped it.
        reason: String,
    },
    /// The store stopped while it wrote: it may be durable or not.
    #[error("the outcome of the write is unknown: the store stopped")]
    Unknown,
}

// === impl Txn ===

impl Txn {
    /// A transaction of one put.
    pub fn put(key: impl Into<Key>, value: Encoded, expect: Expect) -> Txn {
        Txn(vec![Write::Put { key: key.into(), value, expect }])
    }

    /// A transaction of one delete that shows the current body.
    pub fn delete(key: impl Into<Key>, expect: Expect) -> Txn {
        Txn(vec![Write::Delete { key: key.into(), expect, last: None }])
    }

    /// The same with one more write.
    pub fn and(mut self, write: Write) -> Txn {
        self.0.push(write);
        self
    }

    /// About how many bytes it writes.
    pub(crate) fn bytes(&self) -> usize {
        let value_bytes = |value: &Encoded| value.bytes.len() + REVISION_BYTES;
        let bytes = |write: &Write| match write {
            Write::Put { key, value, .. } => key.len() + value_bytes(value),
            Write::Delete { key, last, .. } => key.len() + last.as_ref().map_or(0, value_bytes),
        };
        self.0.iter().map(bytes).sum()
    }
}

/// What a resourceVersion field takes at most.
const REVISION_BYTES: usize = 42;

// === impl Write ===

impl Write {
    /// Where it writes.
    pub fn key(&self) -> &Key {
        match self {
            Write::Put { key, .. } | Write::Delete { key, .. } => key,
        }
    }

    /// What it expects.
    pub fn expect(&self) -> Expect {
        match self {
            Write::Put { expect, .. } | Write::Delete { expect, .. } => *expect,
        }
    }

    /// Whether the reserve of a full disk serves it: deletes, and leases, without which nodes go.
    pub(crate) fn is_reserved(&self) -> bool {
        matches!(self, Write::Delete { .. }) || self.key().starts_with("/registry/leases/")
    }
}

// === impl Expect ===

impl Expect {
    /// Whether an object at revision `current`, or none, is as expected.
    pub fn holds(self, current: Option<Revision>) -> bool {
        match self {
            Expect::Absent => current.is_none(),
            Expect::Revision(revision) => current == Some(revision),
            Expect::Exists => current.is_some(),
            Expect::Any => true,
        }
    }
}
