//! The objects of one resource: a hash for point reads, a copy-on-write tree for ranges, and the history.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use decapod_api::{Object, Revision};
use tokio::sync::Notify;

use super::history::{History, Limits};
use super::snapshot::Compacted;
use crate::event::{Change, Event};
use crate::key::Key;

/// All objects of a resource in the order of their keys. A clone costs nothing and never changes.
pub(crate) type Tree = imbl::OrdMap<Key, Object>;

/// One resource.
pub(crate) struct Bucket {
    state: RwLock<State>,
    /// Told whenever the history has grown.
    pub changed: Notify,
    /// Trees of past revisions that were asked for lately: the pages of a chunked list ask for the same one.
    past: Mutex<VecDeque<(Revision, Tree)>>,
}

/// What the lock of a [`Bucket`] protects. It changes by whole transactions only.
pub(crate) struct State {
    /// Never iterated: its order is not reproducible.
    objects: HashMap<Key, Object>,
    tree: Tree,
    pub history: History,
    /// The revision of the newest change.
    newest: Revision,
}

/// How many past trees a resource keeps for those who ask again.
const PAST_TREES: usize = 4;

// === impl Bucket ===

impl Bucket {
    pub fn new(trimmed: Revision, limits: Limits) -> Bucket {
        let history = History::new(trimmed, limits);
        let state = State { objects: HashMap::new(), tree: Tree::new(), history, newest: 0 };
        Bucket { state: RwLock::new(state), changed: Notify::new(), past: Mutex::default() }
    }

    /// For a look. A panic elsewhere cannot leave a change half done, see [`State::put`].
    pub fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The objects as they are, and the newest revision they show.
    pub fn now(&self) -> (Tree, Revision) {
        let state = self.read();
        (state.tree.clone(), state.newest)
    }

    /// The objects as they were at `revision`: today's, with the events since undone.
    pub fn at(&self, revision: Revision) -> Result<Tree, Compacted> {
        let (mut tree, undo) = {
            let state = self.read();
            if revision < state.history.oldest() {
                return Err(Compacted { asked: revision, oldest: state.history.oldest() });
            }
            let known = self.past.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some((_, tree)) = known.into_iter().find(|(at, _)| *at == revision) {
                return Ok(tree);
            }
            (state.tree.clone(), state.history.newer(revision).cloned().collect::<Vec<_>>())
        };
        if undo.is_empty() {
            return Ok(tree);
        }
        for event in undo {
            match &event.prev {
                Some(prev) => tree.insert(event.key.clone(), prev.clone()),
                None => tree.remove(&*event.key),
            };
        }
        let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        past.push_front((revision, tree.clone()));
        past.truncate(PAST_TREES);
        Ok(tree)
    }

    /// Forgets history up to `upto`.
    pub fn trim(&self, upto: Revision) {
        loop {
            let forgotten = self.write().history.trim(upto);
            if forgotten.is_empty() {
                break;
            }
        }
        self.past.lock().unwrap_or_else(PoisonError::into_inner).retain(|(at, _)| *at >= upto);
    }
}

// === impl State ===

impl State {
    /// The object of `key`.
    pub fn get(&self, key: &str) -> Option<&Object> {
        self.objects.get(key)
    }

    /// Writes an object; returns what was there.
    pub fn put(&mut self, key: &Key, object: Object) -> Option<Object> {
        let (key, prev) = self.hold(key, object.clone());
        let (change, revision) = (Change::Put { created: prev.is_none() }, object.revision());
        self.happened(Event { change, key, object, prev: prev.clone(), revision });
        prev
    }

    /// Removes an object, leaving `last` to be shown; returns what was there.
    pub fn delete(&mut self, key: &Key, last: Object) -> Option<Object> {
        let prev = self.objects.remove(&**key);
        self.tree.remove(&**key);
        let (change, revision) = (Change::Delete, last.revision());
        self.happened(Event { change, key: key.clone(), object: last, prev: prev.clone(), revision });
        prev
    }

    /// Holds an object without an event; returns its key, which hash, tree and events share, and what was there.
    pub fn hold(&mut self, key: &Key, object: Object) -> (Key, Option<Object>) {
        match self.objects.entry(key.clone()) {
            Entry::Occupied(mut held) => {
                self.tree.insert(held.key().clone(), object.clone());
                let prev = held.insert(object);
                (held.key().clone(), Some(prev))
            }
            Entry::Vacant(room) => {
                self.tree.insert(key.clone(), object.clone());
                room.insert(object);
                (key.clone(), None)
            }
        }
    }

    /// The sequence number of the first event after `after`.
    pub fn seek(&self, after: Revision) -> Result<u64, Compacted> {
        self.history.seek(after)
    }

    fn happened(&mut self, event: Event) {
        self.newest = event.revision;
        self.history.push(Arc::new(event));
    }
}
