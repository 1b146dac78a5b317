//! Selectors: which objects a list, watch or controller means.

pub mod field;
pub mod label;
mod parse;

pub use field::FieldSelector;
pub use label::LabelSelector;
