//! What happened to one object in one commit.

use decapod_api::{Object, Revision};

use crate::key::Key;

/// What kind of change it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The object was written.
    Put {
        /// There was none before.
        created: bool,
    },
    /// The object was removed.
    Delete,
}

/// One change of one object.
#[derive(Clone, Debug)]
pub struct Event {
    /// What happened.
    pub change: Change,
    /// Where.
    pub key: Key,
    /// The new object; of a delete, the last one, carrying the delete's revision.
    pub object: Object,
    /// What was there before.
    pub prev: Option<Object>,
    /// When: the commit's revision.
    pub revision: Revision,
}
