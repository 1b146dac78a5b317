//! Faults of webhooks (k8s.io/kubernetes/pkg/apis/admissionregistration/validation). Expressions in CEL are read by
//! whoever evaluates them.

use crate::kinds::strategies::checks;
use crate::kinds::strategies::rules::{Causes, Place, Seen};
use crate::names;

const OPERATIONS: [&str; 5] = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
const REVIEW_VERSIONS: [&str; 2] = ["v1", "v1beta1"];
const CONDITIONS_MAX: usize = 64;

/// The webhooks of a configuration.
pub fn webhooks(webhooks: &Place, out: &mut Causes) {
    let mut seen = Seen::default();
    for webhook in webhooks.items() {
        check(&webhook, out);
        let name = webhook.field("name");
        let text = webhook.value.str_at(&["name"]).unwrap_or_default();
        if !text.is_empty() && seen.again(text) {
            out.push(name.duplicate());
        }
    }
}

fn check(webhook: &Place, out: &mut Causes) {
    webhook.field("name").need_checked(checks::qualified_domain, out);
    webhook.field("rules").items().for_each(|rule| check_rule(&rule, out));
    webhook.field("failurePolicy").one_of_if_set(&["Fail", "Ignore"], out);
    webhook.field("matchPolicy").one_of_if_set(&["Equivalent", "Exact"], out);
    webhook.field("reinvocationPolicy").one_of_if_set(&["IfNeeded", "Never"], out);
    let effects = webhook.field("sideEffects");
    if effects.is_set() {
        effects.one_of(&["None", "NoneOnDryRun"], out);
    } else {
        out.push(effects.required("must specify one of None, NoneOnDryRun"));
    }
    let timeout = webhook.field("timeoutSeconds");
    if timeout.is_set() && !(1..=30).contains(&timeout.int()) {
        out.push(timeout.invalid("the timeout value must be between 1 and 30 seconds"));
    }
    webhook.field("namespaceSelector").label_selector(out);
    webhook.field("objectSelector").label_selector(out);
    client(&webhook.field("clientConfig"), out);
    conditions(&webhook.field("matchConditions"), out);
    review_versions(&webhook.field("admissionReviewVersions"), out);
}

/// What is asked for: operations on groups, versions and resources.
pub fn check_rule(rule: &Place, out: &mut Causes) {
    let operations = rule.field("operations");
    let has_all = |list: &Place| list.items().any(|item| item.text() == "*");
    if operations.list().is_empty() {
        out.push(operations.required(""));
    }
    if operations.list().len() > 1 && has_all(&operations) {
        out.push(operations.invalid("if '*' is present, must not specify other operations"));
    }
    operations.items().for_each(|operation| operation.one_of(&OPERATIONS, out));
    for (field, what) in [("apiGroups", "API groups"), ("apiVersions", "API versions")] {
        let list = rule.field(field);
        if list.list().is_empty() {
            out.push(list.required(""));
        }
        if list.list().len() > 1 && has_all(&list) {
            out.push(list.invalid(&format!("if '*' is present, must not specify other {what}")));
        }
    }
    for version in rule.field("apiVersions").items().filter(|version| version.text().is_empty()) {
        out.push(version.required(""));
    }
    resources(&rule.field("resources"), out);
    rule.field("scope").one_of_if_set(&["*", "Cluster", "Namespaced"], out);
}

fn resources(resources: &Place, out: &mut Causes) {
    if resources.list().is_empty() {
        out.push(resources.required(""));
    }
    let has = |wanted: &str| resources.items().any(|resource| resource.text() == wanted);
    for resource in resources.items() {
        let text = resource.text();
        if text.is_empty() {
            out.push(resource.required(""));
        }
        let Some((whole, sub)) = text.split_once('/') else { continue };
        if sub != "*" && has(&format!("{whole}/*")) {
            out.push(resource.invalid(&format!("if '{whole}/*' is present, must not specify {text}")));
        }
        if whole != "*" && has(&format!("*/{sub}")) {
            out.push(resource.invalid(&format!("if '*/{sub}' is present, must not specify {text}")));
        }
    }
    if resources.list().len() > 1 && has("*/*") {
        let detail = "if '*/*' is present, must not specify other resources";
        out.push(resources.invalid(detail));
    }
    let with_sub = resources.items().any(|resource| resource.text().contains('/'));
    if resources.list().len() > 1 && has("*") && !with_sub {
        let detail = "if '*' is present, must not specify other resources without subresources";
        out.push(resources.invalid(detail));
    }
}

/// Where a webhook is: exactly one of a URL and a service.
pub fn client(client: &Place, out: &mut Causes) {
    let (url, service) = (client.field("url"), client.field("service"));
    if url.is_set() == service.is_set() {
        return out.push(client.required("exactly one of url or service is required"));
    }
    if url.is_set() {
        check_url(&url, out);
    } else {
        check_service(&service, out);
    }
}

fn check_url(url: &Place, out: &mut Causes) {
    const FORM: &str = "; desired format: https://host[/path]";
    let (scheme, rest) = url.text().split_once("://").unwrap_or(("", url.text()));
    let (host, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if scheme != "https" {
        out.push(url.invalid_as(scheme, &format!("'https' is the only allowed URL scheme{FORM}")));
    }
    if host.is_empty() {
        out.push(url.invalid_as(host, &format!("host must be specified{FORM}")));
    }
    if host.contains('@') {
        let user = host.split('@').next().unwrap_or_default();
        out.push(url.invalid_as(user, "user information is not permitted in the URL"));
    }
    let (path, fragment) = rest.split_once('#').map_or((rest, ""), |(path, fragment)| (path, fragment));
    if !fragment.is_empty() {
        out.push(url.invalid_as(fragment, "fragments are not permitted in the URL"));
    }
    if let Some((_, query)) = path.split_once('?').filter(|(_, query)| !query.is_empty()) {
        out.push(url.invalid_as(query, "query parameters are not permitted in the URL"));
    }
}

/// A service that answers (k8s.io/apiserver/pkg/util/webhook, `ValidateWebhookService`).
pub fn check_service(service: &Place, out: &mut Causes) {
    for (field, detail) in
        [("name", "service name is required"), ("namespace", "service namespace is required")]
    {
        if service.field(field).text().is_empty() {
            out.push(service.field(field).required(detail));
        }
    }
    let port = service.field("port");
    if !(1..=65535).contains(&port.int()) {
        out.push(port.invalid("port is not valid: must be between 1 and 65535, inclusive"));
    }
    let path = service.field("path");
    let text = path.text();
    if text.is_empty() || text == "/" {
        return;
    }
    if text == "//" {
        return out.push(path.invalid("segment[0] may not be empty"));
    }
    if !text.starts_with('/') {
        out.push(path.invalid("must start with a '/'"));
    }
    let inner = text.char_indices().nth(1).map_or("", |(at, _)| &text[at..]);
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    for (i, segment) in inner.split('/').enumerate() {
        if segment.is_empty() {
            out.push(path.invalid(&format!("segment[{i}] may not be empty")));
            continue;
        }
        for why in names::subdomain(segment) {
            out.push(path.invalid(&format!("segment[{i}]: {why}")));
        }
    }
}

/// Conditions that a request has to meet.
pub fn conditions(conditions: &Place, out: &mut Causes) {
    if conditions.list().len() > CONDITIONS_MAX {
        out.push(conditions.too_many(CONDITIONS_MAX));
    }
    let mut seen = Seen::default();
    for condition in conditions.items() {
        let (name, expression) = (condition.field("name"), condition.field("expression"));
        if expression.text().trim().is_empty() {
            out.push(expression.required(""));
        }
        name.need_checked(names::qualified_name, out);
        let text = condition.value.str_at(&["name"]).unwrap_or_default();
        if !text.is_empty() && seen.again(text) {
            out.push(name.duplicate());
        }
    }
}

fn review_versions(versions: &Place, out: &mut Causes) {
    if versions.list().is_empty() {
        return out.push(versions.required("must specify one of v1, v1beta1"));
    }
    let mut seen = Seen::default();
    for version in versions.items() {
        if seen.again(version.value.as_str().unwrap_or_default()) {
            out.push(version.invalid("duplicate version"));
        } else {
            version.check(names::label_1035, out);
        }
    }
    if !versions.items().any(|version| REVIEW_VERSIONS.contains(&version.text())) {
        out.push(versions.invalid("must include at least one of v1, v1beta1"));
    }
}
