//! Faults of autoscalers, in v2 (k8s.io/kubernetes/pkg/apis/autoscaling/validation).

use crate::kinds::strategies::core::resource_names;
use crate::kinds::strategies::rules::{Causes, NEGATIVE, Place};
use crate::names;

/// One hour, and half of one.
const WINDOW_SECONDS_MAX: i64 = 3600;
const PERIOD_SECONDS_MAX: i64 = 1800;
const SOURCES: [(&str, &str); 5] = [
    ("Object", "object"),
    ("External", "external"),
    ("Pods", "pods"),
    ("Resource", "resource"),
    ("ContainerResource", "containerResource"),
];
const TYPES: [&str; 5] = ["ContainerResource", "External", "Object", "Pods", "Resource"];

/// The status: counts of replicas.
pub fn status(autoscaler: &Place, out: &mut Causes) {
    let status = autoscaler.field("status");
    status.field("currentReplicas").non_negative(out);
    status.field("desiredReplicas").non_negative(out);
}

/// The spec.
pub fn spec(spec: &Place, out: &mut Causes) {
    let (min, max) = (spec.field("minReplicas"), spec.field("maxReplicas"));
    if min.is_set() && min.int() < 1 {
        out.push(min.invalid("must be greater than or equal to 1"));
    }
    match max.int() {
        0 => out.push(max.required("must be set and greater than 0")),
        negative if negative < 0 => out.push(max.invalid("must be greater than or equal to 1")),
        _ => {}
    }
    if min.is_set() && max.int() < min.int() {
        out.push(max.invalid_as(max.int(), "must be greater than or equal to `minReplicas`"));
    }
    reference(&spec.field("scaleTargetRef"), true, out);
    let metrics = spec.field("metrics");
    metrics.items().for_each(|metric| check_metric(&metric, out));
    let has_other =
        metrics.items().any(|metric| matches!(metric.field("type").text(), "Object" | "External"));
    if min.is_set() && min.int() == 0 && !has_other {
        let detail =
            "must specify at least one Object or External metric to support scaling to zero replicas";
        out.push(metrics.forbidden(detail));
    }
    let behavior = spec.field("behavior");
    for direction in ["scaleUp", "scaleDown"] {
        if behavior.field(direction).is_set() {
            rules(&behavior.field(direction), out);
        }
    }
}

fn reference(reference: &Place, needs_group: bool, out: &mut Causes) {
    reference.field("kind").need_checked(names::path_segment, out);
    reference.field("name").need_checked(names::path_segment, out);
    let version = reference.field("apiVersion");
    match version.text().split('/').count() {
        1 if needs_group => out.push(version.invalid_as(version.text(), "apiVersion must specify API group")),
        1 | 2 => {}
        _ => out.push(version.invalid(&format!("unexpected GroupVersion string: {}", version.text()))),
    }
}

fn rules(rules: &Place, out: &mut Causes) {
    let window = rules.field("stabilizationWindowSeconds");
    if window.int() < 0 {
        out.push(window.invalid("must be greater than or equal to zero"));
    }
    if window.int() > WINDOW_SECONDS_MAX {
        out.push(window.invalid(&format!("must be less than or equal to {WINDOW_SECONDS_MAX}")));
    }
    rules.field("selectPolicy").one_of_if_set(&["Disabled", "Max", "Min"], out);
    let policies = rules.field("policies");
    if policies.list().is_empty() {
        out.push(policies.required("must specify at least one Policy"));
    }
    for policy in policies.items() {
        policy.field("type").one_of(&["Percent", "Pods"], out);
        policy.field("value").positive(out);
        let period = policy.field("periodSeconds");
        period.positive(out);
        if period.int() > PERIOD_SECONDS_MAX {
            out.push(period.invalid(&format!("must be less than or equal to {PERIOD_SECONDS_MAX}")));
        }
    }
    if rules.field("tolerance").quantity().is_negative() {
        out.push(rules.field("tolerance").invalid(NEGATIVE));
    }
}

fn check_metric(metric: &Place, out: &mut Causes) {
    let kind = metric.field("type");
    if kind.text().is_empty() {
        out.push(kind.required("must specify a metric source type"));
    }
    if !TYPES.contains(&kind.text()) {
        // Upstream says so twice.
        out.push(kind.not_supported(&TYPES));
        out.push(kind.not_supported(&TYPES));
    }
    let mut present = 0;
    for (_, source) in SOURCES {
        let source_place = metric.field(source);
        if source_place.is_set() {
            present += 1;
            if present == 1 {
                check_source(&source_place, source, out);
            }
        }
    }
    let expected = SOURCES.iter().find(|(name, _)| *name == kind.text()).map(|(_, source)| *source);
    if let Some(expected) = expected.filter(|expected| !metric.field(expected).is_set()) {
        let detail = "must populate information for the given metric source";
        out.push(metric.field(expected).required(detail));
    }
    if present != 1 {
        for (_, source) in SOURCES.iter().filter(|(_, source)| Some(*source) != expected) {
            if metric.field(source).is_set() {
                out.push(metric.field(source).forbidden("must populate the given metric source only"));
            }
        }
    }
}

fn check_source(source: &Place, kind: &str, out: &mut Causes) {
    let target = source.field("target");
    if kind == "object" {
        reference(&source.field("describedObject"), false, out);
    }
    match kind {
        "resource" | "containerResource" => {
            let name = source.field("name");
            if name.text().is_empty() {
                out.push(name.required("must specify a resource name"));
            } else if kind == "containerResource" {
                name.check(resource_names::of_container, out);
            }
            if kind == "containerResource" {
                let container = source.field("container");
                if container.text().is_empty() {
                    out.push(container.required("must specify a container"));
                }
                container.check_if_set(names::label, out);
            }
        }
        _ => {
            let metric = source.field("metric");
            let name = metric.field("name");
            if name.text().is_empty() {
                out.push(name.required("must specify a metric name"));
            }
            name.check_if_set(names::path_segment, out);
        }
    }
    check_target(&target, out);
    let (value, average, utilization) =
        (target.field("value"), target.field("averageValue"), target.field("averageUtilization"));
    match kind {
        "object" if !value.is_set() && !average.is_set() => {
            out.push(average.required("must set either a target value or averageValue"));
        }
        "external" if !value.is_set() && !average.is_set() => {
            out.push(average.required("must set either a target value for metric or a per-pod target"));
        }
        "external" if value.is_set() && average.is_set() => {
            out.push(value.forbidden("may not set both a target value for metric and a per-pod target"));
        }
        "pods" if !average.is_set() => {
            out.push(average.required("must specify a positive target averageValue"))
        }
        "resource" | "containerResource" => match (utilization.is_set(), average.is_set()) {
            (false, false) => {
                out.push(utilization.required("must set either a target raw value or a target utilization"));
            }
            (true, true) => {
                out.push(average.forbidden("may not set both a target raw value and a target utilization"));
            }
            _ => {}
        },
        _ => {}
    }
}

fn check_target(target: &Place, out: &mut Causes) {
    let kind = target.field("type");
    if kind.text().is_empty() {
        out.push(kind.required("must specify a metric target type"));
    }
    if !matches!(kind.text(), "Utilization" | "Value" | "AverageValue") {
        out.push(kind.invalid_as(kind.text(), "must be either Utilization, Value, or AverageValue"));
    }
    for amount in
        [target.field("value"), target.field("averageValue")].iter().filter(|amount| amount.is_set())
    {
        if amount.quantity().is_zero() || amount.quantity().is_negative() {
            out.push(amount.invalid("must be positive"));
        }
    }
    let utilization = target.field("averageUtilization");
    if utilization.is_set() && utilization.int() < 1 {
        out.push(utilization.invalid("must be greater than 0"));
    }
}
