//! [`Store`]: a cache over a log.

use std::sync::Arc;

use decapod_api::{Object, Revision};
use decapod_sys::Env;

use crate::cache::Memory;
use crate::cache::cursor::Cursor;
use crate::cache::snapshot::{At, Compacted, ReadError, Snapshot};
use crate::config::Config;
use crate::log::{Log, OpenError};
use crate::txn::{CommitError, Committed, Txn};

/// The store. Cloning shares it; when the last clone is dropped, it stops.
#[derive(Clone)]
pub struct Store {
    memory: Arc<Memory>,
    log: Arc<Log>,
}

/// What a store holds and has done since it opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Objects there are.
    pub objects: u64,
    /// What they need in the log.
    pub live_bytes: u64,
    /// What the log takes on disk, without files allocated ahead.
    pub log_bytes: u64,
    /// Appends, each with one sync.
    pub appends: u64,
    /// Bytes appended, by commits and by cleaning.
    pub appended_bytes: u64,
    /// Of these, bytes of objects copied forward by cleaning.
    pub kept_bytes: u64,
    /// Files of the log that were cleaned and given back.
    pub cleaned_segments: u64,
    /// Whether puts are refused because the disk is full.
    pub full: bool,
}

// === impl Store ===

impl Store {
    /// Opens a store, or makes a new one; its tasks run in a scope of `env`.
    pub async fn open(config: Config, env: &Env) -> Result<Store, OpenError> {
        let (log, memory) = Log::open(config, env).await?;
        Ok(Store { memory, log: Arc::new(log) })
    }

    /// Does all of `txn` at one revision, or nothing; returns when it is durable. Dropping the future does not
    /// undo it.
    pub async fn commit(&self, txn: Txn) -> Result<Committed, CommitError> {
        self.log.commit(&txn).await
    }

    /// The object of `key`, as of the newest durable revision.
    pub fn get(&self, key: &str) -> Option<Object> {
        self.memory.get(key)
    }

    /// The newest durable revision. An empty store's is 1, as etcd's.
    pub fn revision(&self) -> Revision {
        self.memory.revision()
    }

    /// The objects below `prefix`, which ends with a slash and lies within one resource. Waits up to
    /// [`Config::fresh_timeout`] for a revision that is not there yet.
    pub async fn snapshot(&self, prefix: &str, at: At) -> Result<Snapshot, ReadError> {
        self.memory.snapshot(prefix, at).await
    }

    /// Waits until `revision` is durable, as [`Store::snapshot`] does.
    pub async fn fresh(&self, revision: Revision) -> Result<(), ReadError> {
        self.memory.fresh(revision).await
    }

    /// The events below `prefix` (as for [`Store::snapshot`]) after the revision `after`, which may be yet to come.
    pub fn watch(&self, prefix: &str, after: Revision) -> Result<Cursor, Compacted> {
        self.memory.check_window(after)?;
        Cursor::new(self.memory.clone(), prefix, after)
    }

    /// The oldest revision that [`At::Exact`] and [`Store::watch`] may ask for. A busy resource may remember less.
    pub fn compacted(&self) -> Revision {
        self.memory.compacted()
    }

    /// Forgets history up to `upto`, or to the newest revision if that is older; durably.
    pub async fn compact(&self, upto: Revision) -> Result<(), CommitError> {
        self.log.compact(upto).await
    }

    /// Returns why the store stopped, when it does: reads go on, commits fail, and only opening it anew helps.
    pub async fn stopped(&self) -> String {
        self.log.stopped().await
    }

    /// Stops after what has been asked so far, and lets go of the disk. An orderly end lets the next start tell
    /// damage from a torn write; without it nothing acknowledged is lost either.
    pub async fn close(&self) -> Result<(), CommitError> {
        self.log.close().await
    }

    /// Figures for metrics and benchmarks.
    pub fn stats(&self) -> Stats {
        let (objects, live_bytes) = self.memory.live();
        Stats { objects, live_bytes, ..self.log.stats() }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "Store(at {})", self.revision())
    }
}
