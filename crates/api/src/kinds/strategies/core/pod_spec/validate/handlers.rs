//! Faults of probes and of what a container does at its start and end.

use super::Context;
use crate::kinds::strategies::checks;
use crate::kinds::strategies::rules::{Causes, Place};

/// The kinds of handlers, in upstream's order.
const KINDS: [&str; 5] = ["exec", "httpGet", "tcpSocket", "grpc", "sleep"];

pub(super) fn of_container(container: &Place, context: &Context, out: &mut Causes) {
    let lifecycle = container.field("lifecycle");
    for hook in ["postStart", "preStop"] {
        if lifecycle.field(hook).is_set() {
            handler(&lifecycle.field(hook), context.grace_seconds, out);
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let probe = container.field(name);
        if !probe.is_set() {
            continue;
        }
        self::probe(&probe, context.grace_seconds, out);
        if name == "readinessProbe" {
            let grace = probe.field("terminationGracePeriodSeconds");
            if grace.is_set() {
                out.push(grace.invalid("must not be set for readinessProbes"));
            }
        } else if probe.field("successThreshold").int() != 1 {
            out.push(
                probe
                    .field("successThreshold")
                    .invalid_as(probe.field("successThreshold").int(), "must be 1"),
            );
        }
    }
}

fn probe(probe: &Place, grace_seconds: Option<i64>, out: &mut Causes) {
    handler(probe, grace_seconds, out);
    for field in
        ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"]
    {
        probe.field(field).non_negative(out);
    }
    let grace = probe.field("terminationGracePeriodSeconds");
    if grace.is_set() && grace.int() <= 0 {
        out.push(grace.invalid("must be greater than 0"));
    }
}

fn handler(handler: &Place, grace_seconds: Option<i64>, out: &mut Causes) {
    let mut found = false;
    for kind in KINDS {
        let action = handler.field(kind);
        if !action.is_set() {
            continue;
        }
        if std::mem::replace(&mut found, true) {
            out.push(action.forbidden("may not specify more than 1 handler type"));
            continue;
        }
        match kind {
            "exec" if action.field("command").list().is_empty() => {
                out.push(action.field("command").required(""))
            }
            "httpGet" => http_get(&action, out),
            "tcpSocket" => action.field("port").port_or_name(out),
            "grpc" => action.field("port").port(out),
            "sleep" => sleep(&action, grace_seconds, out),
            _ => {}
        }
    }
    if !found {
        out.push(handler.required("must specify a handler type"));
    }
}

fn http_get(action: &Place, out: &mut Causes) {
    action.field("path").need(out);
    action.field("port").port_or_name(out);
    action.field("scheme").one_of(&["HTTP", "HTTPS"], out);
    let headers = action.field("httpHeaders");
    for header in headers.items() {
        let name = header.value.str_at(&["name"]).unwrap_or_default();
        out.extend(checks::header_name(name).iter().map(|why| headers.invalid_as(name, why)));
    }
}

fn sleep(action: &Place, grace_seconds: Option<i64>, out: &mut Causes) {
    let seconds = action.field("seconds").int();
    if let Some(grace) = grace_seconds.filter(|grace| !(0..=*grace).contains(&seconds)) {
        let detail = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
        out.push(action.invalid_as(seconds, &detail));
    }
}
