//! The node itself: what the machine is, what the API is told of it, and that it lives.

mod keeper;
pub mod machine;
pub mod status;

pub use keeper::Keeper;
pub use machine::Machine;
pub use machine::own_ip;
