//! What a store must be, in the simplest words: every state it ever had, by revision.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use decapod_api::{Object, Revision};
use decapod_store::{Change, CommitError, Compacted, Event, Expect, Txn, Write};

/// An object: its body, which carries its revision.
pub type Body = (Revision, Bytes);
/// All objects.
pub type State = BTreeMap<String, Body>;

/// All states, by revision.
#[derive(Clone)]
pub struct Model {
    states: Vec<Arc<State>>,
    events: Vec<Vec<Expected>>,
}

/// An event that a watch must deliver.
#[derive(Clone, Debug, PartialEq)]
pub struct Expected {
    pub key: String,
    pub change: Change,
    pub object: Body,
    pub prev: Option<Body>,
    pub revision: Revision,
}

/// Something that a client saw.
pub enum Seen {
    /// A read of one key while the store was at `revision`.
    Get { key: String, revision: Revision, body: Option<Body> },
    /// A list.
    List { prefix: String, revision: Revision, bodies: Vec<(String, Body)> },
    /// A commit that was refused between two revisions.
    Conflict { txn: Txn, key: String, current: Option<Body>, from: Revision, to: Revision },
    /// All that a watch delivered.
    Watch { prefix: String, after: Revision, progress: Revision, events: Vec<Arc<Event>> },
    /// A revision that is said to be forgotten.
    Gone { error: Compacted, to: Revision },
}

pub fn body(object: &Object) -> Body {
    (object.revision(), object.body().clone())
}

impl Model {
    /// An empty store.
    pub fn new() -> Model {
        Model { states: vec![Arc::default(); 2], events: vec![Vec::new(); 2] }
    }

    pub fn revision(&self) -> Revision {
        self.states.len() as Revision - 1
    }

    pub fn state(&self) -> &State {
        &self.states[self.revision() as usize]
    }

    /// Does `txn` at the next revision; false if it may not happen now.
    pub fn apply(&mut self, txn: &Txn) -> bool {
        let revision = self.revision() + 1;
        let (mut state, mut events) = ((**self.states.last().expect("one")).clone(), Vec::new());
        for write in &txn.0 {
            let key = write.key().to_string();
            let prev = state.get(&key).cloned();
            if refuses(write, prev.as_ref().map(|prev| prev.0)) {
                return false;
            }
            let (change, object) = match (write, &prev) {
                (Write::Put { value, .. }, prev) => {
                    let object = (revision, value.at(revision));
                    state.insert(key.clone(), object.clone());
                    (Change::Put { created: prev.is_none() }, object)
                }
                (Write::Delete { last, .. }, Some(prev)) => {
                    state.remove(&key);
                    let shown = last.as_ref().map(|last| last.at(revision));
                    (Change::Delete, (revision, shown.unwrap_or_else(|| renumbered(prev, revision))))
                }
                (Write::Delete { .. }, None) => return false,
            };
            events.push(Expected { key, change, object, prev, revision });
        }
        self.states.push(Arc::new(state));
        self.events.push(events);
        true
    }

    /// Finds an order of some of `unknown` that leads to what was recovered, and does it.
    pub fn settle(&mut self, unknown: &[Txn], revision: Revision, recovered: &State) {
        assert!(
            revision >= self.revision(),
            "acknowledged revisions are lost: {revision} of {}",
            self.revision()
        );
        let found = self.search(unknown, revision, recovered);
        *self = found.unwrap_or_else(|| {
            panic!(
                "no order of {} unknown writes leads from {} to {revision}: {:?} became {recovered:?}",
                unknown.len(),
                self.revision(),
                self.state()
            )
        });
    }

    fn search(&self, unknown: &[Txn], revision: Revision, recovered: &State) -> Option<Model> {
        if self.revision() == revision {
            return (self.state() == recovered).then(|| self.clone());
        }
        (0..unknown.len()).find_map(|at| {
            let mut next = self.clone();
            let mut rest = unknown.to_vec();
            let txn = rest.remove(at);
            if next.apply(&txn) { next.search(&rest, revision, recovered) } else { None }
        })
    }

    /// Checks what a client saw against what was.
    pub fn check(&self, seen: &Seen) {
        match seen {
            Seen::Get { key, revision, body } => {
                assert_eq!(
                    self.states[*revision as usize].get(key),
                    body.as_ref(),
                    "get {key} at {revision}"
                );
            }
            Seen::List { prefix, revision, bodies } => {
                let state = &self.states[*revision as usize];
                let expected: Vec<_> = state
                    .iter()
                    .filter(|(key, _)| key.starts_with(prefix))
                    .map(|(key, body)| (key.clone(), body.clone()))
                    .collect();
                assert_eq!(&expected, bodies, "list {prefix} at {revision}");
            }
            Seen::Conflict { txn, key, current, from, to } => {
                let write =
                    txn.0.iter().find(|write| &**write.key() == key).expect("a key of the transaction");
                assert!(refuses(write, current.as_ref().map(|current| current.0)), "{key} was no conflict");
                let was = (*from..=*to).any(|at| self.states[at as usize].get(key) == current.as_ref());
                assert!(was, "{key} was never {current:?} between {from} and {to}");
            }
            Seen::Watch { prefix, after, progress, events } => {
                self.check_watch(prefix, *after, *progress, events)
            }
            Seen::Gone { error, to } => {
                assert!(error.asked < error.oldest && error.oldest <= *to, "{error} at {to}");
            }
        }
    }

    /// Ordered, unique, reliable, with the right previous objects.
    fn check_watch(&self, prefix: &str, after: Revision, progress: Revision, events: &[Arc<Event>]) {
        let expected: Vec<&Expected> = self
            .events
            .iter()
            .flatten()
            .filter(|event| {
                event.revision > after && event.revision <= progress && event.key.starts_with(prefix)
            })
            .collect();
        for (event, expected) in events.iter().zip(&expected) {
            let got = Expected {
                key: event.key.to_string(),
                change: event.change,
                object: body(&event.object),
                prev: event.prev.as_ref().map(body),
                revision: event.revision,
            };
            assert_eq!(&&got, expected, "watch {prefix} after {after}");
        }
        assert_eq!(events.len(), expected.len(), "watch {prefix} after {after} up to {progress}");
    }
}

fn refuses(write: &Write, current: Option<Revision>) -> bool {
    match (write, write.expect()) {
        (Write::Delete { .. }, _) if current.is_none() => true,
        (_, Expect::Any) => false,
        (_, Expect::Absent) => current.is_some(),
        (_, Expect::Exists) => current.is_none(),
        (_, Expect::Revision(revision)) => current != Some(revision),
    }
}

/// The body with another resourceVersion, by plain text.
fn renumbered((old, body): &Body, revision: Revision) -> Bytes {
    let text = String::from_utf8(body.to_vec()).expect("text");
    let (old, new) =
        (format!("\"resourceVersion\":\"{old}\""), format!("\"resourceVersion\":\"{revision}\""));
    text.replacen(&old, &new, 1).into()
}

/// Whether the outcome of a commit is open.
pub fn is_unknown(error: &CommitError) -> bool {
    matches!(error, CommitError::Unknown)
}
