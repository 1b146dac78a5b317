//! A resource as it was at one revision.

use std::ops::Bound;

use decapod_api::{Object, Revision};
use thiserror::Error;

use super::bucket::Tree;
use crate::key::Key;

/// Which revision a snapshot is to show; upstream's resourceVersion and resourceVersionMatch come down to these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// Whatever is there.
    Any,
    /// All that was acknowledged before the call.
    Latest,
    /// This revision or a later one.
    NotOlder(Revision),
    /// This very revision.
    Exact(Revision),
}

/// All objects below a prefix at one revision. It costs nothing to take and holds nobody up.
#[derive(Clone)]
pub struct Snapshot {
    pub(crate) tree: Tree,
    pub(crate) prefix: Box<str>,
    /// The prefix is the whole resource.
    pub(crate) whole: bool,
    pub(crate) revision: Revision,
}

/// Why a snapshot cannot be had.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ReadError {
    /// The revision is not there yet, and did not come in time. Upstream: "Too large resource version".
    #[error("too large resource version: {asked}, current: {current}")]
    TooLarge {
        /// What was asked for.
        asked: Revision,
        /// What there is.
        current: Revision,
    },
    /// The revision is forgotten.
    #[error(transparent)]
    Compacted(#[from] Compacted),
}

/// A revision is older than the history reaches back. Upstream: 410 Gone, "too old resource version".
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("too old resource version: {asked} ({oldest})")]
pub struct Compacted {
    /// What was asked for.
    pub asked: Revision,
    /// The oldest that would do.
    pub oldest: Revision,
}

// === impl Snapshot ===

impl Snapshot {
    /// The revision it shows: the resourceVersion of a list.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// All its objects in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Object)> {
        self.from(Bound::Included(&self.prefix))
    }

    /// Its objects after `key`, which need not be there, in the order of their keys.
    pub fn after<'a>(&'a self, key: &'a str) -> impl Iterator<Item = (&'a Key, &'a Object)> {
        self.from(Bound::Excluded(key.max(&self.prefix)))
    }

    /// The object of `key`.
    pub fn get(&self, key: &str) -> Option<&Object> {
        if key.starts_with(&*self.prefix) { self.tree.get(key) } else { None }
    }

    /// How many objects there are: at once for a whole resource, by counting for a narrower prefix.
    pub fn len(&self) -> usize {
        if self.whole { self.tree.len() } else { self.iter().count() }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    fn from<'a>(&'a self, start: Bound<&'a str>) -> impl Iterator<Item = (&'a Key, &'a Object)> {
        self.tree
            .range::<_, str>((start, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(&*self.prefix))
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "Snapshot({} at {})", self.prefix, self.revision)
    }
}
