//! The service proxy, in nftables: every node sends what is meant for a service to one of its endpoints.
//!
//! It watches services, endpoint slices and its own node, compiles each service into [`frontend::Frontend`]s (pure),
//! and tells the kernel of the elements that changed. One table holds a handful of maps for all services, and one
//! chain per number of endpoints, so that a change costs what changed and nothing grows with the number of services.
//!
//! **Architecture Invariant:** [`frontend`] and [`state`] are functions of their input; only [`run`] does anything.
#![forbid(unsafe_code)]

pub mod config;
pub mod conntrack;
pub mod endpoints;
pub mod frontend;
pub mod metrics;
pub mod run;
pub mod select;
pub mod service;
pub mod state;
pub mod table;
pub mod tracker;

#[cfg(test)]
mod tests;

pub use config::{NodePortAddresses, ProxyConfig};
pub use metrics::Metrics;
pub use run::{Kernel, Proxy, uninstall};
