//! The patches: a change to a draft, in the forms that clients send.

pub mod json;
pub mod merge;
pub mod strategic;
