//! APIService: who serves a group and version.

use crate::Cause;
use crate::kinds::strategies::fill::{created_at, fill, part, restore_metadata, with};
use crate::kinds::strategies::rules::Place;
use crate::kinds::strategy::{Strategy, Verb};
use crate::names;
use crate::value;
use crate::value::Value;

/// APIService: who serves a group and version.
pub struct ApiService;

impl Strategy for ApiService {
    fn default(&self, draft: &mut Value) {
        with(part(draft, "spec"), "service", |service| fill(service, "port", 443));
    }

    fn prepare(&self, new: &mut Value, old: Option<&Value>, verb: Verb) {
        match (verb, old) {
            (Verb::Create, _) if new.at(&["spec", "service"]).is_none_or(Value::is_null) => {
                let mut available = value!({"type": "Available", "status": "True", "reason": "Local",
                    "message": "Local APIServices are always available"});
                available.set_at(&["lastTransitionTime"], created_at(new));
                new.set_at(&["status", "conditions"], vec![available]);
            }
            (Verb::UpdateSubresource("status"), Some(old)) => restore_metadata(new, old),
            _ => {}
        }
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }

    fn check_name(&self, name: &str) -> Vec<String> {
        names::path_segment(name)
    }

    fn validate(&self, new: &Value, _old: Option<&Value>, verb: Verb) -> Vec<Cause> {
        let (service, mut out) = (Place::root(new), Vec::new());
        if matches!(verb, Verb::UpdateSubresource(_)) {
            return out;
        }
        let (spec, metadata) = (service.field("spec"), service.field("metadata"));
        let (group, version) = (spec.field("group"), spec.field("version"));
        let wanted = format!("{}.{}", version.text(), group.text());
        if metadata.field("name").text() != wanted {
            let detail = format!("must be `spec.version+\".\"+spec.group`: {wanted:?}");
            out.push(metadata.field("name").invalid(&detail));
        }
        if group.text().is_empty() && version.text() != "v1" {
            out.push(group.required("only v1 may have an empty group and it better be legacy kube"));
        }
        group.check_if_set(names::subdomain, &mut out);
        version.check(names::label_1035, &mut out);
        for (field, max) in [("groupPriorityMinimum", 20000), ("versionPriority", 1000)] {
            let priority = spec.field(field);
            if priority.int() <= 0 || priority.int() > max {
                out.push(
                    priority.invalid_as(priority.int(), &format!("must be positive and less than {max}")),
                );
            }
        }
        let (server, insecure) = (spec.field("service"), spec.field("insecureSkipTLSVerify").is_true());
        if !server.is_set() {
            if !spec.field("caBundle").is_empty() {
                let detail = "local APIServices may not have a caBundle";
                out.push(
                    spec.field("caBundle")
                        .invalid_as(format!("{} bytes", spec.field("caBundle").text().len()), detail),
                );
            }
            if insecure {
                let detail = "local APIServices may not have insecureSkipTLSVerify";
                out.push(spec.field("insecureSkipTLSVerify").invalid(detail));
            }
            return out;
        }
        server.field("namespace").need(&mut out);
        server.field("name").need(&mut out);
        let port = server.field("port");
        if !(1..=65535).contains(&port.int()) {
            out.push(
                port.invalid_as(port.int(), "port is not valid: must be between 1 and 65535, inclusive"),
            );
        }
        if insecure && !spec.field("caBundle").is_empty() {
            out.push(spec.field("insecureSkipTLSVerify").invalid("may not be true if caBundle is present"));
        }
        out
    }
}
