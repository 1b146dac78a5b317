//! The group `admissionregistration.k8s.io`.

mod policy;
mod validate;
mod webhooks;

pub use policy::{Policy, PolicyBinding};
pub use validate::client;
pub use webhooks::{MutatingWebhooks, ValidatingWebhooks};
