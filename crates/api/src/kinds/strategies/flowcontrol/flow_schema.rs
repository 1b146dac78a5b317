//! FlowSchema: which requests belong to which priority level.

use super::validate;
use crate::Cause;
use crate::kinds::strategies::checks;
use crate::kinds::strategies::fill::{fill_zero, part, restore_metadata};
use crate::kinds::strategies::rules::{Causes, Place};
use crate::kinds::strategy::{Strategy, Verb};
use crate::names;
use crate::value;
use crate::value::Value;

/// FlowSchema: which requests belong to which priority level.
pub struct FlowSchema;

const PRECEDENCE_MAX: i64 = 10_000;
const VERBS: [&str; 9] =
    ["create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];

impl Strategy for FlowSchema {
    fn default(&self, draft: &mut Value) {
        fill_zero(part(draft, "spec"), "matchingPrecedence", 1000);
    }

    fn prepare(&self, new: &mut Value, old: Option<&Value>, verb: Verb) {
        if let (Verb::UpdateSubresource("status"), Some(old)) = (verb, old) {
            restore_metadata(new, old);
        }
    }

    fn validate(&self, new: &Value, _old: Option<&Value>, verb: Verb) -> Vec<Cause> {
        let (schema, mut out) = (Place::root(new), Vec::new());
        if matches!(verb, Verb::UpdateSubresource(_)) {
            validate::conditions(&schema, &mut out);
            return out;
        }
        let name = new.str_at(&["metadata", "name"]).unwrap_or_default();
        let spec = schema.field("spec");
        check(&spec, name, &mut out);
        if mandatory(name).is_some_and(|wanted| wanted != *spec.value) {
            out.push(spec.invalid(&format!("spec of '{name}' must equal the fixed value")));
        }
        out
    }

    fn check_name(&self, name: &str) -> Vec<String> {
        names::path_segment(name)
    }
}

/// The specs without which the server would not work.
fn mandatory(name: &str) -> Option<Value> {
    let everything = |groups: &[&str]| -> Value {
        let subjects: Vec<Value> =
            groups.iter().map(|group| value!({"kind": "Group", "group": {"name": *group}})).collect();
        let mut rule = value!({
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": true,
                "namespaces": ["*"]}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}]});
        rule.set_at(&["subjects"], subjects);
        vec![rule].into()
    };
    let mut spec = match name {
        "exempt" => value!({"priorityLevelConfiguration": {"name": "exempt"}, "matchingPrecedence": 1}),
        "catch-all" => {
            value!({"priorityLevelConfiguration": {"name": "catch-all"}, "matchingPrecedence": 10000,
            "distinguisherMethod": {"type": "ByUser"}})
        }
        _ => return None,
    };
    let groups: &[&str] = match name {
        "exempt" => &["system:masters"],
        _ => &["system:unauthenticated", "system:authenticated"],
    };
    spec.set_at(&["rules"], everything(groups));
    Some(spec)
}

fn check(spec: &Place, name: &str, out: &mut Causes) {
    let precedence = spec.field("matchingPrecedence");
    if precedence.int() <= 0 {
        out.push(precedence.invalid_as(precedence.int(), "must be a positive value"));
    }
    if precedence.int() > PRECEDENCE_MAX {
        out.push(precedence.invalid(&format!("must not be greater than {PRECEDENCE_MAX}")));
    }
    if precedence.int() == 1 && name != "exempt" {
        out.push(precedence.invalid("only the schema named 'exempt' may have matchingPrecedence 1"));
    }
    let method = spec.field("distinguisherMethod");
    if method.is_set() {
        // Upstream shows the whole of it.
        const KINDS: [&str; 2] = ["ByNamespace", "ByUser"];
        let kind = method.field("type");
        if !KINDS.contains(&kind.text()) {
            let shown = value!({"Type": kind.text()});
            out.push(Cause::not_supported_value(kind.path(), &shown, &KINDS));
        }
    }
    let level = spec.field("priorityLevelConfiguration");
    let level = level.field("name");
    if level.text().is_empty() {
        out.push(level.required("must reference a priority level"));
    }
    level.check_if_set(names::subdomain, out);
    for rule in spec.field("rules").items() {
        let subjects = rule.field("subjects");
        if subjects.list().is_empty() {
            out.push(subjects.required("subjects must contain at least one value"));
        }
        subjects.items().for_each(|subject| check_subject(&subject, out));
        let (resources, paths) = (rule.field("resourceRules"), rule.field("nonResourceRules"));
        if resources.list().is_empty() && paths.list().is_empty() {
            let detail = "at least one of resourceRules and nonResourceRules has to be non-empty";
            out.push(rule.required(detail));
        }
        resources.items().for_each(|rule| check_resources(&rule, out));
        paths.items().for_each(|rule| check_paths(&rule, out));
    }
}

fn check_subject(subject: &Place, out: &mut Causes) {
    const KINDS: [(&str, &str); 3] =
        [("Group", "group"), ("ServiceAccount", "serviceAccount"), ("User", "user")];
    let kind = subject.field("kind");
    let Some((_, own)) = KINDS.iter().find(|(name, _)| *name == kind.text()) else {
        return out.push(kind.not_supported(&KINDS.map(|(name, _)| name)));
    };
    for (name, field) in KINDS {
        let part = subject.field(field);
        if field != *own && part.is_set() {
            out.push(part.forbidden(&format!("{field} is forbidden when subject kind is not '{name}'")));
        } else if field == *own && !part.is_set() {
            out.push(part.required(&format!("{field} is required when subject kind is '{name}'")));
        }
    }
    let part = subject.field(own);
    if !part.is_set() {
        return;
    }
    let named = part.field("name").need(out);
    if kind.text() == "ServiceAccount" {
        if named && part.field("name").text() != "*" {
            part.field("name").check(names::subdomain, out);
        }
        let namespace = part.field("namespace");
        if namespace.text().is_empty() {
            out.push(namespace.required("must specify namespace for service account"));
        }
        namespace.check_if_set(names::label, out);
    }
}

/// Whether the list is `*`, which stands alone.
fn is_all(list: &Place, what: &str, out: &mut Causes) -> bool {
    let is_all = list.items().any(|item| item.text() == "*");
    if is_all && list.list().len() > 1 {
        out.push(list.invalid(&format!("if '*' is present, must not specify other {what}")));
    }
    is_all
}

fn check_verbs(verbs: &Place, out: &mut Causes) {
    if verbs.list().is_empty() {
        out.push(verbs.required("verbs must contain at least one value"));
    } else if !is_all(verbs, "verbs", out) && verbs.items().any(|verb| !VERBS.contains(&verb.text())) {
        let mut cause = verbs.not_supported(&VERBS);
        let shown = serde_json::to_string(verbs.value).unwrap_or_default();
        cause.message = cause.message.replacen("\"\"", &shown, 1);
        out.push(cause);
    }
}

fn check_resources(rule: &Place, out: &mut Causes) {
    check_verbs(&rule.field("verbs"), out);
    for (field, one, many) in
        [("apiGroups", "api group", "api groups"), ("resources", "resource", "resources")]
    {
        let list = rule.field(field);
        if list.list().is_empty() {
            out.push(list.required(&format!("resource rules must supply at least one {one}")));
        } else {
            is_all(&list, many, out);
        }
    }
    let namespaces = rule.field("namespaces");
    if namespaces.list().is_empty() && !rule.field("clusterScope").is_true() {
        let detail = "resource rules that are not cluster scoped must supply at least one namespace";
        out.push(namespaces.required(detail));
    } else if !is_all(&namespaces, "namespaces", out) {
        for namespace in namespaces.items() {
            for why in names::label(namespace.text()) {
                let detail = format!("each member of this list must be '*' or a DNS-1123 label; {why}");
                out.push(namespace.invalid(&detail));
            }
        }
    }
}

fn check_paths(rule: &Place, out: &mut Causes) {
    check_verbs(&rule.field("verbs"), out);
    let urls = rule.field("nonResourceURLs");
    if urls.list().is_empty() {
        out.push(urls.required("nonResourceURLs must contain at least one value"));
    } else if !is_all(&urls, "non-resource URLs", out) {
        urls.items().for_each(|url| url.check(checks::url_path, out));
    }
}
