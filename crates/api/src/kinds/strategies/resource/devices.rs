//! Faults of requests for devices: in claims, in templates of claims, in classes
//! (k8s.io/kubernetes/pkg/apis/resource/validation). Expressions in CEL are read by whoever evaluates them.

use crate::Cause;
use crate::kinds::strategies::core::pod_spec::validate::driver_name;
use crate::kinds::strategies::rules::{Causes, Place};
use crate::names;
use crate::value::Value;

const LIST_MAX: usize = 32;
const FIRST_AVAILABLE_MAX: usize = 8;
const EXPRESSION_BYTES_MAX: usize = 10 * 1024;
const PARAMETERS_BYTES_MAX: usize = 10 * 1024;
const REFERENCE: &str =
    "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";

/// The spec of a claim.
pub fn claim(spec: &Place, out: &mut Causes) {
    let devices = spec.field("devices");
    let requests = devices.field("requests");
    unique(&requests, LIST_MAX, out);
    requests.items().for_each(|request| check_request(&request, out));
    let constraints = devices.field("constraints");
    at_most(&constraints, LIST_MAX, out);
    for constraint in constraints.items() {
        references(&constraint.field("requests"), requests.list(), out);
        let (matching, distinct) =
            (constraint.field("matchAttribute"), constraint.field("distinctAttribute"));
        match [matching, distinct].iter().find(|attribute| attribute.is_set()) {
            Some(attribute) => attribute.check(full_name, out),
            None => out.push(constraint.required(
                "exactly one of \"matchAttribute\" or \"distinctAttribute\" is required, but multiple fields are set",
            )),
        }
    }
    let configurations = devices.field("config");
    at_most(&configurations, LIST_MAX, out);
    for configuration in configurations.items() {
        references(&configuration.field("requests"), requests.list(), out);
        opaque(&configuration, out);
    }
}

fn at_most(list: &Place, max: usize, out: &mut Causes) {
    if list.list().len() > max {
        out.push(list.too_many(max));
    }
}

/// A list of named things, each there once.
pub(super) fn unique(list: &Place, max: usize, out: &mut Causes) {
    at_most(list, max, out);
    let name_of = |item: &Value| item.str_at(&["name"]).unwrap_or_default().to_owned();
    for (i, item) in list.items().enumerate() {
        let name = name_of(item.value);
        if list.list()[..i].iter().any(|before| name_of(before) == name) {
            out.push(Cause::duplicate(item.path(), &name));
        }
    }
}

fn check_request(request: &Place, out: &mut Causes) {
    request.field("name").check(names::label, out);
    let (exactly, first) = (request.field("exactly"), request.field("firstAvailable"));
    match (exactly.is_set(), !first.list().is_empty()) {
        (false, false) => {
            out.push(request.required("exactly one of `exactly` or `firstAvailable` is required"));
        }
        (true, true) => out.push(request.invalid_as(
            Value::Null,
            "exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set",
        )),
        (true, false) => wanted(&exactly, out),
        (false, true) => {
            unique(&first, FIRST_AVAILABLE_MAX, out);
            for alternative in first.items() {
                alternative.field("name").check(names::label, out);
                wanted(&alternative, out);
            }
        }
    }
}

fn wanted(request: &Place, out: &mut Causes) {
    request.field("deviceClassName").need_checked(names::subdomain, out);
    selectors(&request.field("selectors"), out);
    let (mode, count) = (request.field("allocationMode"), request.field("count"));
    match mode.text() {
        "All" if count.int() != 0 => {
            out.push(count.invalid("must not be specified when allocationMode is 'All'"));
        }
        "All" => {}
        "ExactCount" => count.positive(out),
        _ => out.push(mode.not_supported(&["All", "ExactCount"])),
    }
    for toleration in request.field("tolerations").items() {
        toleration.field("key").check_if_set(names::qualified_name, out);
        toleration.field("operator").one_of(&["Equal", "Exists"], out);
        if toleration.field("operator").text() == "Exists" && !toleration.field("value").text().is_empty() {
            out.push(toleration.field("value").invalid("must be empty for operator `Exists`"));
        }
        let effect = toleration.field("effect");
        effect.one_of(&["", "NoExecute", "NoSchedule"], out);
    }
}

/// What picks devices by their attributes.
pub(super) fn selectors(selectors: &Place, out: &mut Causes) {
    at_most(selectors, LIST_MAX, out);
    for selector in selectors.items() {
        let cel = selector.field("cel");
        if !cel.is_set() {
            out.push(cel.required(""));
        } else if cel.field("expression").text().len() > EXPRESSION_BYTES_MAX {
            out.push(Cause::too_long(cel.field("expression").path(), EXPRESSION_BYTES_MAX));
        }
    }
}

fn references(list: &Place, requests: &[Value], out: &mut Causes) {
    at_most(list, LIST_MAX, out);
    let known = |name: &str| {
        let (request, alternative) = name.split_once('/').map_or((name, None), |(a, b)| (a, Some(b)));
        requests.iter().any(|wanted| {
            let alternatives = wanted.list_at(&["firstAvailable"]);
            wanted.str_at(&["name"]).unwrap_or_default() == request
                && alternative
                    .is_none_or(|name| alternatives.iter().any(|a| a.str_at(&["name"]) == Some(name)))
        })
    };
    for name in list.items() {
        if name.text().split('/').count() <= 2 {
            for part in name.text().split('/') {
                out.extend(names::label(part).iter().map(|why| name.invalid_as(part, why)));
            }
        }
        if !known(name.text()) {
            out.push(name.invalid(REFERENCE));
        }
    }
    list.unique_texts(out);
}

/// What a driver is told.
pub(super) fn opaque(configuration: &Place, out: &mut Causes) {
    let opaque = configuration.field("opaque");
    if !opaque.is_set() {
        return out.push(opaque.required(""));
    }
    driver_name(&opaque.field("driver"), out);
    let parameters = opaque.field("parameters");
    if !parameters.is_set() {
        out.push(parameters.required(""));
    } else if serde_json::to_string(parameters.value).map_or(0, |text| text.len()) > PARAMETERS_BYTES_MAX {
        out.push(Cause::too_long(parameters.path(), PARAMETERS_BYTES_MAX));
    }
}

/// A domain and the name of an attribute of it.
fn full_name(name: &str) -> Vec<String> {
    match name.split_once('/') {
        Some((domain, id)) if !id.contains('/') => {
            names::subdomain(domain).into_iter().chain(identifier(id)).collect()
        }
        _ => vec!["a fully qualified name must be a domain and a name separated by a slash".into()],
    }
}

/// Names of attributes, which expressions use.
pub(super) fn identifier(name: &str) -> Vec<String> {
    const FORM: &str = "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex used for validation is '[A-Za-z_][A-Za-z0-9_]*')";
    let first = name.bytes().next();
    let is_good = first.is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if is_good { vec![] } else { vec![FORM.into()] }
}
