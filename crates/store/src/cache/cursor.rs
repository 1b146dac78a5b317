//! A watcher: a place in the history of a resource, moving towards now.
//!
//! A cursor holds nothing and blocks nobody. One that is too slow finds the history gone and gets [`Compacted`];
//! its owner then tells the client to list again (410 Gone).

use std::sync::Arc;

use decapod_api::Revision;

use super::Memory;
use super::bucket::Bucket;
use super::snapshot::Compacted;
use crate::event::Event;

/// Reads the events below a prefix, each once, in the order of their revisions.
pub struct Cursor {
    memory: Arc<Memory>,
    bucket: Arc<Bucket>,
    prefix: Box<str>,
    /// The sequence number, in the bucket's history, of the event to look at next.
    next: u64,
    /// Everything up to here has been delivered.
    delivered: Revision,
}

/// How many events one call delivers at most.
const BATCH: usize = 256;

// === impl Cursor ===

impl Cursor {
    pub(crate) fn new(memory: Arc<Memory>, prefix: &str, after: Revision) -> Result<Cursor, Compacted> {
        let bucket = memory.bucket_or_new(prefix);
        let next = bucket.read().seek(after)?;
        Ok(Cursor { memory, bucket, prefix: prefix.into(), next, delivered: after })
    }

    /// The next events, at least one; waits for them. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<Vec<Arc<Event>>, Compacted> {
        loop {
            let bucket = self.bucket.clone();
            let mut changed = std::pin::pin!(bucket.changed.notified());
            // From here on no change is missed, also one between the look and the wait.
            changed.as_mut().enable();
            let events = self.take()?;
            if !events.is_empty() {
                return Ok(events);
            }
            changed.await;
        }
    }

    /// The next events that are there already, perhaps none.
    pub fn take(&mut self) -> Result<Vec<Arc<Event>>, Compacted> {
        let mut events = Vec::new();
        // Read first: whatever the history holds then, all up to this revision is in it.
        let durable = self.memory.revision();
        let state = self.bucket.read();
        while events.len() < BATCH {
            let Some(event) = state.history.at(self.next).map_err(|oldest| self.compacted(oldest))? else {
                self.delivered = self.delivered.max(durable);
                break;
            };
            self.next += 1;
            if event.revision > self.delivered {
                self.delivered = event.revision;
                if event.key.starts_with(&*self.prefix) {
                    events.push(event.clone());
                }
            }
        }
        Ok(events)
    }

    /// The revision up to which everything has been delivered: what a bookmark may say. It moves on without
    /// events, too, as other resources change.
    pub fn progress(&mut self) -> Revision {
        let durable = self.memory.revision();
        let state = self.bucket.read();
        if state.history.end() == self.next {
            self.delivered = self.delivered.max(durable);
        }
        self.delivered
    }

    fn compacted(&self, oldest: Revision) -> Compacted {
        Compacted { asked: self.delivered, oldest }
    }
}

impl std::fmt::Debug for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "Cursor({} after {})", self.prefix, self.delivered)
    }
}
