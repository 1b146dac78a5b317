//! RoleBinding and ClusterRoleBinding: who has a role.

use super::GROUP;
use crate::kinds::strategies::fill::{each, fill, part};
use crate::kinds::strategy::Strategy;
use crate::names;
use crate::value::Value;

/// RoleBinding and ClusterRoleBinding: who has a role.
pub struct RoleBinding;

impl Strategy for RoleBinding {
    fn default(&self, draft: &mut Value) {
        fill(part(draft, "roleRef"), "apiGroup", GROUP);
        each(draft, "subjects", |subject| {
            if matches!(subject.str_at(&["kind"]), Some("User" | "Group")) {
                fill(subject, "apiGroup", GROUP);
            }
        });
    }

    fn allow_create_on_update(&self) -> bool {
        true
    }

    fn check_name(&self, name: &str) -> Vec<String> {
        names::path_segment(name)
    }
}
