//! Cells of jobs, autoscalers and what belongs to other workloads.

use std::borrow::Cow;

use super::cell::{Cell, Function, Row};
use super::duration;
use super::json::Json;
use super::path::Path;

/// The function of this name.
pub fn function(name: &str) -> Option<Function> {
    let function: Function = match name {
        "job_status" => job_status,
        "job_completions" => job_completions,
        "job_duration" => job_duration,
        "autoscaler_targets" => autoscaler_targets,
        "controller" => controller,
        _ => return None,
    };
    Some(function)
}

fn job_status<'a>(row: &Row<'a>, _: &[Path]) -> Option<Cell<'a>> {
    let conditions = row.at("status.conditions");
    let has = |kind: &&str| conditions.of_type(kind).key("status").is("True");
    let terminating = row.at("metadata.deletionTimestamp").exists();
    let found = ["Complete", "Failed"].into_iter().find(has).or_else(|| match terminating {
        true => Some("Terminating"),
        false => ["Suspended", "FailureTarget", "SuccessCriteriaMet"].into_iter().find(has),
    });
    Some(Cell::text(found.unwrap_or("Running")))
}

fn job_completions<'a>(row: &Row<'a>, _: &[Path]) -> Option<Cell<'a>> {
    let (spec, succeeded) = (row.key("spec"), row.at("status.succeeded").count());
    let parallelism = spec.key("parallelism").count();
    Some(Cell::text(match spec.key("completions").int() {
        Some(completions) => format!("{succeeded}/{completions}"),
        None if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        None => format!("{succeeded}/1"),
    }))
}

fn job_duration<'a>(row: &Row<'a>, _: &[Path]) -> Option<Cell<'a>> {
    let time = |name: &str| row.at("status").key(name).text()?.parse().ok();
    let start = time("startTime")?;
    Some(Cell::text(duration::between(start, time("completionTime").unwrap_or(row.now))))
}

/// The owner that controls the object (`printControllerRevision`).
fn controller<'a>(row: &Row<'a>, _: &[Path]) -> Option<Cell<'a>> {
    let mut owners = row.at("metadata.ownerReferences").items();
    let Some(owner) = owners.find(|owner| owner.key("controller").is_true()) else {
        return Some(Cell::text("<none>"));
    };
    let (api_version, kind) = (owner.key("apiVersion").str(), owner.key("kind").str());
    let kind = match api_version.split_once('/') {
        Some((group, _)) => format!("{kind}.{group}"),
        None => kind.into_owned(),
    };
    Some(Cell::text(format!("{}/{}", kind.to_lowercase(), owner.key("name").str())))
}

/// What is measured of what is aimed at, two metrics at most (`formatHPAMetrics`).
fn autoscaler_targets<'a>(row: &Row<'a>, _: &[Path]) -> Option<Cell<'a>> {
    const SHOWN: usize = 2;
    let (spec, status) = (row.key("spec"), row.key("status"));
    let currents: Vec<_> = status.key("currentMetrics").items().collect();
    let mut metrics: Vec<String> = spec
        .key("metrics")
        .items()
        .enumerate()
        .map(|(i, metric)| target(metric, currents.get(i).copied().unwrap_or(Json::new(None))))
        .collect();
    // Version 1 knows only the processor.
    if let Some(wanted) = spec.key("targetCPUUtilizationPercentage").int() {
        metrics.push(format!(
            "cpu: {}/{wanted}%",
            percent(status.key("currentCPUUtilizationPercentage"), "<unknown>")
        ));
    }
    Some(Cell::text(match metrics.len() {
        0 => "<none>".to_owned(),
        all if all > SHOWN => format!("{} + {} more...", metrics[..SHOWN].join(", "), all - SHOWN),
        _ => metrics.join(", "),
    }))
}

/// One metric of the spec with its status.
fn target(metric: Json, current: Json) -> String {
    let kind = metric.key("type").str();
    let source = match kind.as_ref() {
        "External" => "external",
        "Pods" => "pods",
        "Object" => "object",
        "Resource" => "resource",
        "ContainerResource" => "containerResource",
        _ => return "<unknown type>".to_owned(),
    };
    let (own, measured) = (metric.key(source), current.key(source));
    let (wanted, now) = (own.key("target"), measured.key("current"));
    let average = wanted.key("averageValue").exists();
    // Upstream shows a quantity that a status should have and lacks as Go's nil.
    let shown = |json: Json| json.shown().map_or("<nil>".to_owned(), Cow::into_owned);
    let value = |name: &str, there: bool| if there { shown(now.key(name)) } else { "<unknown>".to_owned() };
    match source {
        "pods" => {
            format!("{}/{}", value("averageValue", measured.exists()), shown(wanted.key("averageValue")))
        }
        "external" | "object" if average => {
            let now = value("averageValue", now.key("averageValue").exists());
            format!("{now}/{} (avg)", shown(wanted.key("averageValue")))
        }
        "external" | "object" => {
            format!("{}/{}", value("value", measured.exists()), shown(wanted.key("value")))
        }
        _ if average => {
            let now = value("averageValue", measured.exists());
            format!("{}: {now}/{}", own.key("name").str(), shown(wanted.key("averageValue")))
        }
        _ => {
            let now = percent(now.key("averageUtilization"), "<unknown>");
            format!(
                "{}: {now}/{}",
                own.key("name").str(),
                percent(wanted.key("averageUtilization"), "<auto>")
            )
        }
    }
}

fn percent(json: Json, absent: &str) -> String {
    json.int().map_or(absent.to_owned(), |number| format!("{number}%"))
}
