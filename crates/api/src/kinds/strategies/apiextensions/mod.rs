//! The group `apiextensions.k8s.io`.

mod custom_resource_definition;
mod names;
mod validate;

pub use custom_resource_definition::CustomResourceDefinition;
