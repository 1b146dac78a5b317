//! The control loops that bring the cluster to what its objects say.
//!
//! One folder per controller, of the same shape: `mod.rs` says what it watches, `reconcile.rs` decides, `tests.rs`
//! checks the decisions. All of them run on the one [`runtime`].
//!
//! **Architecture Invariant:** a decision is a function of the objects and the time, without IO; it may be made
//! again after a crash between any two of its writes, and then goes on where it was.
#![forbid(unsafe_code)]

pub mod certificates;
pub mod clusterdns;
pub mod clusterroleaggregation;
pub mod cronjob;
pub mod csrapproving;
pub mod csrcleaner;
pub mod csrsigning;
pub mod daemonset;
pub mod deployment;
pub mod discovery;
pub mod disruption;
pub mod endpoints;
pub mod endpointslice;
pub mod endpointslicemirroring;
pub mod ephemeralvolume;
pub mod garbagecollector;
pub mod job;
pub mod namespace;
pub mod nodeipam;
pub mod nodelifecycle;
pub mod objects;
pub mod podgc;
pub mod pvcprotection;
pub mod pvprotection;
pub mod replicaset;
pub mod resourcequota;
pub mod resources;
pub mod rootca;
pub mod runtime;
pub mod serviceaccount;
mod start;
pub mod statefulset;
pub mod tainteviction;
#[cfg(test)]
mod testing;
pub mod ttl;
pub mod ttlafterfinished;
pub mod vacprotection;
pub mod volumebinder;
mod wiring;

pub use resources::{ApiResource, Resources, undiscovered};
pub use start::{Config, ConfigError, Controllers, ENDED_PODS_MAX, SHARED_INFORMERS};
pub use wiring::Wiring;
