//! Role and ClusterRole: what may be done.

use crate::Cause;
use crate::kinds::strategies::rules::{Causes, Place};
use crate::kinds::strategy::{Strategy, Verb};
use crate::names;
use crate::value::Value;

/// Role and ClusterRole: what may be done.
pub struct Role {
    /// Whether it is of a namespace.
    pub namespaced: bool,
}

impl Strategy for Role {
    fn allow_create_on_update(&self) -> bool {
        true
    }

    fn check_name(&self, name: &str) -> Vec<String> {
        names::path_segment(name)
    }

    fn validate(&self, new: &Value, _old: Option<&Value>, _verb: Verb) -> Vec<Cause> {
        let (role, mut out) = (Place::root(new), Vec::new());
        for rule in role.field("rules").items() {
            check_rule(&rule, self.namespaced, &mut out);
        }
        let aggregation = role.field("aggregationRule");
        if aggregation.is_set() {
            let selectors = aggregation.field("clusterRoleSelectors");
            if selectors.list().is_empty() {
                let detail = "at least one clusterRoleSelector required if aggregationRule is non-nil";
                out.push(selectors.required(detail));
            }
            selectors.items().for_each(|selector| selector.label_selector(&mut out));
        }
        out
    }
}

fn check_rule(rule: &Place, namespaced: bool, out: &mut Causes) {
    let empty = |field: &str| rule.field(field).list().is_empty();
    if empty("verbs") {
        out.push(rule.field("verbs").required("verbs must contain at least one value"));
    }
    if !empty("nonResourceURLs") {
        let urls = rule.field("nonResourceURLs");
        if namespaced {
            out.push(urls.invalid("namespaced rules cannot apply to non-resource URLs"));
        }
        if !empty("apiGroups") || !empty("resources") || !empty("resourceNames") {
            out.push(urls.invalid("rules cannot apply to both regular resources and non-resource URLs"));
        }
        return;
    }
    if empty("apiGroups") {
        out.push(rule.field("apiGroups").required("resource rules must supply at least one api group"));
    }
    if empty("resources") {
        out.push(rule.field("resources").required("resource rules must supply at least one resource"));
    }
}
