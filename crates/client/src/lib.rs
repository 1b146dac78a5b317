//! One client of the Kubernetes API: in-process or remote, with shared informers and work queues.
//!
//! **Architecture Invariant:** every component but the API server reaches the cluster's state through this crate, and
//! cannot tell whether the server is in the same process.
#![forbid(unsafe_code)]

pub mod request;
pub mod transport;
pub mod typed;

pub use request::{List, Options, PatchType, Reply, Request, Verb, Watch, WatchEvent};
pub use transport::Transport;
pub use typed::{Client, Kind, decode};
