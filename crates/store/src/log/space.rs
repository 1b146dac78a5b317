//! The files of the log: which segments there are, and files allocated ahead, the last of which is the reserve that
//! lets a full disk be cleaned.

use std::collections::VecDeque;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::segment::{segment_name, spare_name};
use crate::disk::{FileId, Files};

/// The files, shared by the writer and the janitor.
pub(crate) struct Space {
    files: Files,
    segment_bytes: u64,
    spares_wanted: usize,
    state: Mutex<State>,
    /// Told when a segment was begun: there may be something to allocate or to clean.
    pub moved: Notify,
}

struct State {
    /// Oldest first, without the active one.
    closed: VecDeque<Segment>,
    /// Where the active segment's frames end.
    active_bytes: u64,
    spares: Vec<String>,
    next_spare: u64,
}

/// A segment that is not written to any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub number: u64,
    /// Where its frames end.
    pub used_bytes: u64,
    /// How long its file is.
    pub file_bytes: u64,
}

// === impl Space ===

impl Space {
    /// The files that recovery found.
    pub fn new(files: Files, segment_bytes: u64, spares_wanted: usize, closed: Vec<Segment>) -> Space {
        let state = State { closed: closed.into(), active_bytes: 0, spares: Vec::new(), next_spare: 1 };
        Space { files, segment_bytes, spares_wanted, state: Mutex::new(state), moved: Notify::new() }
    }

    /// How many bytes of frames there are.
    pub fn used_bytes(&self) -> u64 {
        let state = self.state();
        state.active_bytes + state.closed.iter().map(|segment| segment.used_bytes).sum::<u64>()
    }

    /// How many bytes fit in the active segment.
    pub fn room_bytes(&self) -> u64 {
        self.segment_bytes.saturating_sub(self.state().active_bytes)
    }

    /// Says where the active segment's frames end.
    pub fn set_active(&self, bytes: u64) {
        self.state().active_bytes = bytes;
    }

    /// The size of a segment that is begun now.
    pub fn segment_bytes(&self) -> u64 {
        self.segment_bytes
    }

    /// How many spares are missing.
    pub fn missing(&self) -> usize {
        self.spares_wanted.saturating_sub(self.state().spares.len())
    }

    /// A spare to begin a segment with, and whether it was the last; none: the disk is full.
    pub async fn spare(&self) -> io::Result<Option<(String, bool)>> {
        if self.state().spares.is_empty() && !self.allocate().await? {
            return Ok(None);
        }
        let mut state = self.state();
        let spare = state.spares.pop();
        Ok(spare.map(|spare| (spare, state.spares.is_empty())))
    }

    /// Takes in a spare of a former life, or removes it if it does not fit.
    pub async fn adopt(&self, name: &str, id: u64, file_bytes: u64) -> io::Result<()> {
        {
            let mut state = self.state();
            state.next_spare = state.next_spare.max(id + 1);
        }
        if file_bytes != self.segment_bytes || self.missing() == 0 {
            return self.files.remove(name).await;
        }
        match self.fill(name).await {
            Ok(()) => self.state().spares.push(name.to_owned()),
            Err(error) if is_full(&error) => self.files.remove(name).await?,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Allocates one spare. `Ok(false)`: the disk is full.
    pub async fn allocate(&self) -> io::Result<bool> {
        let name = {
            let mut state = self.state();
            state.next_spare += 1;
            spare_name(state.next_spare - 1)
        };
        let made = async {
            self.fill(&name).await?;
            self.files.sync_dir().await
        };
        match made.await {
            Ok(()) => {
                self.state().spares.push(name);
                Ok(true)
            }
            Err(error) if is_full(&error) => {
                // It may not even have been made.
                match self.files.remove(&name).await {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                    _ => Ok(false),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Makes the file `name` as long as a segment, with room on disk.
    async fn fill(&self, name: &str) -> io::Result<()> {
        let file = self.files.open(name, true).await?;
        let filled = async {
            self.files.allocate(file, self.segment_bytes).await?;
            self.files.sync(file).await
        };
        let filled = filled.await;
        self.files.close(file).await?;
        filled
    }

    /// Turns a spare into segment `number` with this header; it is durable before it has its name.
    pub async fn begin(&self, spare: &str, number: u64, header: Vec<u8>) -> io::Result<FileId> {
        let file = self.files.open(spare, false).await?;
        let (write, sync) = (self.files.write(file, 0, header), self.files.sync(file));
        write.await?;
        sync.await?;
        self.files.rename(spare, &segment_name(number)).await?;
        self.files.sync_dir().await?;
        Ok(file)
    }

    /// A segment is full.
    pub fn closed(&self, segment: Segment) {
        self.state().closed.push_back(segment);
        self.moved.notify_one();
    }

    /// The oldest segment that is not written to.
    pub fn oldest(&self) -> Option<Segment> {
        self.state().closed.front().copied()
    }

    /// Gives the oldest segment back: as a spare if one is missing, else to the disk.
    pub async fn give_back(&self, segment: Segment) -> io::Result<()> {
        let name = segment_name(segment.number);
        if self.missing() > 0 && segment.file_bytes == self.segment_bytes {
            let spare = {
                let mut state = self.state();
                state.next_spare += 1;
                spare_name(state.next_spare - 1)
            };
            self.files.rename(&name, &spare).await?;
            self.files.sync_dir().await?;
            self.state().spares.push(spare);
        } else {
            self.files.remove(&name).await?;
            self.files.sync_dir().await?;
        }
        self.state().closed.pop_front();
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether `error` says that there is no room left.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
