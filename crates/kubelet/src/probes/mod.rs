//! Probes and hooks: whether containers live, are ready and have started, and what runs with their start and stop.

pub mod handler;
pub mod http;
mod prober;

pub use handler::{Handler, Outcome, Target};
pub use prober::Prober;
