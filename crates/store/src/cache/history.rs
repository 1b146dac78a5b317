//! What happened to a resource of late: a ring of events, bounded in number and in bytes.

use std::collections::VecDeque;
use std::sync::Arc;

use decapod_api::Revision;

use super::snapshot::Compacted;
use crate::event::{Change, Event};

/// How much a resource may remember.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub events: usize,
    pub bytes: usize,
}

/// The events of one resource, oldest first. Each has a sequence number: its place since the store was opened.
pub(crate) struct History {
    events: VecDeque<Arc<Event>>,
    /// The sequence number of the first event.
    first: u64,
    /// Events up to this revision have been forgotten.
    trimmed: Revision,
    /// What the events keep alive that nothing else does.
    bytes: usize,
    limits: Limits,
}

/// What an event costs beside the bodies it holds.
const EVENT_BYTES: usize = 128;
/// How many events are forgotten while others wait for the lock.
const TRIM_EVENTS: usize = 1024;

// === impl History ===

impl History {
    /// An empty history that knows nothing up to `trimmed`.
    pub fn new(trimmed: Revision, limits: Limits) -> History {
        History { events: VecDeque::new(), first: 0, trimmed, bytes: 0, limits }
    }

    /// Adds the newest event and forgets the oldest ones that exceed the limits.
    pub fn push(&mut self, event: Arc<Event>) {
        debug_assert!(self.events.back().is_none_or(|last| last.revision < event.revision));
        self.bytes += held_bytes(&event);
        self.events.push_back(event);
        while self.events.len() > self.limits.events || self.bytes > self.limits.bytes {
            self.forget_oldest();
        }
    }

    /// Forgets everything up to `upto`, though only [`TRIM_EVENTS`] at a time; gives back what was forgotten, to be
    /// dropped when nobody waits.
    pub fn trim(&mut self, upto: Revision) -> Vec<Arc<Event>> {
        self.trimmed = self.trimmed.max(upto);
        let due = |event: &&Arc<Event>| event.revision <= upto;
        let count = self.events.iter().take(TRIM_EVENTS).take_while(due).count();
        let forgotten = (0..count).filter_map(|_| self.forget_oldest()).collect();
        if self.events.capacity() > TRIM_EVENTS.max(4 * self.events.len()) {
            self.events.shrink_to(2 * self.events.len());
        }
        forgotten
    }

    /// The oldest revision after which every event is here.
    pub fn oldest(&self) -> Revision {
        self.trimmed
    }

    /// The sequence number of the first event after `after`.
    pub fn seek(&self, after: Revision) -> Result<u64, Compacted> {
        if after < self.trimmed {
            return Err(Compacted { asked: after, oldest: self.trimmed });
        }
        Ok(self.first + self.events.partition_point(|event| event.revision <= after) as u64)
    }

    /// The event with this sequence number; none if it is yet to come; an error, with the oldest revision that
    /// would do, if it is forgotten.
    pub fn at(&self, sequence: u64) -> Result<Option<&Arc<Event>>, Revision> {
        let index = sequence.checked_sub(self.first).ok_or(self.trimmed)?;
        Ok(self.events.get(index as usize))
    }

    /// The sequence number of the next event to come.
    pub fn end(&self) -> u64 {
        self.first + self.events.len() as u64
    }

    /// The events after `after`, newest first.
    pub fn newer(&self, after: Revision) -> impl Iterator<Item = &Arc<Event>> {
        self.events.iter().rev().take_while(move |event| event.revision > after)
    }

    fn forget_oldest(&mut self) -> Option<Arc<Event>> {
        let event = self.events.pop_front()?;
        self.bytes -= held_bytes(&event);
        self.first += 1;
        self.trimmed = self.trimmed.max(event.revision);
        Some(event)
    }
}

/// The bytes that `event` alone may keep alive: what was replaced, and the last body of a delete.
fn held_bytes(event: &Event) -> usize {
    let prev = event.prev.as_ref().map_or(0, |prev| prev.body().len());
    let last = if event.change == Change::Delete { event.object.body().len() } else { 0 };
    EVENT_BYTES + prev + last
}

#[cfg(test)]
mod tests {
    use decapod_api::Object;

    use super::*;
    use crate::key::Key;

    fn event(revision: Revision, body: &'static str) -> Arc<Event> {
        let object = |revision| Object::new(body.into(), revision);
        Arc::new(Event {
            change: Change::Put { created: false },
            key: Key::new("/registry/pods/a"),
            object: object(revision),
            prev: Some(object(revision - 1)),
            revision,
        })
    }

    #[test]
    fn the_ring_is_bounded_by_events_and_bytes() {
        let mut history = History::new(0, Limits { events: 3, bytes: 10 * EVENT_BYTES });
        for revision in 1..=5 {
            history.push(event(revision, "{}"));
        }
        assert_eq!((history.oldest(), history.end()), (2, 5));
        assert_eq!(history.at(1).err(), Some(2));
        assert_eq!(history.at(2).ok().flatten().map(|event| event.revision), Some(3));
        assert!(history.at(5).expect("not forgotten").is_none());
        assert_eq!(history.seek(1), Err(Compacted { asked: 1, oldest: 2 }));
        assert_eq!(history.seek(2), Ok(2));
        assert_eq!(history.seek(9), Ok(5));

        let mut history = History::new(0, Limits { events: 100, bytes: 2 * EVENT_BYTES + 10 });
        for revision in 1..=5 {
            history.push(event(revision, "{}"));
        }
        assert_eq!(history.oldest(), 3);
        assert_eq!((history.trim(4).len(), history.newer(0).count()), (1, 1));
        assert_eq!(history.trim(9).len(), 1);
        assert_eq!((history.oldest(), history.bytes, history.end()), (9, 0, 5));
    }
}
