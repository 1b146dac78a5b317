//! What a person meets: kubeconfig files, and a cluster brought up, down and away.
#![forbid(unsafe_code)]

pub mod kubeconfig;
pub mod token;
