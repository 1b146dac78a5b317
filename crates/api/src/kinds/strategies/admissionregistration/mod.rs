//! The group `admissionregistration.k8s.io`.

mod policy;
mod validate;
mod webhooks;

pub use policy::{Policy, PolicyBinding};
pub use webhooks::{MutatingWebhooks, ValidatingWebhooks};
