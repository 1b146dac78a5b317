//! Role and ClusterRole: what may be done.

use crate::kinds::strategy::Strategy;
use crate::names;

/// Role and ClusterRole: what may be done.
pub struct Role;

impl Strategy for Role {
    fn allow_create_on_update(&self) -> bool {
        true
    }

    fn check_name(&self, name: &str) -> Vec<String> {
        names::path_segment(name)
    }
}
