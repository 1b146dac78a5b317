//! The Kubernetes API server: a visible chain of layers ([`http::chain`]) over one registry of resources.
//!
//! **Architecture Invariant:** there is no handler per kind. A request is resolved to a row of data
//! ([`decapod_api::kinds::Resource`]), and every kind takes the same path through [`registry`].
#![forbid(unsafe_code)]

pub mod admission;
pub mod aggregation;
pub mod authn;
pub mod authz;
mod bootstrap;
mod connect;
mod discovery;
pub mod http;
pub mod identity;
mod impersonate;
mod metrics;
mod openapi;
mod paths;
pub mod pki;
pub mod registry;
pub mod server;
mod table;

pub use server::{Config, Server, StartError};
