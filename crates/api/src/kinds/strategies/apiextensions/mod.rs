//! The group `apiextensions.k8s.io`.

mod custom_resource_definition;
mod names;
mod schema;
mod structural;
mod validate;

pub use custom_resource_definition::{CLEANUP, CustomResourceDefinition, is_true, set_condition};
