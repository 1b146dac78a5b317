//! The one memory over a log: the current objects and the window of history that serves watches.
//!
//! **Architecture Invariant:** only what is durable is here, applied in the order of revisions. Readers take a
//! bucket's lock for as long as a lookup or a pointer copy takes, and never wait for the disk.

pub(crate) mod bucket;
pub(crate) mod cursor;
pub(crate) mod history;
pub(crate) mod snapshot;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use decapod_api::{Object, Revision};
use decapod_sys::watch;

use self::bucket::Bucket;
use self::history::Limits;
use self::snapshot::{At, Compacted, ReadError, Snapshot};
use crate::key::{Key, resource_of};

/// All resources.
pub(crate) struct Memory {
    /// By the prefix of the resource; they come and never go.
    buckets: RwLock<HashMap<Box<str>, Arc<Bucket>>>,
    /// The newest revision that is durable and in all buckets.
    revision: watch::Sender<Revision>,
    /// History up to here is forgotten everywhere.
    compacted: AtomicU64,
    objects: AtomicU64,
    live_bytes: AtomicU64,
    limits: Limits,
    fresh_timeout: Duration,
}

/// One transaction that is in the log.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub revision: Revision,
    pub ops: Vec<Op>,
}

/// One object's change in an [`Entry`]. The object carries the entry's revision.
#[derive(Clone, Debug)]
pub(crate) struct Op {
    pub key: Key,
    pub object: Object,
    pub kind: OpKind,
}

/// What an [`Op`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpKind {
    Put,
    /// The object is the body that was there, with the delete's revision.
    Delete,
    /// The object is a last body of its own.
    DeleteAs,
}

// === impl Memory ===

impl Memory {
    /// An empty memory.
    pub fn new(limits: Limits, fresh_timeout: Duration) -> Memory {
        Memory {
            buckets: RwLock::default(),
            revision: watch::Sender::new(0),
            compacted: AtomicU64::new(0),
            objects: AtomicU64::new(0),
            live_bytes: AtomicU64::new(0),
            limits,
            fresh_timeout,
        }
    }

    /// The newest durable revision.
    pub fn revision(&self) -> Revision {
        *self.revision.borrow()
    }

    /// The oldest revision from which history is whole.
    pub fn compacted(&self) -> Revision {
        self.compacted.load(Ordering::Acquire)
    }

    /// How many objects there are, and how many bytes the log needs for them.
    pub fn live(&self) -> (u64, u64) {
        (self.objects.load(Ordering::Relaxed), self.live_bytes.load(Ordering::Relaxed))
    }

    /// The object of `key`.
    pub fn get(&self, key: &str) -> Option<Object> {
        self.bucket(key)?.read().get(key).cloned()
    }

    /// The objects below `prefix`.
    pub async fn snapshot(&self, prefix: &str, at: At) -> Result<Snapshot, ReadError> {
        if let At::NotOlder(revision) | At::Exact(revision) = at {
            self.fresh(revision).await?;
        }
        // Read first: whatever the bucket shows then, all of it up to this revision is in it.
        let durable = self.revision();
        let bucket = self.bucket(prefix);
        let (tree, revision) = match (at, &bucket) {
            (At::Exact(revision), _) => {
                self.check_window(revision)?;
                let tree = bucket.as_ref().map(|bucket| bucket.at(revision)).transpose()?;
                (tree.unwrap_or_default(), revision)
            }
            (_, Some(bucket)) => {
                let (tree, newest) = bucket.now();
                (tree, durable.max(newest))
            }
            (_, None) => (bucket::Tree::new(), durable),
        };
        Ok(Snapshot { tree, whole: resource_of(prefix) == prefix, prefix: prefix.into(), revision })
    }

    /// Waits, for a while, until `asked` is durable.
    pub async fn fresh(&self, asked: Revision) -> Result<(), ReadError> {
        if self.revision() >= asked {
            return Ok(());
        }
        let mut revisions = self.revision.subscribe();
        let reached = revisions.wait_for(|revision| *revision >= asked);
        match tokio::time::timeout(self.fresh_timeout, reached).await {
            Ok(_) => Ok(()),
            Err(_) => Err(ReadError::TooLarge { asked, current: self.revision() }),
        }
    }

    /// Refuses a revision from which history is not whole.
    pub fn check_window(&self, asked: Revision) -> Result<(), Compacted> {
        let oldest = self.compacted();
        if asked < oldest { Err(Compacted { asked, oldest }) } else { Ok(()) }
    }

    /// Makes durable entries visible, in order, and tells those who wait.
    pub fn publish(&self, entries: &[Entry]) {
        let Some(last) = entries.last() else { return };
        let mut touched: Vec<Arc<Bucket>> = Vec::new();
        for op in entries.iter().flat_map(|entry| &entry.ops) {
            let bucket = self.apply(op);
            if !touched.iter().any(|known| Arc::ptr_eq(known, &bucket)) {
                touched.push(bucket);
            }
        }
        self.revision.send_replace(last.revision);
        for bucket in touched {
            bucket.changed.notify_waiters();
        }
    }

    /// Applies one change that the log already holds, before anyone reads.
    pub fn replay(&self, op: &Op) {
        self.apply(op);
    }

    /// Applies one change to its bucket.
    fn apply(&self, op: &Op) -> Arc<Bucket> {
        let bucket = self.bucket_or_new(&op.key);
        let now = (op.kind == OpKind::Put).then_some(&op.object);
        let prev = {
            let mut state = bucket.write();
            match op.kind {
                OpKind::Put => state.put(&op.key, op.object.clone()),
                OpKind::Delete | OpKind::DeleteAs => state.delete(&op.key, op.object.clone()),
            }
        };
        self.account(&op.key, prev.as_ref(), now);
        bucket
    }

    /// Holds an object that is older than the log's memory, unless it or a newer one is there.
    pub fn keep(&self, key: &Key, object: Object) {
        let bucket = self.bucket_or_new(key);
        let mut state = bucket.write();
        if state.get(key).is_none() {
            self.account(key, None, Some(&object));
            state.hold(key, object);
        }
    }

    /// Says that everything up to `revision` is here, entries or not: for recovery.
    pub fn advance(&self, revision: Revision) {
        self.revision.send_if_modified(|now| {
            let newer = revision > *now;
            *now = revision.max(*now);
            newer
        });
    }

    /// Forgets history up to `upto`.
    pub fn compact(&self, upto: Revision) {
        self.compacted.fetch_max(upto, Ordering::AcqRel);
        let buckets: Vec<_> = self.read_buckets().values().cloned().collect();
        for bucket in buckets {
            bucket.trim(upto);
        }
    }

    /// The bucket of a key or prefix, if anything has been there.
    fn bucket(&self, key: &str) -> Option<Arc<Bucket>> {
        self.read_buckets().get(resource_of(key)).cloned()
    }

    /// The bucket of a key or prefix.
    pub fn bucket_or_new(&self, key: &str) -> Arc<Bucket> {
        if let Some(bucket) = self.bucket(key) {
            return bucket;
        }
        let mut buckets = self.buckets.write().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Bucket::new(self.compacted(), self.limits));
        buckets.entry(resource_of(key).into()).or_insert_with(new).clone()
    }

    fn read_buckets(&self) -> std::sync::RwLockReadGuard<'_, HashMap<Box<str>, Arc<Bucket>>> {
        self.buckets.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts objects and bytes after `prev` has become `now`.
    fn account(&self, key: &str, prev: Option<&Object>, now: Option<&Object>) {
        let bytes = |object: &Object| crate::log::record::op_bytes(key.len(), object.body().len()) as u64;
        if let Some(now) = now {
            self.objects.fetch_add(1, Ordering::Relaxed);
            self.live_bytes.fetch_add(bytes(now), Ordering::Relaxed);
        }
        if let Some(prev) = prev {
            self.objects.fetch_sub(1, Ordering::Relaxed);
            self.live_bytes.fetch_sub(bytes(prev), Ordering::Relaxed);
        }
    }
}
