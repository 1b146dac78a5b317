//! What a reader of an informer is told: for each key that has changed, what it was when the reader last looked and
//! what it is now.
//!
//! A slow reader costs one entry per key that has changed, however often it did. So a reader may see an object
//! deleted and created anew as one change between two UIDs, and not see one at all that came and went.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use decapod_api::Object;
use tokio::sync::Notify;

use super::ObjectKey;

/// What has become of one key.
#[derive(Clone, Debug)]
pub struct Change {
    /// Which.
    pub key: ObjectKey,
    /// What it was; `None` if it is new.
    pub old: Option<Object>,
    /// What it is; `None` if it is gone.
    pub new: Option<Object>,
}

/// The changes that one reader has not seen yet.
pub struct Changes(Arc<Subscriber>);

#[derive(Default)]
struct Subscriber {
    pending: Mutex<Pending>,
    wake: Notify,
}

#[derive(Default)]
struct Pending {
    order: VecDeque<ObjectKey>,
    changes: BTreeMap<ObjectKey, (Option<Object>, Option<Object>)>,
    ended: bool,
}

/// All readers of one informer.
#[derive(Default)]
pub(super) struct Subscribers(Vec<Weak<Subscriber>>);

// === impl Changes ===

impl Changes {
    /// The next change, in the order in which keys changed first; `None` when the informer's scope has ended.
    pub async fn next(&mut self) -> Option<Change> {
        loop {
            {
                let mut pending = self.0.lock();
                if let Some(change) = pending.pop() {
                    return Some(change);
                }
                if pending.ended {
                    return None;
                }
            }
            self.0.wake.notified().await;
        }
    }

    pub(super) fn push(&self, key: &ObjectKey, old: Option<Object>, new: Option<Object>) {
        self.0.push(key, old, new);
    }
}

// === impl Subscriber ===

impl Subscriber {
    fn lock(&self) -> std::sync::MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, key: &ObjectKey, old: Option<Object>, new: Option<Object>) {
        self.lock().push(key, old, new);
        self.wake.notify_one();
    }
}

// === impl Pending ===

impl Pending {
    fn push(&mut self, key: &ObjectKey, old: Option<Object>, new: Option<Object>) {
        match self.changes.get_mut(key) {
            Some((_, latest)) => *latest = new,
            None => {
                self.order.push_back(key.clone());
                self.changes.insert(key.clone(), (old, new));
            }
        }
    }

    fn pop(&mut self) -> Option<Change> {
        while let Some(key) = self.order.pop_front() {
            match self.changes.remove(&key) {
                // It came and went.
                Some((None, None)) | None => {}
                Some((old, new)) => return Some(Change { key, old, new }),
            }
        }
        None
    }
}

// === impl Subscribers ===

impl Subscribers {
    pub(super) fn add(&mut self) -> Changes {
        let subscriber = Arc::new(Subscriber::default());
        self.0.retain(|other| other.strong_count() > 0);
        self.0.push(Arc::downgrade(&subscriber));
        Changes(subscriber)
    }

    pub(super) fn push(&self, change: &Change) {
        for subscriber in self.0.iter().filter_map(Weak::upgrade) {
            subscriber.push(&change.key, change.old.clone(), change.new.clone());
        }
    }

    pub(super) fn end(&self) {
        for subscriber in self.0.iter().filter_map(Weak::upgrade) {
            subscriber.lock().ended = true;
            subscriber.wake.notify_one();
        }
    }
}
