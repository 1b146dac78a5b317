//! RoleBinding and ClusterRoleBinding: who has a role.

use super::GROUP;
use crate::Cause;
use crate::kinds::strategies::fill::{each, fill, part};
use crate::kinds::strategies::rules::{Causes, Place};
use crate::kinds::strategy::{Strategy, Verb};
use crate::names;
use crate::value::Value;

/// RoleBinding and ClusterRoleBinding: who has a role.
pub struct RoleBinding {
    /// Whether it is of a namespace.
    pub namespaced: bool,
}

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

    fn validate(&self, new: &Value, old: Option<&Value>, _verb: Verb) -> Vec<Cause> {
        let (binding, mut out) = (Place::root(new), Vec::new());
        let role = binding.field("roleRef");
        role.field("apiGroup").one_of(&[GROUP], &mut out);
        let kinds: &[&str] = if self.namespaced { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
        role.field("kind").one_of(kinds, &mut out);
        role.field("name").need_checked(names::path_segment, &mut out);
        for subject in binding.field("subjects").items() {
            check_subject(&subject, self.namespaced, &mut out);
        }
        if old.is_some_and(|old| old.get("roleRef") != new.get("roleRef")) {
            out.push(role.invalid("cannot change roleRef"));
        }
        out
    }
}

fn check_subject(subject: &Place, namespaced: bool, out: &mut Causes) {
    let (name, group) = (subject.field("name"), subject.field("apiGroup"));
    name.need(out);
    match subject.field("kind").text() {
        "ServiceAccount" => {
            name.check_if_set(names::subdomain, out);
            group.one_of(&[""], out);
            if !namespaced {
                subject.field("namespace").need(out);
            }
        }
        "User" | "Group" => group.one_of(&[GROUP], out),
        _ => out.push(subject.field("kind").not_supported(&["ServiceAccount", "User", "Group"])),
    }
}
