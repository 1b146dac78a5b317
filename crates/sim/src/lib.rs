//! Simulated nodes, and a simulated cluster around them.
//!
//! [`nodes`] are kubelets without machines: they register, renew leases, and take pods to Running and away, against any
//! API server. [`cluster::Cluster`] is the real API server, store, scheduler and controllers with such nodes in one
//! process, on one thread, under paused time, from one seed; [`scenario`] tells it what to do in lines of text, and
//! [`seeds`] does that for many seeds, each twice.
//!
//! **Architecture Invariant:** one seed replays one run: nothing here asks the machine for time, chance or threads.
#![forbid(unsafe_code)]

#[cfg(feature = "cluster")]
pub mod cluster;
#[cfg(feature = "cluster")]
mod gate;
#[cfg(feature = "cluster")]
mod machine;
#[cfg(feature = "cluster")]
mod monitor;
pub mod nodes;
#[cfg(feature = "cluster")]
pub mod scenario;
#[cfg(feature = "cluster")]
pub mod seeds;
#[cfg(feature = "cluster")]
mod trace;

#[cfg(feature = "cluster")]
pub use cluster::Cluster;
pub use nodes::Nodes;
