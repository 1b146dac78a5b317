//! The durable side of the store. [`Log`] is embedded today; etcd is to be its other form.

pub(crate) mod record;

mod janitor;
mod recover;
mod segment;
mod sequencer;
mod space;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use decapod_api::Revision;
use decapod_sys::Env;

pub use self::recover::OpenError;
use self::recover::{Recovered, recover};
use self::segment::FRAMES_AT;
use self::sequencer::{Sequencer, Work};
use self::space::Space;
use self::writer::Writer;
use crate::cache::Memory;
use crate::cache::history::Limits;
use crate::config::{Config, Place};
use crate::disk::{Disk, Files, RealDisk};
use crate::store::Stats;
use crate::transform::Transform;
use crate::txn::{CommitError, Committed, Txn};

/// Where commits become durable, in one order.
pub(crate) enum Log {
    /// Files of our own.
    Embedded(Embedded),
}

/// The embedded log.
pub(crate) struct Embedded {
    core: Arc<Core>,
    /// The scope of its tasks.
    scope: Env,
}

/// What the tasks of the embedded log share.
pub(crate) struct Core {
    memory: Arc<Memory>,
    sequencer: Sequencer,
    space: Space,
    files: Files,
    transform: Arc<dyn Transform>,
    env: Env,
    log_bytes_min: u64,
    log_percent: u64,
    counters: Counters,
}

/// What has been done, for [`Stats`].
#[derive(Default)]
struct Counters {
    appends: AtomicU64,
    appended_bytes: AtomicU64,
    kept_bytes: AtomicU64,
    cleaned_segments: AtomicU64,
}

// === impl Log ===

impl Log {
    /// Opens the log that `config` names, and the memory over it.
    pub async fn open(config: Config, env: &Env) -> Result<(Log, Arc<Memory>), OpenError> {
        let (embedded, memory) = Embedded::open(config, env).await?;
        Ok((Log::Embedded(embedded), memory))
    }

    /// See [`crate::Store::commit`].
    pub async fn commit(&self, txn: &Txn) -> Result<Committed, CommitError> {
        let Log::Embedded(log) = self;
        log.core.sequencer.commit(txn).await
    }

    /// See [`crate::Store::compact`].
    pub async fn compact(&self, upto: Revision) -> Result<(), CommitError> {
        let Log::Embedded(log) = self;
        log.core.compact(upto).await
    }

    /// See [`crate::Store::stopped`].
    pub async fn stopped(&self) -> String {
        let Log::Embedded(log) = self;
        log.core.sequencer.stopped().await
    }

    /// See [`crate::Store::close`].
    pub async fn close(&self) -> Result<(), CommitError> {
        let Log::Embedded(log) = self;
        log.close().await
    }

    /// What the log has done.
    pub fn stats(&self) -> Stats {
        let Log::Embedded(Embedded { core, .. }) = self;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            log_bytes: core.space.used_bytes(),
            appends: count(&core.counters.appends),
            appended_bytes: count(&core.counters.appended_bytes),
            kept_bytes: count(&core.counters.kept_bytes),
            cleaned_segments: count(&core.counters.cleaned_segments),
            full: core.sequencer.is_full(),
            ..Stats::default()
        }
    }
}

// === impl Embedded ===

impl Embedded {
    async fn open(config: Config, env: &Env) -> Result<(Embedded, Arc<Memory>), OpenError> {
        check_limits(&config)?;
        let disk: Arc<dyn Disk> = match &config.place {
            Place::Disk(disk) => disk.clone(),
            Place::Dir(dir) => {
                let step = "open the data directory";
                Arc::new(RealDisk::open(dir, env).map_err(|source| OpenError::Io { step, source })?)
            }
        };
        let files = Files(disk);
        let limits = Limits { events: config.history_events, bytes: config.history_bytes };
        let memory = Arc::new(Memory::new(limits, config.fresh_timeout));
        let Recovered { space, active } = recover(&files, &config, &memory, env.random_u64()).await?;
        let scope = env.scope();
        let core = Arc::new(Core {
            sequencer: Sequencer::new(memory.clone(), config.txn_bytes_max),
            memory: memory.clone(),
            space,
            files,
            transform: config.transform,
            env: scope.clone(),
            log_bytes_min: config.log_bytes_min,
            log_percent: config.log_percent,
            counters: Counters::default(),
        });
        // What an earlier life left to allocate and to clean.
        core.space.moved.notify_one();
        scope.spawn("store-writer", Writer { core: core.clone(), active, buffer: Vec::new() }.run());
        scope.spawn("store-janitor", janitor::run(core.clone()));
        if let Some(every) = config.compact_every {
            scope.spawn("store-compactor", compact_regularly(core.clone(), every));
        }
        Ok((Embedded { core, scope }, memory))
    }

    async fn close(&self) -> Result<(), CommitError> {
        let closed = match self.core.sequencer.run(Work::Close).await {
            // It could not be noted, but all that was acknowledged is there.
            Err(CommitError::Full) => Ok(()),
            other => other,
        };
        self.scope.shutdown().await;
        if let Err(error) = self.core.files.unlock().await {
            tracing::warn!(%error, "the data directory cannot be unlocked");
        }
        closed
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.core.sequencer.close();
    }
}

// === impl Core ===

impl Core {
    async fn compact(&self, upto: Revision) -> Result<(), CommitError> {
        let upto = upto.min(self.memory.revision());
        if upto <= self.memory.compacted() {
            return Ok(());
        }
        self.sequencer.run(Work::Compact(upto)).await
    }
}

/// Forgets, every so often, what was history already the time before.
async fn compact_regularly(core: Arc<Core>, every: Duration) {
    let stopped = core.sequencer.stopped();
    let work = async {
        let mut before = core.memory.revision();
        loop {
            tokio::time::sleep(every).await;
            if let Err(error) = core.compact(before).await {
                tracing::warn!(%error, "history cannot be compacted");
            }
            before = core.memory.revision();
        }
    };
    tokio::select! {
        biased;
        _ = stopped => {}
        () = work => {}
    }
}

/// A frame holds at least one transaction, and half a segment of them.
fn check_limits(config: &Config) -> Result<(), OpenError> {
    let (segment_bytes, txn_bytes_max) = (config.segment_bytes, config.txn_bytes_max);
    let fits = segment_bytes.is_multiple_of(512) && segment_bytes >= 2 * (txn_bytes_max + FRAMES_AT) as u64;
    if fits { Ok(()) } else { Err(OpenError::Limits { segment_bytes, txn_bytes_max }) }
}
