//! The scheduler: gives pods their nodes.
//!
//! **Architecture Invariant:** everything that decides is a function of what it is given ([`core::Core`]): no clock, no
//! IO, and chance is handed in. [`Scheduler`] is the thin loop around it: informers in, bindings and events out.
//!
//! Extension points, plugin names, weights, order and messages are those of kube-scheduler v1.36. Decisions are
//! upstream's up to ties, but for one thing: every node is filtered and scored, never a sample of them.
#![forbid(unsafe_code)]

pub mod classes;
pub mod columns;
pub mod core;
pub mod decide;
pub mod diagnosis;
pub mod event;
pub mod framework;
pub mod labels;
pub mod node;
pub mod plugins;
pub mod pod;
pub mod preempt;
pub mod queue;
pub mod resources;
mod run;
pub mod snapshot;
pub mod storage;
#[cfg(test)]
mod tests;
pub mod topology;
pub mod workloads;

pub use run::{Config, Scheduler};
