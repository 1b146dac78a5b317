//! v1 and v2 of HorizontalPodAutoscaler (k8s.io/kubernetes/pkg/apis/autoscaling/v1, conversion.go).
//!
//! v1 knows one metric, the utilization of the CPU; it carries all else that v2 says in annotations, in the shapes of
//! a version in between.

use crate::kinds::strategies::fill::{fill, has};
use crate::quantity::Quantity;
use crate::value;
use crate::value::{Str, Value};

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CURRENT_METRICS: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";

/// The sources of metrics, by the `type` that names them.
const SOURCES: [(&str, &str); 5] = [
    ("Object", "object"),
    ("Pods", "pods"),
    ("Resource", "resource"),
    ("ContainerResource", "containerResource"),
    ("External", "external"),
];

/// Whether a list of metrics says what is wanted or what is.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    Target,
    Current,
}

/// The metric that an autoscaler has when it names none.
pub fn default_metrics() -> Value {
    vec![cpu(Side::Target, 80.into())].into()
}

/// Turns v1 into v2.
pub fn to_v2(draft: &mut Value) {
    let mut metrics =
        read(draft, METRICS).map(|list| items(list, |metric| metric_to_v2(metric, Side::Target)));
    if let Some(percentage) =
        draft.remove_at(&["spec", "targetCPUUtilizationPercentage"]).filter(|p| !p.is_null())
    {
        metrics.get_or_insert_default().push(cpu(Side::Target, percentage));
    }
    let metrics = metrics.filter(|metrics| !metrics.is_empty()).map_or_else(default_metrics, Value::from);
    draft.set_at(&["spec", "metrics"], metrics);
    if let Some(behavior) = read(draft, BEHAVIOR).map(|behavior| recased(behavior, Str::to_lowercase_first)) {
        draft.set_at(&["spec", "behavior"], behavior);
    }
    let percentage = draft.remove_at(&["status", "currentCPUUtilizationPercentage"]).filter(|p| !p.is_null());
    let current = match read(draft, CURRENT_METRICS) {
        Some(list) => Some(items(list, |metric| metric_to_v2(metric, Side::Current))),
        None => percentage.map(|percentage| vec![cpu(Side::Current, percentage)]),
    };
    if let Some(current) = current {
        draft.set_at(&["status", "currentMetrics"], current);
    }
    if let Some(conditions) = read(draft, CONDITIONS) {
        draft.set_at(&["status", "conditions"], conditions);
    }
    drop_annotations(draft);
}

/// Turns v2 into v1.
pub fn to_v1(draft: &mut Value) {
    drop_annotations(draft);
    let metrics = taken(draft, &["spec", "metrics"]);
    if let Some(percentage) = metrics.iter().find_map(|metric| cpu_of(metric, Side::Target)) {
        draft.set_at(&["spec", "targetCPUUtilizationPercentage"], percentage);
    }
    let others: Vec<Value> =
        metrics.into_iter().filter(|metric| cpu_of(metric, Side::Target).is_none()).collect();
    write(draft, METRICS, items(others.into(), |metric| metric_to_v1(metric, Side::Target)).into());
    let current = taken(draft, &["status", "currentMetrics"]);
    if let Some(percentage) = current.iter().rev().find_map(|metric| cpu_of(metric, Side::Current)) {
        draft.set_at(&["status", "currentCPUUtilizationPercentage"], percentage);
    }
    write(draft, CURRENT_METRICS, items(current.into(), |metric| metric_to_v1(metric, Side::Current)).into());
    if let Some(behavior) = draft.remove_at(&["spec", "behavior"]).filter(|behavior| !behavior.is_null()) {
        write(draft, BEHAVIOR, recased(behavior, Str::to_uppercase_first));
    }
    let conditions = taken(draft, &["status", "conditions"]);
    write(draft, CONDITIONS, conditions.into());
}

// === annotations ===

fn read(draft: &Value, annotation: &str) -> Option<Value> {
    serde_json::from_str(draft.str_at(&["metadata", "annotations", annotation])?).ok()
}

fn write(draft: &mut Value, annotation: &str, value: Value) {
    if let (false, Ok(text)) = (value.is_empty(), serde_json::to_string(&value)) {
        draft.set_at(&["metadata", "annotations", annotation], text);
    }
}

fn drop_annotations(draft: &mut Value) {
    for annotation in [METRICS, CURRENT_METRICS, CONDITIONS, BEHAVIOR] {
        draft.remove_at(&["metadata", "annotations", annotation]);
    }
    if draft.at(&["metadata", "annotations"]).is_some_and(Value::is_empty) {
        draft.remove_at(&["metadata", "annotations"]);
    }
}

fn taken(draft: &mut Value, path: &[&str]) -> Vec<Value> {
    match draft.remove_at(path) {
        Some(Value::List(list)) => list,
        _ => vec![],
    }
}

fn items(list: Value, convert: impl Fn(Value) -> Value) -> Vec<Value> {
    match list {
        Value::List(list) => list.into_iter().map(convert).collect(),
        _ => vec![],
    }
}

// === metrics ===

fn cpu(side: Side, percentage: Value) -> Value {
    let mut metric = value!({"type": "Resource", "resource": {"name": "cpu"}});
    if side == Side::Target {
        metric.set_at(&["resource", "target", "type"], "Utilization");
    }
    metric.set_at(&["resource", side.field(), "averageUtilization"], percentage);
    metric
}

/// The percentage, if this is the one metric that v1 has a field for.
fn cpu_of(metric: &Value, side: Side) -> Option<Value> {
    let is_cpu =
        metric.str_at(&["type"]) == Some("Resource") && metric.str_at(&["resource", "name"]) == Some("cpu");
    metric
        .at(&["resource", side.field(), "averageUtilization"])
        .filter(|value| is_cpu && !value.is_null())
        .cloned()
}

/// Where the fields of a v1 source are in v2.
fn fields(source: &str, side: Side) -> Vec<(String, Vec<&'static str>)> {
    let word = side.field();
    let own = |name: &str| format!("{word}{name}");
    let metric_name = ("metricName".to_owned(), vec!["metric", "name"]);
    let selector = |field: &str| (field.to_owned(), vec!["metric", "selector"]);
    match source {
        "object" => vec![
            ("target".to_owned(), vec!["describedObject"]),
            metric_name,
            selector("selector"),
            (own("Value"), vec![word, "value"]),
            ("averageValue".to_owned(), vec![word, "averageValue"]),
        ],
        "pods" => vec![metric_name, selector("selector"), (own("AverageValue"), vec![word, "averageValue"])],
        "external" => vec![
            metric_name,
            selector("metricSelector"),
            (own("Value"), vec![word, "value"]),
            (own("AverageValue"), vec![word, "averageValue"]),
        ],
        _ => vec![
            ("name".to_owned(), vec!["name"]),
            ("container".to_owned(), vec!["container"]),
            (own("AverageUtilization"), vec![word, "averageUtilization"]),
            (own("AverageValue"), vec![word, "averageValue"]),
        ],
    }
}

/// The field of a v1 source that is no pointer, and so `0` when v2 has none.
fn required(source: &str, side: Side) -> Option<&'static str> {
    Some(match (source, side) {
        ("object", Side::Target) => "targetValue",
        ("pods", Side::Target) => "targetAverageValue",
        ("object" | "external", Side::Current) => "currentValue",
        (_, Side::Current) => "currentAverageValue",
        _ => return None,
    })
}

fn metric_to_v1(mut metric: Value, side: Side) -> Value {
    for (_, source) in SOURCES {
        let Some(old) = metric.remove_at(&[source]).filter(|old| !old.is_null()) else { continue };
        let mut new = Value::map();
        for (field, path) in fields(source, side) {
            if let Some(value) = old.at(&path).filter(|value| !value.is_null()) {
                new.set_at(&[&field], value.clone());
            }
        }
        if let Some(field) = required(source, side) {
            fill(&mut new, field, "0");
        }
        metric.set_at(&[source], new);
    }
    metric
}

fn metric_to_v2(mut metric: Value, side: Side) -> Value {
    for (_, source) in SOURCES {
        let Some(old) = metric.remove_at(&[source]).filter(|old| !old.is_null()) else { continue };
        let mut new = Value::map();
        for (field, path) in fields(source, side) {
            if let Some(value) = old.get(&field).filter(|value| !value.is_null()) {
                new.set_at(&path, value.clone());
            }
        }
        if side == Side::Target {
            settle_target(source, &mut new);
        }
        metric.set_at(&[source], new);
    }
    metric
}

/// v1 has no `type` of targets: it follows from the fields.
fn settle_target(source: &str, metric: &mut Value) {
    let target = metric.entry_at(&["target"]);
    target.ensure_map();
    let kind = match source {
        "object" if has(target, "averageValue") => {
            let is_zero = |text: &str| Quantity::parse(text).is_ok_and(|quantity| quantity.is_zero());
            if target.str_at(&["value"]).is_some_and(is_zero) {
                target.remove_at(&["value"]);
            }
            "AverageValue"
        }
        "object" => "Value",
        "external" if has(target, "value") => "Value",
        "pods" | "external" => "AverageValue",
        _ if has(target, "averageUtilization") => "Utilization",
        _ => "AverageValue",
    };
    target.set_at(&["type"], kind);
}

// === behavior: written with the field names of Go ===

/// `value` with every key's first letter changed by `case`.
fn recased(value: Value, case: fn(&Str) -> Str) -> Value {
    match value {
        Value::Map(map) => {
            Value::Map(map.into_iter().map(|(key, value)| (case(&key), recased(value, case))).collect())
        }
        Value::List(list) => Value::List(list.into_iter().map(|value| recased(value, case)).collect()),
        other => other,
    }
}

trait FirstLetter {
    fn to_lowercase_first(&self) -> Self;
    fn to_uppercase_first(&self) -> Self;
}

// === impl FirstLetter for Str ===

impl FirstLetter for Str {
    fn to_lowercase_first(&self) -> Str {
        let mut letters = self.chars();
        letters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(letters).collect()
    }

    fn to_uppercase_first(&self) -> Str {
        let mut letters = self.chars();
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
    }
}

// === impl Side ===

impl Side {
    fn field(self) -> &'static str {
        match self {
            Side::Target => "target",
            Side::Current => "current",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v1_has_the_cpu_and_annotations() {
        let v2 = value!({
            "spec": {"minReplicas": 1, "maxReplicas": 3,
                "metrics": [
                    {"type": "Pods", "pods": {"metric": {"name": "rps"}, "target": {"type": "AverageValue", "averageValue": "10"}}},
                    {"type": "Object", "object": {"describedObject": {"kind": "Service", "name": "s"},
                        "metric": {"name": "q", "selector": {"matchLabels": {"a": "b"}}}, "target": {"type": "Value", "value": "5"}}},
                    {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}},
                ],
                "behavior": {"scaleDown": {"selectPolicy": "Max", "policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}]}}},
            "status": {"currentReplicas": 1, "conditions": [{"type": "AbleToScale", "status": "True"}],
                "currentMetrics": [{"type": "Resource", "resource": {"name": "cpu",
                    "current": {"averageUtilization": 40, "averageValue": "100m"}}}]},
        });
        let mut draft = v2.clone();
        to_v1(&mut draft);
        assert_eq!(
            draft.get("spec"),
            Some(&value!({"minReplicas": 1, "maxReplicas": 3, "targetCPUUtilizationPercentage": 50}))
        );
        assert_eq!(
            draft.get("status"),
            Some(&value!({"currentReplicas": 1, "currentCPUUtilizationPercentage": 40}))
        );
        let annotation = |name: &str| read(&draft, name).expect("annotation");
        assert_eq!(
            annotation(METRICS),
            value!([
                {"type": "Pods", "pods": {"metricName": "rps", "targetAverageValue": "10"}},
                {"type": "Object", "object": {"target": {"kind": "Service", "name": "s"}, "metricName": "q",
                    "selector": {"matchLabels": {"a": "b"}}, "targetValue": "5"}},
            ])
        );
        assert_eq!(
            annotation(BEHAVIOR),
            value!({"ScaleDown": {"SelectPolicy": "Max",
            "Policies": [{"Type": "Pods", "Value": 4, "PeriodSeconds": 15}]}})
        );
        to_v2(&mut draft);
        assert_eq!(draft.get("metadata"), Some(&Value::map()));
        draft.remove_at(&["metadata"]);
        assert_eq!(draft, v2);
    }

    #[test]
    fn v1_without_a_metric_means_80_percent_of_the_cpu() {
        let mut draft = value!({"spec": {"maxReplicas": 3}});
        to_v2(&mut draft);
        assert_eq!(draft.at(&["spec", "metrics"]), Some(&default_metrics()));
        to_v1(&mut draft);
        assert_eq!(draft.int_at(&["spec", "targetCPUUtilizationPercentage"]), Some(80));
    }
}
