//! What the API is told of pods: computed from what the runtime has, written as patches.

pub mod conditions;
pub mod containers;
pub mod generate;
pub mod manager;
pub mod patch;
pub mod phase;
#[cfg(test)]
mod tests;

pub use generate::{Facts, generate};
pub use manager::Statuses;
