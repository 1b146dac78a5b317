//! Gives each commit its place: checks what it expects against what is durable and what is on its way there, gives
//! it the next revision, and queues it for the writer.
//!
//! Invariants: revisions are given in the order of the queue, without gaps. `pending` holds, for every key that a
//! queued or in-flight entry touches, its newest such state. What is pending is never shown to anyone: a conflict
//! with it is answered when it has become durable, or checked again when it has not.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use decapod_api::{Object, Revision, raw};
use decapod_sys::watch;
use tokio::sync::{Notify, oneshot};

use super::record::op_bytes;
use crate::cache::{Entry, Memory, Op, OpKind};
use crate::key::Key;
use crate::txn::{CommitError, Committed, Txn, Write};

/// The sequencer; one per log.
pub(crate) struct Sequencer {
    memory: Arc<Memory>,
    txn_bytes_max: usize,
    state: Mutex<State>,
    /// Told when the queue has something.
    queued: Notify,
    /// Told when a put was refused because the disk is full: it may have room again.
    pub refused: Notify,
    stopped: watch::Sender<Option<String>>,
}

struct State {
    /// The newest revision given.
    last: Revision,
    pending: HashMap<Key, Pending>,
    queue: VecDeque<Item>,
    /// Puts are refused.
    full: bool,
    /// Nothing more is taken.
    closed: bool,
}

/// What a key will be when its newest entry is durable.
struct Pending {
    revision: Revision,
    object: Option<Object>,
}

/// What the writer is to do, and who waits for it.
pub(crate) struct Item {
    pub work: Work,
    /// About how much room its records take.
    bytes: usize,
    done: oneshot::Sender<Result<(), CommitError>>,
}

/// What the writer is to do.
pub(crate) enum Work {
    /// Append a transaction.
    Entry(Entry),
    /// Append those of these that are still there.
    Keep(Vec<Kept>),
    /// Append that history up to here is forgotten, and forget it.
    Compact(Revision),
    /// Append that segments are about to be given back.
    Floor,
    /// Append that the log was closed, and end.
    Close,
    /// Nothing; only tell when everything before is settled.
    Settle,
}

/// An object copied forward, as sealed as it was.
pub(crate) struct Kept {
    pub key: Key,
    pub revision: Revision,
    pub sealed: Bytes,
}

/// What waits for an [`Item`].
pub(crate) type Done = oneshot::Receiver<Result<(), CommitError>>;

enum Submitted {
    Queued(Done, Committed),
    /// It conflicts with what is not durable yet: try again then.
    Blocked(Done),
}

/// Room for what sealing adds to a body.
const SEAL_BYTES: usize = 128;

// === impl Sequencer ===

impl Sequencer {
    /// A sequencer that goes on after the newest revision in `memory`.
    pub fn new(memory: Arc<Memory>, txn_bytes_max: usize) -> Sequencer {
        let last = memory.revision();
        let state =
            State { last, pending: HashMap::new(), queue: VecDeque::new(), full: false, closed: false };
        Sequencer {
            memory,
            txn_bytes_max,
            state: Mutex::new(state),
            queued: Notify::new(),
            refused: Notify::new(),
            stopped: watch::Sender::new(None),
        }
    }

    /// Commits `txn`; returns when it is durable.
    pub async fn commit(&self, txn: &Txn) -> Result<Committed, CommitError> {
        check_shape(txn, self.txn_bytes_max)?;
        loop {
            match self.submit(txn)? {
                Submitted::Queued(done, committed) => {
                    return done.await.unwrap_or(Err(CommitError::Unknown)).map(|()| committed);
                }
                // Whatever came of it, it is settled.
                Submitted::Blocked(done) => drop(done.await),
            }
        }
    }

    /// Queues work other than a transaction, and waits until it is done.
    pub async fn run(&self, work: Work) -> Result<(), CommitError> {
        let done = {
            let mut state = self.open_state()?;
            state.closed = matches!(work, Work::Close);
            state.push(work)
        };
        self.queued.notify_one();
        done.await.unwrap_or(Err(CommitError::Unknown))
    }

    /// Closes without waiting.
    pub fn close(&self) {
        if let Ok(mut state) = self.open_state() {
            state.closed = true;
            drop(state.push(Work::Close));
        }
        self.queued.notify_one();
    }

    /// The next items for the writer, as many as fit in `bytes_max`, at least one; waits for them.
    pub async fn next(&self, bytes_max: usize) -> Vec<Item> {
        loop {
            let items = self.state().take(bytes_max);
            if !items.is_empty() {
                return items;
            }
            self.queued.notified().await;
        }
    }

    /// `items` are durable: makes them visible and answers.
    pub fn settle(&self, items: Vec<Item>) {
        let (mut entries, mut waiting) = (Vec::with_capacity(items.len()), Vec::with_capacity(items.len()));
        for item in items {
            match item.work {
                Work::Entry(entry) => entries.push(entry),
                Work::Compact(upto) => self.memory.compact(upto),
                Work::Keep(_) | Work::Floor | Work::Close | Work::Settle => {}
            }
            waiting.push(item.done);
        }
        self.memory.publish(&entries);
        {
            let mut state = self.state();
            for entry in &entries {
                for op in &entry.ops {
                    if state.pending.get(&*op.key).is_some_and(|pending| pending.revision == entry.revision) {
                        state.pending.remove(&*op.key);
                    }
                }
            }
        }
        answer(waiting, &Ok(()));
    }

    /// There was no room for `items`, and nothing was written: takes them back, and with them all that was given
    /// a revision since.
    pub fn revoke(&self, items: Vec<Item>) {
        let mut waiting: Vec<_> = items.into_iter().map(|item| item.done).collect();
        {
            let mut state = self.state();
            state.pending.clear();
            state.last = self.memory.revision();
            let queue = std::mem::take(&mut state.queue);
            for item in queue {
                match item.work {
                    Work::Entry(_) | Work::Keep(_) => waiting.push(item.done),
                    _ => state.queue.push_back(item),
                }
            }
        }
        answer(waiting, &Err(CommitError::Full));
        self.refused.notify_one();
    }

    /// Whether puts are refused from now on, because the disk is full.
    pub fn set_full(&self, full: bool) {
        self.state().full = full;
    }

    /// Whether puts are refused because the disk is full.
    pub fn is_full(&self) -> bool {
        self.state().full
    }

    /// Stops for good. `in_flight` may be durable or not; what is queued is not.
    pub fn stop(&self, reason: &str, in_flight: Vec<Item>) {
        let queue = {
            let mut state = self.state();
            state.closed = true;
            self.stopped.send_if_modified(|stopped| {
                let first = stopped.is_none();
                stopped.get_or_insert_with(|| reason.to_owned());
                first
            });
            std::mem::take(&mut state.queue)
        };
        answer(in_flight.into_iter().map(|item| item.done), &Err(CommitError::Unknown));
        answer(queue.into_iter().map(|item| item.done), &Err(self.unavailable()));
    }

    /// Returns why it stopped, when it does.
    pub async fn stopped(&self) -> String {
        let mut stopped = self.stopped.subscribe();
        let reason = stopped.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
        reason.unwrap_or_default()
    }

    fn submit(&self, txn: &Txn) -> Result<Submitted, CommitError> {
        let submitted = {
            let mut state = self.open_state()?;
            if state.full && !txn.0.iter().all(Write::is_reserved) {
                self.refused.notify_one();
                return Err(CommitError::Full);
            }
            match state.check(&self.memory, txn) {
                Ok(currents) => state.accept(txn, currents),
                Err((_, true)) => Submitted::Blocked(state.push(Work::Settle)),
                Err((conflict, false)) => return Err(conflict),
            }
        };
        self.queued.notify_one();
        Ok(submitted)
    }

    fn unavailable(&self) -> CommitError {
        let reason = self.stopped.borrow().clone();
        CommitError::Unavailable { reason: reason.unwrap_or_else(|| "it is being closed".to_owned()) }
    }

    /// The state, if anything is still taken.
    fn open_state(&self) -> Result<MutexGuard<'_, State>, CommitError> {
        // A panic may have left it half changed.
        let state =
            self.state.lock().map_err(|_| CommitError::Unavailable { reason: "it panicked".to_owned() })?;
        if state.closed { Err(self.unavailable()) } else { Ok(state) }
    }

    /// The state, to settle and to stop.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    /// What is there now for each write, or the conflict and whether it is with something pending.
    fn check(&self, memory: &Memory, txn: &Txn) -> Result<Vec<Option<Object>>, (CommitError, bool)> {
        let check = |write: &Write| {
            let key = write.key();
            let pending = self.pending.get(&**key);
            let current = pending.map_or_else(|| memory.get(key), |pending| pending.object.clone());
            let missing = matches!(write, Write::Delete { .. }) && current.is_none();
            if missing || !write.expect().holds(current.as_ref().map(Object::revision)) {
                return Err((CommitError::Conflict { key: key.clone(), current }, pending.is_some()));
            }
            Ok(current)
        };
        txn.0.iter().map(check).collect()
    }

    /// Gives `txn` its revision. `currents` is what [`State::check`] found.
    fn accept(&mut self, txn: &Txn, currents: Vec<Option<Object>>) -> Submitted {
        self.last += 1;
        let revision = self.last;
        let mut entry = Entry { revision, ops: Vec::with_capacity(txn.0.len()) };
        let mut objects = Vec::with_capacity(txn.0.len());
        for (write, current) in txn.0.iter().zip(currents) {
            let (object, kind) = match (write, current) {
                (Write::Put { value, .. }, _) => (Object::new(value.at(revision), revision), OpKind::Put),
                (Write::Delete { last: Some(last), .. }, _) => {
                    (Object::new(last.at(revision), revision), OpKind::DeleteAs)
                }
                (Write::Delete { last: None, .. }, Some(current)) => {
                    (last_body(&current, revision), OpKind::Delete)
                }
                (Write::Delete { last: None, .. }, None) => unreachable!("checked: a delete needs an object"),
            };
            let now = (kind == OpKind::Put).then(|| object.clone());
            self.pending.insert(write.key().clone(), Pending { revision, object: now });
            objects.push(object.clone());
            entry.ops.push(Op { key: write.key().clone(), object, kind });
        }
        Submitted::Queued(self.push(Work::Entry(entry)), Committed { revision, objects })
    }

    fn push(&mut self, work: Work) -> Done {
        let (done, receiver) = oneshot::channel();
        let bytes = work.bytes();
        self.queue.push_back(Item { work, bytes, done });
        receiver
    }

    fn take(&mut self, bytes_max: usize) -> Vec<Item> {
        let mut bytes = 0;
        let fits = |item: &Item| {
            bytes += item.bytes;
            bytes <= bytes_max
        };
        let count = self.queue.iter().map(fits).take_while(|fits| *fits).count();
        self.queue.drain(..count.max(1).min(self.queue.len())).collect()
    }
}

// === impl Work ===

impl Work {
    fn bytes(&self) -> usize {
        let record_bytes = |key: &Key, value_len: usize| op_bytes(key.len(), value_len) + SEAL_BYTES;
        match self {
            Work::Entry(entry) => {
                entry.ops.iter().map(|op| record_bytes(&op.key, op.object.body().len())).sum()
            }
            Work::Keep(kept) => kept.iter().map(|kept| record_bytes(&kept.key, kept.sealed.len())).sum(),
            Work::Compact(_) | Work::Floor | Work::Close => op_bytes(0, 0),
            Work::Settle => 0,
        }
    }
}

/// Refuses what can never be committed.
fn check_shape(txn: &Txn, txn_bytes_max: usize) -> Result<(), CommitError> {
    let (bytes, limit_bytes) = (txn.bytes(), txn_bytes_max);
    if bytes > limit_bytes || txn.0.iter().any(|write| write.key().len() > usize::from(u16::MAX)) {
        return Err(CommitError::TooLarge { bytes, limit_bytes });
    }
    for (at, write) in txn.0.iter().enumerate() {
        let key = write.key();
        if txn.0[..at].iter().any(|other| other.key().resource() == key.resource()) {
            return Err(CommitError::Repeated { key: key.clone() });
        }
    }
    Ok(())
}

/// The last body of `current` when it is deleted at `revision`: the same but for its resourceVersion.
pub(crate) fn last_body(current: &Object, revision: Revision) -> Object {
    let body = current.body();
    let Some(field) = raw::find(body, &["metadata", "resourceVersion"]) else {
        return Object::new(body.clone(), revision);
    };
    // `field` is a part of `body`.
    let at = field.as_ptr() as usize - body.as_ptr() as usize;
    let (head, tail) = (&body[..at], &body[at + field.len()..]);
    Object::new([head, format!("\"{revision}\"").as_bytes(), tail].concat().into(), revision)
}

/// Answers all that wait. Who dropped its future has no answer to get.
fn answer(
    waiting: impl IntoIterator<Item = oneshot::Sender<Result<(), CommitError>>>,
    result: &Result<(), CommitError>,
) {
    for done in waiting {
        drop(done.send(result.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_body_carries_the_deletes_revision() {
        for (body, last) in [
            (
                r#"{"metadata":{"name":"a","resourceVersion":"7","uid":"u"}}"#,
                r#"{"metadata":{"name":"a","resourceVersion":"12","uid":"u"}}"#,
            ),
            (
                r#"{"metadata":{"resourceVersion":"7"},"x":1}"#,
                r#"{"metadata":{"resourceVersion":"12"},"x":1}"#,
            ),
            (r#"{"metadata":{}}"#, r#"{"metadata":{}}"#),
        ] {
            let object = last_body(&Object::new(body.into(), 7), 12);
            assert_eq!((&**object.body(), object.revision()), (last.as_bytes(), 12));
        }
    }
}
