//! The kernel and the process's surroundings, each behind a seam that a test can replace.
//!
//! **Architecture Invariant:** the only crate with `unsafe`, and the only one that asks the machine for the time,
//! for randomness, for a task or for a thread.

pub mod cgroup;
pub mod conntrack;
pub mod env;
pub mod module;
pub mod mount;
pub mod netlink;
pub mod netns;
pub mod nftables;
pub mod planted;
pub mod process;
pub mod sysctl;
pub mod tcp;
pub mod watch;

pub use env::Env;
