//! The store: a durable log and one memory over it, with etcd's semantics.
//!
//! One global revision; compare-and-set transactions; consistent snapshots of a resource; watches from a revision;
//! compaction. [`Store`] is all that others use; keys are upstream's (`/registry/pods/default/web`).
//!
//! ```text
//!  commit ─▶ sequencer ─▶ transform ─▶ log ─▶ disk      one append and one fdatasync for all that wait
//!            (checks, gives the revision)        │
//!  get, snapshot, watch ◀── cache ◀── publish ◀──┘      only what is durable, in the order of revisions
//! ```
//!
//! **Architecture Invariant:** a commit is answered when it is on disk, and nobody sees it before.
#![forbid(unsafe_code)]

mod cache;
mod config;
pub mod disk;
mod event;
mod key;
mod log;
mod store;
mod transform;
mod txn;

pub use cache::cursor::Cursor;
pub use cache::snapshot::{At, Compacted, ReadError, Snapshot};
pub use config::{Config, Place};
pub use event::{Change, Event};
pub use key::{Key, resource_of};
pub use log::OpenError;
pub use store::{Stats, Store};
pub use transform::{OpenBodyError, Plain, Transform};
pub use txn::{CommitError, Committed, Expect, Txn, Write};
