//! CertificateSigningRequest: who wants a certificate (k8s.io/kubernetes/pkg/registry/certificates/certificates).

use crate::kinds::strategies::fill::{fill, has, restore};
use crate::kinds::strategy::{Strategy, Verb, Writer};
use crate::value::Value;

/// CertificateSigningRequest: who wants a certificate.
pub struct CertificateSigningRequest;

impl Strategy for CertificateSigningRequest {
    fn prepare(&self, new: &mut Value, old: Option<&Value>, verb: Verb) {
        match (verb, old) {
            (Verb::Update, Some(old)) => restore(new, old, &["spec"]),
            (Verb::UpdateSubresource("status"), Some(old)) => {
                ["Approved", "Denied"].into_iter().for_each(|kind| keep_conditions(new, old, kind));
            }
            (Verb::UpdateSubresource("approval"), Some(old)) => {
                let conditions = new.remove_at(&["status", "conditions"]);
                restore(new, old, &["status"]);
                match conditions {
                    Some(conditions) => new.set_at(&["status", "conditions"], conditions),
                    None => drop(new.remove_at(&["status", "conditions"])),
                }
            }
            _ => {}
        }
    }

    /// A request says who made it, and its conditions when they were set.
    fn stamp(&self, new: &mut Value, old: Option<&Value>, verb: Verb, by: Writer) {
        match (verb, old) {
            (Verb::Create, _) => {
                for field in ["username", "uid", "groups", "extra"] {
                    match by.user.get(field).filter(|value| !value.is_empty()) {
                        Some(value) => new.set_at(&["spec", field], value.clone()),
                        None => drop(new.remove_at(&["spec", field])),
                    }
                }
            }
            (Verb::UpdateSubresource(_), Some(old)) => stamp_conditions(new, old, by.now),
            _ => {}
        }
    }

    fn check_name(&self, _name: &str) -> Vec<String> {
        vec![]
    }
}

/// Only an approver touches these conditions.
fn keep_conditions(new: &mut Value, old: &Value, kind: &str) {
    let is_it = |condition: &&Value| condition.str_at(&["type"]) == Some(kind);
    let kept: Vec<Value> = old.list_at(&["status", "conditions"]).iter().filter(is_it).cloned().collect();
    let count = new.list_at(&["status", "conditions"]).iter().filter(is_it).count();
    if let (true, Some(Value::List(conditions))) =
        (count == kept.len(), new.at_mut(&["status", "conditions"]))
    {
        let slots = conditions.iter_mut().filter(|condition| condition.str_at(&["type"]) == Some(kind));
        slots.zip(kept).for_each(|(slot, kept)| *slot = kept);
    }
}

fn stamp_conditions(new: &mut Value, old: &Value, now: &str) {
    let Some(Value::List(conditions)) = new.at_mut(&["status", "conditions"]) else { return };
    for condition in conditions {
        fill(condition, "lastUpdateTime", now);
        let same = |before: &&Value| {
            has(before, "lastTransitionTime")
                && before.get("type") == condition.get("type")
                && before.get("status") == condition.get("status")
        };
        let before = old.list_at(&["status", "conditions"]).iter().find(same);
        let since = before.and_then(|before| before.get("lastTransitionTime")).cloned();
        fill(condition, "lastTransitionTime", since.unwrap_or_else(|| now.into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value;

    const NOW: &str = "2026-01-02T03:04:05Z";

    #[test]
    fn a_request_says_who_made_it() {
        let user = value!({"username": "system:node:a", "groups": ["system:nodes"]});
        let mut new = value!({"spec": {"username": "admin", "uid": "1", "request": "x"}});
        CertificateSigningRequest.stamp(&mut new, None, Verb::Create, Writer { user: &user, now: NOW });
        assert_eq!(
            new,
            value!({"spec": {"username": "system:node:a", "groups": ["system:nodes"], "request": "x"}})
        );
    }

    #[test]
    fn an_approval_reaches_only_conditions() {
        let old = value!({"spec": {}, "status": {"certificate": "c"}});
        let mut new = value!({"spec": {}, "status": {"certificate": "d", "conditions": [{"type": "Approved", "status": "True"}]}});
        let verb = Verb::UpdateSubresource("approval");
        CertificateSigningRequest.prepare(&mut new, Some(&old), verb);
        CertificateSigningRequest.stamp(&mut new, Some(&old), verb, Writer { user: &Value::Null, now: NOW });
        let want = value!([{"type": "Approved", "status": "True", "lastUpdateTime": NOW, "lastTransitionTime": NOW}]);
        assert_eq!(new.at(&["status", "conditions"]), Some(&want));
        assert_eq!(new.str_at(&["status", "certificate"]), Some("c"));
        let mut status =
            value!({"status": {"certificate": "d", "conditions": [{"type": "Approved", "status": "False"}]}});
        CertificateSigningRequest.prepare(&mut status, Some(&new), Verb::UpdateSubresource("status"));
        assert_eq!(status.at(&["status", "conditions"]), Some(&want));
    }
}
