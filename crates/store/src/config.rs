//! What a store can be told when it opens.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::disk::Disk;
use crate::transform::{Plain, Transform};

/// Where a store lives.
#[derive(Clone)]
pub enum Place {
    /// A directory of its own on this machine; made if it is not there.
    Dir(PathBuf),
    /// Any disk: a test's.
    Disk(Arc<dyn Disk>),
}

/// How a store is set up. [`Config::new`] gives the defaults, which suit a laptop and a data centre.
#[derive(Clone)]
pub struct Config {
    /// Where it lives.
    pub place: Place,
    /// How bodies are sealed on disk.
    pub transform: Arc<dyn Transform>,
    /// The size of one file of the log. A frame, and so a transaction, must fit in it.
    pub segment_bytes: u64,
    /// How many files are allocated ahead; the last of them is the reserve of a full disk.
    pub spare_segments: usize,
    /// The log is cleaned when it is larger than this, …
    pub log_bytes_min: u64,
    /// … and than the live objects by this many per cent: 200 means half of the log may be garbage.
    pub log_percent: u64,
    /// The largest transaction. Upstream's server takes requests of 3 MiB.
    pub txn_bytes_max: usize,
    /// How many events of a resource are kept at most.
    pub history_events: usize,
    /// How many bytes only the history of a resource may hold on to.
    pub history_bytes: usize,
    /// History older than this, and younger than twice this, is forgotten; none: only when asked. Upstream's
    /// compactor (k8s.io/apiserver/pkg/storage/etcd3/compact.go) works every 5 minutes.
    pub compact_every: Option<Duration>,
    /// How long a read waits for a revision that is not there yet. Upstream's watch cache waits 3 s.
    pub fresh_timeout: Duration,
}

// === impl Config ===

impl Config {
    /// The defaults for a store at `place`.
    pub fn new(place: Place) -> Config {
        Config {
            place,
            transform: Arc::new(Plain),
            segment_bytes: 8 << 20,
            spare_segments: 2,
            log_bytes_min: 16 << 20,
            log_percent: 200,
            txn_bytes_max: 3 << 20,
            history_events: 100_000,
            history_bytes: 32 << 20,
            compact_every: Some(Duration::from_secs(300)),
            fresh_timeout: Duration::from_secs(3),
        }
    }

    /// The defaults for a store in the directory `dir`.
    pub fn dir(dir: impl Into<PathBuf>) -> Config {
        Config::new(Place::Dir(dir.into()))
    }
}
