//! The container runtime, as seen over CRI v1: its messages, a client, and its events.

pub mod client;
pub mod events;
pub mod types;

pub use client::{Cri, CriError};
pub use events::{RuntimeEvent, watch_events};
