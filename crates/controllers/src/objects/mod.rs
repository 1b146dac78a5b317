//! What controllers read of objects, and the rules that several of them share. Pure.
//!
//! Objects of which there are many are read through views, which decode only the fields that some controller looks
//! at; the few that are written back whole are `k8s-openapi`'s.

pub mod hash;
pub mod intstr;
pub use decapod_client::labels;
pub mod meta;
pub mod node;
pub mod owner;
pub mod pod;
pub mod protection;
pub mod revision;
pub mod service;
pub mod status;
pub mod template;
pub mod time;

pub use meta::Meta;
pub use node::Node;
pub use pod::Pod;
