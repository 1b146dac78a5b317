//! Ingress: how requests from outside find services (k8s.io/kubernetes/pkg/apis/networking/validation).

use crate::Cause;
use crate::kinds::strategies::checks;
use crate::kinds::strategies::core::host;
use crate::kinds::strategies::rules::{Causes, Place};
use crate::kinds::strategy::{Strategy, Verb};
use crate::names;
use crate::value::Value;

const CLASS: &str = "kubernetes.io/ingress.class";
const PATH_TYPES: [&str; 3] = ["Exact", "ImplementationSpecific", "Prefix"];
/// What no path has in it, or at its end.
const BAD_SEQUENCES: [&str; 5] = ["//", "/./", "/../", "%2f", "%2F"];
const BAD_SUFFIXES: [&str; 2] = ["/..", "/."];

/// Ingress: how requests from outside find services.
pub struct Ingress;

impl Strategy for Ingress {
    fn validate(&self, new: &Value, old: Option<&Value>, verb: Verb) -> Vec<Cause> {
        let (ingress, mut out) = (Place::root(new), Vec::new());
        if matches!(verb, Verb::UpdateSubresource(_)) {
            let status = ingress.field("status");
            let balancer = status.field("loadBalancer");
            for point in balancer.field("ingress").items() {
                point.field("ip").check_if_set(checks::ip, &mut out);
                host(&point.field("hostname"), &mut out);
            }
            return out;
        }
        let spec = ingress.field("spec");
        check_spec(&spec, &mut out);
        let annotation = new.str_at(&["metadata", "annotations", CLASS]);
        let class = spec.field("ingressClassName");
        if let (None, Some(annotation), true) = (old, annotation, class.is_set())
            && annotation != class.text()
        {
            let detail = "must match `ingressClassName` when both are specified";
            out.push(Cause::invalid(format!("annotations.{CLASS}"), &annotation.into(), detail));
        }
        out
    }

    fn warn(&self, new: &Value) -> Vec<String> {
        let has_annotation = new.at(&["metadata", "annotations", CLASS]).is_some();
        if has_annotation && new.at(&["spec", "ingressClassName"]).is_none_or(Value::is_null) {
            return vec![format!(
                "annotation {CLASS:?} is deprecated, please use 'spec.ingressClassName' instead"
            )];
        }
        vec![]
    }
}

fn check_spec(spec: &Place, out: &mut Causes) {
    let (rules, default) = (spec.field("rules"), spec.field("defaultBackend"));
    if rules.list().is_empty() && !default.is_set() {
        out.push(
            spec.invalid_as(rules.value.clone(), "either `defaultBackend` or `rules` must be specified"),
        );
    }
    if default.is_set() {
        backend(&default, out);
    }
    for rule in rules.items() {
        rule_host(&rule.field("host"), out);
        let http = rule.field("http");
        if !http.is_set() {
            continue;
        }
        let paths = http.field("paths");
        if paths.list().is_empty() {
            out.push(paths.required(""));
        }
        paths.items().for_each(|path| check_path(&path, out));
    }
    for tls in spec.field("tls").items() {
        for host in tls.field("hosts").items() {
            host.check(host_name(host.text()), out);
        }
        tls.field("secretName").check_if_set(names::subdomain, out);
    }
    if spec.field("ingressClassName").is_set() {
        spec.field("ingressClassName").check(names::subdomain, out);
    }
}

fn host_name(host: &str) -> fn(&str) -> Vec<String> {
    if host.contains('*') { checks::wildcard_subdomain } else { names::subdomain }
}

fn rule_host(host: &Place, out: &mut Causes) {
    if host.text().parse::<std::net::IpAddr>().is_ok() {
        out.push(host.invalid("must be a DNS name, not an IP address"));
    }
    host.check_if_set(host_name(host.text()), out);
}

fn check_path(place: &Place, out: &mut Causes) {
    let (path, kind) = (place.field("path"), place.field("pathType"));
    let text = path.text();
    match kind.text() {
        _ if !kind.is_set() => return out.push(kind.required("pathType must be specified")),
        "Exact" | "Prefix" => {
            if !text.starts_with('/') {
                out.push(path.invalid_as(text, "must be an absolute path"));
            }
            let sequences = BAD_SEQUENCES.iter().filter(|sequence| text.contains(**sequence));
            out.extend(sequences.map(|sequence| path.invalid(&format!("must not contain '{sequence}'"))));
            let suffixes = BAD_SUFFIXES.iter().filter(|suffix| text.ends_with(**suffix));
            out.extend(suffixes.map(|suffix| path.invalid(&format!("cannot end with '{suffix}'"))));
        }
        "ImplementationSpecific" if !text.is_empty() && !text.starts_with('/') => {
            out.push(path.invalid("must be an absolute path"));
        }
        "ImplementationSpecific" => {}
        _ => out.push(kind.not_supported(&PATH_TYPES)),
    }
    backend(&place.field("backend"), out);
}

fn backend(backend: &Place, out: &mut Causes) {
    let (resource, service) = (backend.field("resource"), backend.field("service"));
    match (resource.is_set(), service.is_set()) {
        (true, true) => out.push(backend.invalid_as("", "cannot set both resource and service backends")),
        (false, false) => out.push(backend.invalid_as("", "resource or service backend is required")),
        (true, false) => reference(&resource, out),
        (false, true) => {
            service.field("name").need_checked(names::label, out);
            let port = service.field("port");
            let (name, number) = (port.field("name"), port.field("number"));
            match (name.text().is_empty(), number.int() == 0) {
                (false, false) => out.push(backend.invalid_as("", "cannot set both port name & port number")),
                (false, true) => name.check(checks::port_name, out),
                (true, false) => number.port(out),
                (true, true) => out.push(backend.required("port name or number is required")),
            }
        }
    }
}

/// An object named by kind and name.
pub(super) fn reference(reference: &Place, out: &mut Causes) {
    if reference.field("apiGroup").is_set() {
        reference.field("apiGroup").check(names::subdomain, out);
    }
    reference.field("kind").need_checked(names::path_segment, out);
    reference.field("name").need_checked(names::path_segment, out);
}
