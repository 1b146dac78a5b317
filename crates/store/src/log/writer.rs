//! The one writer: makes a frame of all that is queued, appends it, syncs it, and settles.
//!
//! While one frame is on its way to the disk, the next one gathers: that is the group commit. Any failure of a
//! write or a sync stops the store; what the disk then holds is for the next start to read.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use decapod_sys::planted::{Bug, is_planted};

use super::Core;
use super::record::{FrameBuilder, Kind};
use super::segment::{FRAMES_AT, Header};
use super::sequencer::{Item, Kept, Work};
use super::space::Segment;
use crate::cache::OpKind;
use crate::disk::FileId;

/// The writer and the segment it writes to.
pub(crate) struct Writer {
    pub core: Arc<Core>,
    pub active: Active,
    pub buffer: Vec<u8>,
}

/// The segment that is written to.
pub(crate) struct Active {
    pub number: u64,
    pub file: FileId,
    pub nonce: u64,
    /// How long the file is.
    pub file_bytes: u64,
    /// Where the next frame goes.
    pub at: u64,
    /// The number of the next frame.
    pub frame: u64,
}

/// Why a frame was not appended.
enum AppendError {
    /// There is no room, and nothing was written.
    Full,
    /// The store must stop.
    Io { step: &'static str, source: io::Error },
}

/// Stops the sequencer when the writer ends, whatever ended it.
struct StopAtEnd(Arc<Core>);

// === impl Writer ===

impl Writer {
    /// Writes until the log is closed or fails.
    pub async fn run(mut self) {
        let stop = StopAtEnd(self.core.clone());
        let bytes_max = (self.core.space.segment_bytes() / 2) as usize;
        loop {
            let items = self.core.sequencer.next(bytes_max).await;
            let close = items.iter().any(|item| matches!(item.work, Work::Close));
            match self.append(&items).await {
                Ok(()) => self.core.sequencer.settle(items),
                Err(AppendError::Full) => {
                    self.core.sequencer.set_full(true);
                    self.core.sequencer.revoke(items);
                }
                Err(AppendError::Io { step, source }) => {
                    tracing::error!(step, error = %source, "the log cannot be written; the store stops");
                    self.core.sequencer.stop(&format!("{step}: {source}"), items);
                    break;
                }
            }
            if close {
                break;
            }
        }
        drop(stop);
    }

    /// Appends one frame for `items` and syncs it.
    async fn append(&mut self, items: &[Item]) -> Result<(), AppendError> {
        let frame = self.frame(items);
        if frame.is_empty() {
            return Ok(());
        }
        let len = frame.len() as u64;
        if self.active.at + len > self.active.file_bytes {
            self.rotate().await?;
        }
        let bytes = frame.finish(self.active.nonce, self.active.frame);
        let len = bytes.len() as u64;
        let files = &self.core.files;
        let is_forgotten = is_planted(Bug::ForgottenSync) && self.active.frame.is_multiple_of(4);
        let write = files.write(self.active.file, self.active.at, bytes);
        let sync = (!is_forgotten).then(|| files.sync(self.active.file));
        self.buffer = write.await.map_err(at("write the log"))?;
        if let Some(sync) = sync {
            sync.await.map_err(at("sync the log"))?;
        }
        self.active.at += len;
        self.active.frame += 1;
        self.core.space.set_active(self.active.at);
        self.core.counters.appends.fetch_add(1, Ordering::Relaxed);
        self.core.counters.appended_bytes.fetch_add(len, Ordering::Relaxed);
        Ok(())
    }

    /// The frame of `items`. What is kept comes first: it is older than all that the same frame changes.
    fn frame(&mut self, items: &[Item]) -> FrameBuilder {
        let core = self.core.clone();
        let mut frame = FrameBuilder::new(std::mem::take(&mut self.buffer));
        for item in items {
            let Work::Keep(kept) = &item.work else { continue };
            // What is visible is what all earlier frames say, for there is one frame in flight at a time.
            for Kept { key, revision, sealed } in kept.iter().filter(|kept| core.is_live(kept)) {
                frame.record(Kind::Keep, *revision, key, |out| out.extend_from_slice(sealed));
                core.counters.kept_bytes.fetch_add(sealed.len() as u64, Ordering::Relaxed);
            }
        }
        if items.iter().any(|item| matches!(item.work, Work::Floor)) {
            frame.record(Kind::Floor, core.memory.revision(), "", |_| {});
        }
        for item in items {
            match &item.work {
                Work::Entry(entry) => {
                    for op in &entry.ops {
                        let kind = match op.kind {
                            OpKind::Put => Kind::Put,
                            OpKind::Delete => Kind::Delete,
                            OpKind::DeleteAs => Kind::DeleteAs,
                        };
                        frame.record(kind, entry.revision, &op.key, |out| {
                            // Of this kind of delete the body can be made again.
                            if kind != Kind::Delete {
                                core.transform.seal(&op.key, op.object.body(), out);
                            }
                        });
                    }
                }
                Work::Compact(upto) => frame.record(Kind::Compact, *upto, "", |_| {}),
                Work::Close => frame.record(Kind::Close, core.memory.revision(), "", |_| {}),
                Work::Keep(_) | Work::Floor | Work::Settle => {}
            }
        }
        frame
    }

    /// Goes on to a new segment.
    async fn rotate(&mut self) -> Result<(), AppendError> {
        let space = &self.core.space;
        let (spare, last) =
            space.spare().await.map_err(at("allocate a segment"))?.ok_or(AppendError::Full)?;
        // The janitor is behind: the reserve is not for puts that are still to come.
        if last && !space.allocate().await.map_err(at("allocate the reserve"))? {
            self.core.sequencer.set_full(true);
        }
        let active = &self.active;
        let header = Header {
            number: active.number + 1,
            nonce: self.core.env.random_u64(),
            first_frame: active.frame,
            revision: self.core.memory.revision(),
        };
        let file = space.begin(&spare, header.number, header.write()).await.map_err(at("begin a segment"))?;
        self.core.files.close(active.file).await.map_err(at("close a segment"))?;
        space.closed(Segment { number: active.number, used_bytes: active.at, file_bytes: active.file_bytes });
        self.active = Active {
            number: header.number,
            file,
            nonce: header.nonce,
            file_bytes: space.segment_bytes(),
            at: FRAMES_AT as u64,
            frame: header.first_frame,
        };
        Ok(())
    }
}

fn at(step: &'static str) -> impl FnOnce(io::Error) -> AppendError {
    move |source| AppendError::Io { step, source }
}

// === impl StopAtEnd ===

impl Drop for StopAtEnd {
    fn drop(&mut self) {
        self.0.sequencer.stop("the log was closed", Vec::new());
    }
}
