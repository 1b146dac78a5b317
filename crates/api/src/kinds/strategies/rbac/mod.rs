//! The group `rbac.authorization.k8s.io`.

mod role;
mod role_binding;

pub use role::Role;
pub use role_binding::RoleBinding;

/// The group itself.
const GROUP: &str = "rbac.authorization.k8s.io";
