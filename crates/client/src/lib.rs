//! One client of the Kubernetes API: in-process or remote, with shared informers and work queues.
//!
//! **Architecture Invariant:** every component but the API server reaches the cluster's state through this crate, and
//! cannot tell whether the server is in the same process.
#![forbid(unsafe_code)]

pub mod backoff;
pub mod certified;
pub mod events;
pub mod informer;
pub mod kubeconfig;
pub mod labels;
pub mod queue;
pub mod remote;
pub mod request;
pub mod transport;
pub mod typed;

pub use certified::{CertifiedError, CertifiedFiles, certified_key};
pub use events::{EventType, Recorder, reference};
pub use informer::{Change, Changes, Indexer, Informer, ObjectInformer, ObjectKey, Selection};
pub use queue::Queue;
pub use remote::wire;
pub use remote::{Pin, PinError, Remote, RemoteConfig, RemoteError, pinned_authority};
pub use request::{List, Options, PatchType, Reply, Request, Verb, Watch, WatchEvent};
pub use transport::Transport;
pub use typed::{Client, Kind, decode};
