//! What a reconcile decides, and what it may ask for first.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use decapod_api::meta::GroupVersionResource;
use decapod_api::{Object, Status};
use decapod_client::{EventType, Kind};
use k8s_openapi::api::core::v1::ObjectReference;

use super::Write;

/// What is to be done for a key. The actions are carried out once all reads are answered, in order; the first that
/// fails ends the plan, and the key comes again.
#[derive(Debug, Default)]
pub struct Plan {
    /// What to do.
    pub actions: Vec<Action>,
    /// When to look at the key again, even if nothing changes.
    pub again_after: Option<Duration>,
    /// What has to be known from the server itself: if one of these is not answered yet, nothing is done but asking.
    pub reads: Vec<LiveRead>,
}

/// One step of a plan.
#[derive(Debug)]
pub enum Action {
    /// One request.
    Write(Box<Write>),
    /// Requests that do not depend on each other.
    Parallel(Vec<Write>),
    /// Requests of the same sort, one, two, four… at once: what is refused is refused few times.
    SlowStart(Vec<Write>),
    /// Word of what happened.
    Event(Note),
    /// To remove a folder of this machine, if it is there. A failure ends the plan as that of a request does.
    Remove(PathBuf),
}

/// Word of what happened, for an Event. `{name}` in the message stands for the name of the object that the write
/// answered with, `{error}` for why it failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    /// To which object.
    pub about: ObjectReference,
    /// Whether that is as it should be.
    pub kind: EventType,
    /// In one word.
    pub reason: &'static str,
    /// In a sentence.
    pub message: String,
}

/// A read from the server itself, past the informers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LiveRead {
    /// One object.
    Object {
        /// Of which resource.
        resource: GroupVersionResource,
        /// Empty for cluster-scoped objects.
        namespace: String,
        /// Its name.
        name: String,
        /// Which part of it; empty for the whole.
        subresource: &'static str,
    },
    /// All objects of a namespace. A resource that cannot be listed has none.
    List {
        /// Of which resource.
        resource: GroupVersionResource,
        /// Which namespace.
        namespace: String,
    },
    /// An opinion of the server's, such as a SubjectAccessReview: it is asked by creating an object that is not kept.
    Review {
        /// Of which resource.
        resource: GroupVersionResource,
        /// The question, in JSON.
        question: String,
    },
}

/// What is known beyond the gathered state.
#[derive(Debug, Default)]
pub struct Live {
    objects: BTreeMap<LiveRead, Option<Object>>,
    lists: BTreeMap<LiveRead, Vec<Object>>,
    /// Why the last plan for this key failed, if it did.
    pub failure: Option<Status>,
}

// === impl Plan ===

impl Plan {
    /// Nothing to do.
    pub fn nothing() -> Plan {
        Plan::default()
    }

    /// To do `actions`.
    pub fn of(actions: Vec<Action>) -> Plan {
        Plan { actions, ..Plan::default() }
    }

    /// To read first.
    pub fn ask(reads: Vec<LiveRead>) -> Plan {
        Plan { reads, ..Plan::default() }
    }

    /// Looks again after `delay`, or earlier if that was said before.
    pub fn again_after(&mut self, delay: Duration) {
        self.again_after = Some(self.again_after.map_or(delay, |earlier| earlier.min(delay)));
    }

    /// Adds a request.
    pub fn write(&mut self, write: Write) {
        self.actions.push(Action::from(write));
    }

    /// Adds word of what happened.
    pub fn note(&mut self, note: Note) {
        self.actions.push(Action::Event(note));
    }

    /// All requests, in order.
    pub fn writes(&self) -> impl Iterator<Item = &Write> {
        self.actions.iter().flat_map(|action| match action {
            Action::Write(write) => std::slice::from_ref(&**write),
            Action::Parallel(writes) | Action::SlowStart(writes) => writes,
            Action::Event(_) | Action::Remove(_) => &[],
        })
    }
}

// === impl Action ===

impl From<Write> for Action {
    fn from(write: Write) -> Action {
        Action::Write(Box::new(write))
    }
}

/// One line per action.
impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        for read in &self.reads {
            writeln!(f, "{read}")?;
        }
        for action in &self.actions {
            match action {
                Action::Write(write) => writeln!(f, "{write}")?,
                Action::Parallel(writes) | Action::SlowStart(writes) => {
                    writes.iter().try_for_each(|write| writeln!(f, "{write}"))?;
                }
                Action::Event(note) => writeln!(f, "{note}")?,
                Action::Remove(path) => writeln!(f, "remove {}", path.display())?,
            }
        }
        match self.again_after {
            Some(delay) => writeln!(f, "again after {delay:?}"),
            None => Ok(()),
        }
    }
}

// === impl Note ===

impl Note {
    /// A Normal event.
    pub fn normal(about: ObjectReference, reason: &'static str, message: impl Into<String>) -> Note {
        Note { about, kind: EventType::Normal, reason, message: message.into() }
    }

    /// A Warning.
    pub fn warning(about: ObjectReference, reason: &'static str, message: impl Into<String>) -> Note {
        Note { about, kind: EventType::Warning, reason, message: message.into() }
    }
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "event {} {}: {}", self.kind.as_str(), self.reason, self.message)
    }
}

// === impl LiveRead ===

impl LiveRead {
    /// To read an object of kind `K`.
    pub fn of<K: Kind>(namespace: &str, name: &str) -> LiveRead {
        LiveRead::object(K::resource(), namespace, name)
    }

    /// To read an object.
    pub fn object(resource: GroupVersionResource, namespace: &str, name: &str) -> LiveRead {
        LiveRead::part(resource, namespace, name, "")
    }

    /// To read a part of an object, such as its `scale`.
    pub fn part(
        resource: GroupVersionResource,
        namespace: &str,
        name: &str,
        subresource: &'static str,
    ) -> LiveRead {
        LiveRead::Object { resource, namespace: namespace.to_owned(), name: name.to_owned(), subresource }
    }

    /// To ask the server's opinion.
    pub fn review<K: Kind>(question: &K) -> LiveRead {
        let question =
            serde_json::to_string(question).expect("objects have text keys and encode into memory");
        LiveRead::Review { resource: K::resource(), question }
    }

    /// To list a namespace.
    pub fn list(resource: GroupVersionResource, namespace: &str) -> LiveRead {
        LiveRead::List { resource, namespace: namespace.to_owned() }
    }
}

impl std::fmt::Display for LiveRead {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            LiveRead::Object { resource, namespace, name, subresource } => {
                write!(f, "read {}", resource.group_resource())?;
                if !subresource.is_empty() {
                    write!(f, "/{subresource}")?;
                }
                f.write_str(" ")?;
                if !namespace.is_empty() {
                    write!(f, "{namespace}/")?;
                }
                f.write_str(name)
            }
            LiveRead::List { resource, namespace } => {
                write!(f, "list {} {namespace}", resource.group_resource())
            }
            LiveRead::Review { resource, .. } => write!(f, "ask for {}", resource.group_resource()),
        }
    }
}

// === impl Live ===

impl Live {
    /// What is known after the last plan failed as `failure` says, or did not.
    pub fn after(failure: Option<Status>) -> Live {
        Live { failure, ..Live::default() }
    }

    /// Whether `read` has been answered.
    pub fn has(&self, read: &LiveRead) -> bool {
        self.objects.contains_key(read) || self.lists.contains_key(read)
    }

    /// The object that was read: `None` if that has not been asked, `Some(None)` if there is none.
    pub fn object(&self, read: &LiveRead) -> Option<Option<&Object>> {
        self.objects.get(read).map(Option::as_ref)
    }

    /// The objects that were listed; `None` if that has not been asked.
    pub fn list(&self, read: &LiveRead) -> Option<&[Object]> {
        self.lists.get(read).map(Vec::as_slice)
    }

    /// Notes the answer to a read of one object.
    pub fn answer(&mut self, read: LiveRead, object: Option<Object>) {
        self.objects.insert(read, object);
    }

    /// Notes the answer to a list.
    pub fn answer_list(&mut self, read: LiveRead, objects: Vec<Object>) {
        self.lists.insert(read, objects);
    }
}
