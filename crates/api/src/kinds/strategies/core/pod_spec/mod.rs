//! The specs of pods, wherever they are: in pods and in the templates of workloads.

pub mod defaults;
pub mod gated;
pub mod resources;
pub mod validate;
