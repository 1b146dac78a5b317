//! NetworkPolicy: who may talk to a pod.

use crate::kinds::strategies::fill::{each, fill, fill_zero, part};
use crate::kinds::strategy::Strategy;
use crate::value::Value;

/// NetworkPolicy: who may talk to a pod.
pub struct NetworkPolicy;

impl Strategy for NetworkPolicy {
    fn default(&self, draft: &mut Value) {
        let spec = part(draft, "spec");
        let has_egress = !spec.list_at(&["egress"]).is_empty();
        let types: Vec<Value> =
            if has_egress { vec!["Ingress".into(), "Egress".into()] } else { vec!["Ingress".into()] };
        fill_zero(spec, "policyTypes", types);
        for rules in ["ingress", "egress"] {
            each(spec, rules, |rule| each(rule, "ports", |port| fill(port, "protocol", "TCP")));
        }
    }
}
