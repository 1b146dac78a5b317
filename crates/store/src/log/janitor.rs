//! Keeps the log small and room ahead of it, beside the writer and never in its way.
//!
//! The log is its own checkpoint. When it has grown beyond what the live objects warrant, the oldest segment is
//! read back, its objects that are still the current ones are appended again ("kept"), and its file becomes room
//! for a later segment. That needs no more space than one segment, so it works on a full disk, and reads what was
//! written long ago, so damage is noticed.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;
use tokio::time::Instant;

use super::Core;
use super::record::{Kind, records};
use super::segment::{Header, segment_name};
use super::sequencer::{Kept, Work};
use super::space::Segment;
use crate::key::Key;
use crate::txn::CommitError;

/// Why cleaning did not go on.
#[derive(Debug, Error)]
enum CleanError {
    #[error("{step}: {source}")]
    Io { step: &'static str, source: io::Error },
    #[error("{file} is damaged at byte {at}")]
    Damaged { file: String, at: usize },
    #[error(transparent)]
    Append(#[from] CommitError),
}

/// How often a full disk is asked for room again, at most.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// How many bytes are kept in one frame: little enough that commits behind it hardly wait.
const KEEP_BYTES: usize = 256 << 10;

/// Works until the log stops.
pub(crate) async fn run(core: Arc<Core>) {
    let stopped = core.sequencer.stopped();
    let work = async {
        while let Err(error) = tidy_when_told(&core).await {
            match error {
                // Nothing can be said about the directory any more.
                CleanError::Io { .. } => {
                    tracing::error!(%error, "the log's files cannot be kept in order; the store stops");
                    core.sequencer.stop(&error.to_string(), Vec::new());
                }
                // What is in memory is whole; but the segment must be left alone for someone to look at.
                CleanError::Damaged { .. } => {
                    tracing::error!(%error, "the log can no longer be cleaned: back up and restore this store");
                    return std::future::pending().await;
                }
                CleanError::Append(_) => {}
            }
        }
    };
    tokio::select! {
        biased;
        _ = stopped => {}
        () = work => {}
    }
}

/// Allocates and cleans whenever there is cause.
async fn tidy_when_told(core: &Core) -> Result<(), CleanError> {
    let mut tried: Option<Instant> = None;
    loop {
        tokio::select! {
            biased;
            () = core.space.moved.notified() => {}
            () = core.sequencer.refused.notified() => {
                if tried.is_some_and(|tried| tried.elapsed() < RETRY_DELAY) {
                    continue;
                }
            }
        }
        tried = Some(Instant::now());
        provide(core).await?;
        while is_too_large(core) {
            let Some(segment) = core.space.oldest() else { break };
            clean(core, segment).await?;
            provide(core).await?;
        }
    }
}

/// Allocates what is missing ahead, and says whether the disk is full.
async fn provide(core: &Core) -> Result<(), CleanError> {
    while core.space.missing() > 0 {
        if !core.space.allocate().await.map_err(at("allocate ahead"))? {
            if !core.sequencer.is_full() {
                tracing::warn!("the disk is full: only deletes and leases are taken");
            }
            core.sequencer.set_full(true);
            return Ok(());
        }
    }
    if core.sequencer.is_full() {
        tracing::info!("the disk has room again");
        core.sequencer.set_full(false);
    }
    Ok(())
}

/// Whether cleaning pays. On a full disk it pays when a segment's worth is garbage, or when all that is live fits in
/// the rest of the active segment. Either ends: what is cleaned is no garbage any more, and in the end no segment is old.
fn is_too_large(core: &Core) -> bool {
    let (_, live_bytes) = core.memory.live();
    let used_bytes = core.space.used_bytes();
    if core.sequencer.is_full() {
        // Headers of frames come on top.
        let kept_bytes = live_bytes + live_bytes / 8 + core.keep_bytes() as u64;
        return used_bytes > live_bytes + core.space.segment_bytes() || kept_bytes < core.space.room_bytes();
    }
    used_bytes > core.log_bytes_min.max(live_bytes.saturating_mul(core.log_percent) / 100)
}

/// Keeps what is live in the oldest segment, and gives it back.
async fn clean(core: &Core, segment: Segment) -> Result<(), CleanError> {
    let name = segment_name(segment.number);
    let bytes =
        core.files.read_all(&name, segment.file_bytes).await.map_err(at("read a segment to clean"))?;
    let mut live = live_objects(core, &name, Bytes::from(bytes), segment)?.into_iter().peekable();
    while live.peek().is_some() {
        let mut bytes = 0;
        let mut chunk = Vec::new();
        while let Some(kept) =
            live.next_if(|kept| bytes == 0 || bytes + kept.sealed.len() <= core.keep_bytes())
        {
            bytes += kept.sealed.len() + 1;
            chunk.push(kept);
        }
        core.sequencer.run(Work::Keep(chunk)).await?;
    }
    core.sequencer.run(Work::Floor).await?;
    core.space.give_back(segment).await.map_err(at("give a segment back"))?;
    core.counters.cleaned_segments.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

/// The objects in a segment that are the current ones.
fn live_objects(core: &Core, name: &str, bytes: Bytes, segment: Segment) -> Result<Vec<Kept>, CleanError> {
    let damaged = |at| CleanError::Damaged { file: name.to_owned(), at };
    let header = Header::read(&bytes, segment.number).ok_or_else(|| damaged(0))?;
    let mut frames = header.frames(&bytes);
    let mut live = Vec::new();
    for payload in frames.by_ref() {
        for record in records(payload) {
            let record = record.map_err(|_| damaged(0))?;
            if !matches!(record.kind, Kind::Put | Kind::Keep) {
                continue;
            }
            let sealed = bytes.slice_ref(record.value);
            let kept = Kept { key: Key::new(record.key), revision: record.revision, sealed };
            if core.is_live(&kept) {
                live.push(kept);
            }
        }
    }
    if frames.at as u64 == segment.used_bytes { Ok(live) } else { Err(damaged(frames.at)) }
}

// === impl Core ===

impl Core {
    /// Whether `kept` is the current object of its key.
    pub(crate) fn is_live(&self, kept: &Kept) -> bool {
        self.memory.get(&kept.key).is_some_and(|object| object.revision() == kept.revision)
    }

    fn keep_bytes(&self) -> usize {
        KEEP_BYTES.min(self.space.segment_bytes() as usize / 8)
    }
}

fn at(step: &'static str) -> impl FnOnce(io::Error) -> CleanError {
    move |source| CleanError::Io { step, source }
}
