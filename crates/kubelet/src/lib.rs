//! Runs the pods of one node over CRI, and tells the API how they are.
//!
//! The core of a pod is a pure function, [`pod::plan`]: what the pod should be, what the runtime has, what the probes
//! say and what has failed before, in; what to do next, out. Around it [`worker`] looks, executes and publishes, once
//! for each event of the runtime, each change in the API, each verdict of a probe and each timer that a plan asked
//! for; nothing is asked by the second.
//!
//! **Architecture Invariant:** a restart of this crate's process leaves every container running. What is known of
//! running containers is read back from their labels and annotations.
#![forbid(unsafe_code)]

pub mod admit;
pub mod archive;
pub mod certificate;
pub mod config;
pub mod containerd;
pub mod cri;
mod dispatch;
pub mod downward;
pub mod images;
mod kubelet;
pub mod logs;
pub mod node;
pub mod objects;
pub mod pause;
pub mod pod;
mod prepare;
pub mod probes;
pub mod pull;
pub mod quantity;
pub mod server;
pub mod source;
pub mod status;
pub mod volumes;
pub mod worker;
mod workers;

pub use config::{Config, Reserved, RuntimeChoice, ServerConfig};
pub use kubelet::Kubelet;
pub use prepare::{StartError, clean_up, remove_all_pods};
