//! CertificateSigningRequest: who wants a certificate (k8s.io/kubernetes/pkg/registry/certificates/certificates).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::Cause;
use crate::kinds::strategies::fill::{fill, has, restore};
use crate::kinds::strategies::rules::{Causes, Place, Seen};
use crate::kinds::strategy::{Strategy, Verb, Writer};
use crate::names;
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

    fn validate(&self, new: &Value, old: Option<&Value>, verb: Verb) -> Vec<Cause> {
        let (request, mut out) = (Place::root(new), Vec::new());
        let spec = request.field("spec");
        let usages = spec.field("usages");
        if !is_pem_request(spec.field("request").text()) {
            let detail = "PEM block type must be CERTIFICATE REQUEST";
            out.push(spec.field("request").invalid(detail));
        }
        if usages.list().is_empty() {
            out.push(usages.required(""));
        }
        usages.items().for_each(|usage| usage.one_of(&USAGES, &mut out));
        usages.unique_texts(&mut out);
        let signer = spec.field("signerName");
        if signer.text() == LEGACY_SIGNER {
            out.push(signer.invalid("the legacy signerName is not allowed via this API version"));
        } else {
            signer_name(&signer, &mut out);
        }
        let seconds = spec.field("expirationSeconds");
        if seconds.is_set() && seconds.int() < 600 {
            out.push(seconds.invalid("may not specify a duration less than 600 seconds (10 minutes)"));
        }
        let status = request.field("status");
        check_conditions(&status.field("conditions"), &mut out);
        if let Some(old) = old {
            changed(&status, old, verb, &mut out);
        }
        out
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

const LEGACY_SIGNER: &str = "kubernetes.io/legacy-unknown";
const USAGES: [&str; 23] = [
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

/// Whether the base64 text holds a PEM block of a request; what is in it, its signer reads.
fn is_pem_request(text: &str) -> bool {
    let bytes = STANDARD.decode(text).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    text.contains("-----BEGIN CERTIFICATE REQUEST-----") && text.contains("-----END CERTIFICATE REQUEST-----")
}

/// What keeps a certificate from being one (upstream's `validateCertificate`).
fn certificate_fault(text: &str) -> Option<String> {
    let bytes = STANDARD.decode(text).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let kinds = text.split("-----BEGIN ").skip(1).filter_map(|rest| rest.split("-----").next());
    let mut kinds = kinds.filter(|kind| text.contains(&format!("-----END {kind}-----"))).peekable();
    if kinds.peek().is_none() {
        return Some("must contain at least one CERTIFICATE PEM block".to_owned());
    }
    let other = kinds.find(|kind| *kind != "CERTIFICATE")?;
    Some(format!("only CERTIFICATE PEM blocks are allowed, found {other:?}"))
}

/// `domain/path` (upstream's `ValidateSignerName`).
fn signer_name(signer: &Place, out: &mut Causes) {
    if !signer.need(out) {
        return;
    }
    let segments: Vec<&str> = signer.text().split('/').collect();
    let [domain, path] = segments[..] else {
        return out.push(
            signer.invalid("must be a fully qualified domain and path of the form 'example.com/signer-name'"),
        );
    };
    let mut blame = |part: &str, parts: &str, reasons: fn(&str) -> Vec<String>| {
        if let Some(bad) = parts.split('.').find(|part| !reasons(part).is_empty()) {
            out.extend(
                reasons(bad)
                    .iter()
                    .map(|why| signer.invalid_as(part, &format!("validating label {bad:?}: {why}"))),
            );
        }
    };
    blame(domain, domain, names::label);
    blame(path, path, names::subdomain);
    if !domain.contains('.') {
        out.push(
            signer.invalid_as(domain, "should be a domain with at least two segments separated by dots"),
        );
    }
}

fn check_conditions(conditions: &Place, out: &mut Causes) {
    let mut seen = Seen::default();
    let mut verdicts: Vec<&str> = Vec::new();
    for condition in conditions.items() {
        let (kind, status) = (condition.field("type"), condition.field("status"));
        kind.need(out);
        let text = condition.value.str_at(&["type"]).unwrap_or_default();
        let allowed: &[&str] = if matches!(text, "Approved" | "Denied" | "Failed") {
            &["True"]
        } else {
            &["False", "True", "Unknown"]
        };
        status.need_one_of(allowed, out);
        if matches!(text, "Approved" | "Denied") {
            if verdicts.iter().any(|verdict| *verdict != text) {
                out.push(
                    conditions.invalid_as(text, "Approved and Denied conditions are mutually exclusive"),
                );
            }
            verdicts.push(text);
        }
        if seen.again(text) {
            out.push(kind.duplicate());
        }
    }
}

/// Only an approver decides, only a signer signs, and once.
fn changed(status: &Place, old: &Value, verb: Verb, out: &mut Causes) {
    let conditions = status.field("conditions");
    for kind in ["Approved", "Denied", "Failed"] {
        let of = |list: &[Value]| -> Vec<Value> {
            list.iter().filter(|condition| condition.str_at(&["type"]) == Some(kind)).cloned().collect()
        };
        let (now, was) = (of(conditions.list()), of(old.list_at(&["status", "conditions"])));
        let may_decide = kind == "Failed" || verb == Verb::UpdateSubresource("approval");
        if now.len() < was.len() {
            out.push(conditions.forbidden(&format!("updates may not remove a condition of type {kind:?}")));
        } else if !may_decide && now.len() > was.len() {
            out.push(conditions.forbidden(&format!("updates may not add a condition of type {kind:?}")));
        } else if !may_decide && now != was {
            out.push(conditions.forbidden(&format!("updates may not modify a condition of type {kind:?}")));
        }
    }
    let certificate = status.field("certificate");
    let was = old.str_at(&["status", "certificate"]).unwrap_or_default();
    if certificate.text() != was {
        if let Some(why) = certificate_fault(certificate.text()).filter(|_| !certificate.text().is_empty()) {
            out.push(certificate.invalid_as("<certificate data>", &why));
        }
        if verb != Verb::UpdateSubresource("status") {
            out.push(certificate.forbidden("updates may not set certificate content"));
        } else if !was.is_empty() {
            out.push(certificate.forbidden("updates may not modify existing certificate content"));
        }
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
