//! What all controllers run on: informers and a queue in, plans carried out.
//!
//! A controller says which changes concern which of its keys, gathers a key's state from the informers and decides on
//! a [`Plan`]. The runtime reads what the plan needs to know for certain, asks again, carries the actions out, and
//! holds the key until the informers have seen its own writes, so that no decision is made twice. What fails is tried
//! again, ever more seldom.

mod controller;
mod execute;
mod informers;
mod monitors;
mod plan;
mod write;

pub use controller::{Builder, Reconcile};
pub use informers::Informers;
pub use monitors::Monitors;
pub use plan::{Action, Live, LiveRead, Note, Plan};
pub use write::Write;
