//! Cells of pods (`printPod`).

use std::borrow::Cow;

use super::cell::{Cell, Function, Row};
use super::duration;
use super::json::Json;
use super::path::Path;

/// The function of this name.
pub fn function(name: &str) -> Option<Function> {
    let function: Function = match name {
        "pod_ready" => ready,
        "pod_status" => status,
        "pod_restarts" => restarts,
        "pod_readiness_gates" => readiness_gates,
        _ => return None,
    };
    Some(function)
}

/// The conditions of a pod's row: it has run to its end.
pub fn row_conditions(row: &Row) -> Option<&'static str> {
    match row.at("status.phase").str().as_ref() {
        "Succeeded" => Some(
            r#"[{"type":"Completed","status":"True","reason":"Succeeded","message":"The pod has completed successfully."}]"#,
        ),
        "Failed" => {
            Some(r#"[{"type":"Completed","status":"True","reason":"Failed","message":"The pod failed."}]"#)
        }
        _ => None,
    }
}

fn ready<'a>(row: &Row<'a>, _: &[Path]) -> Option<Cell<'a>> {
    let summary = Summary::of(row);
    Some(Cell::text(format!("{}/{}", summary.ready, summary.total)))
}

fn status<'a>(row: &Row<'a>, _: &[Path]) -> Option<Cell<'a>> {
    Some(Cell::Text(Summary::of(row).reason.clone()))
}

fn restarts<'a>(row: &Row<'a>, _: &[Path]) -> Option<Cell<'a>> {
    let Restarts { count, last } = &Summary::of(row).restarts;
    Some(Cell::text(match count {
        0 => "0".to_owned(),
        count if last.is_empty() => count.to_string(),
        count => format!("{count} ({} ago)", duration::since(last, row.now)),
    }))
}

fn readiness_gates<'a>(row: &Row<'a>, _: &[Path]) -> Option<Cell<'a>> {
    let gates: Vec<_> = row.at("spec.readinessGates").items().collect();
    if gates.is_empty() {
        return Some(Cell::text("<none>"));
    }
    let conditions = row.at("status.conditions");
    let passed = |gate: &&Json| conditions.of_type(&gate.key("conditionType").str()).key("status").is("True");
    Some(Cell::text(format!("{}/{}", gates.iter().filter(passed).count(), gates.len())))
}

/// What a pod's containers are at.
pub struct Summary<'a> {
    ready: usize,
    total: usize,
    reason: Cow<'a, str>,
    restarts: Restarts<'a>,
}

/// How often containers restarted, and when the last of them ended before.
#[derive(Clone, Default)]
struct Restarts<'a> {
    count: i64,
    /// Empty if unknown. Times in one format compare as their texts.
    last: Cow<'a, str>,
}

// === impl Summary ===

impl<'a> Summary<'a> {
    fn of<'r>(row: &'r Row<'a>) -> &'r Summary<'a> {
        row.pod.get_or_init(|| Summary::new(row))
    }

    fn new(pod: &Row<'a>) -> Summary<'a> {
        let (spec, status) = (pod.key("spec"), pod.key("status"));
        let (phase, why) = (status.key("phase").str(), status.key("reason").str());
        let conditions = status.key("conditions");
        let gated = conditions
            .items()
            .any(|c| c.key("type").is("PodScheduled") && c.key("reason").is("SchedulingGated"));
        let mut summary = Summary {
            ready: 0,
            total: spec.key("containers").items().count(),
            reason: match () {
                () if gated => "SchedulingGated".into(),
                () if !why.is_empty() => why.clone(),
                () => phase.clone(),
            },
            restarts: Restarts::default(),
        };
        let (initializing, sidecars) = summary.init(spec, status);
        if !initializing || conditions.of_type("Initialized").key("status").is("True") {
            summary.restarts = sidecars;
            summary.run(status);
        }
        if pod.at("metadata.deletionTimestamp").exists() {
            if why == "NodeLost" {
                summary.reason = "Unknown".into();
            } else if phase != "Succeeded" && phase != "Failed" {
                summary.reason = "Terminating".into();
            }
        }
        summary
    }

    /// Looks at the init containers, up to the one that runs: whether there is one, and the sidecars' restarts.
    fn init(&mut self, spec: Json<'a>, status: Json<'a>) -> (bool, Restarts<'a>) {
        let containers: Vec<_> = spec.key("initContainers").items().collect();
        let restartable = |container: &Json| container.key("restartPolicy").is("Always");
        self.total += containers.iter().filter(|container| restartable(container)).count();
        let mut sidecars = Restarts::default();
        for (i, container) in status.key("initContainerStatuses").items().enumerate() {
            let name = container.key("name").str();
            let sidecar = containers.iter().any(|c| c.key("name").is(&name) && restartable(c));
            self.restarts.add(container);
            if sidecar {
                sidecars.add(container);
            }
            let (ended, waiting) =
                (container.at("state.terminated"), container.at("state.waiting.reason").str());
            if ended.exists() && ended.key("exitCode").count() == 0 {
                continue;
            }
            if sidecar && container.key("started").is_true() {
                self.ready += usize::from(container.key("ready").is_true());
                continue;
            }
            self.reason = match () {
                () if ended.exists() => format!("Init:{}", end(ended)).into(),
                () if !waiting.is_empty() && waiting != "PodInitializing" => format!("Init:{waiting}").into(),
                () => format!("Init:{i}/{}", containers.len()).into(),
            };
            return (true, sidecars);
        }
        (false, sidecars)
    }

    /// Looks at the containers, the last one first: the first one's reason is shown.
    fn run(&mut self, status: Json<'a>) {
        let mut containers: Vec<_> = status.key("containerStatuses").items().collect();
        containers.reverse();
        let (mut running, mut error) = (false, None);
        for container in containers {
            self.restarts.add(container);
            let (ended, waiting) =
                (container.at("state.terminated"), container.at("state.waiting.reason").str());
            if !waiting.is_empty() {
                self.reason = waiting;
            } else if ended.exists() {
                self.reason = end(ended);
                if ended.key("exitCode").count() != 0 {
                    error = Some(self.reason.clone());
                }
            } else if container.key("ready").is_true() && container.at("state.running").exists() {
                running = true;
                self.ready += 1;
            }
        }
        if self.reason == "Completed" {
            let is_ready = |c: Json| c.key("type").is("Ready") && c.key("status").is("True");
            if running && status.key("conditions").items().any(is_ready) {
                self.reason = "Running".into();
            } else if let Some(error) = error {
                self.reason = error;
            } else if running {
                self.reason = "NotReady".into();
            }
        }
    }
}

/// How a container ended.
fn end(terminated: Json<'_>) -> Cow<'_, str> {
    let reason = terminated.key("reason").str();
    match terminated.key("signal").count() {
        _ if !reason.is_empty() => reason,
        0 => format!("ExitCode:{}", terminated.key("exitCode").count()).into(),
        signal => format!("Signal:{signal}").into(),
    }
}

// === impl Restarts ===

impl<'a> Restarts<'a> {
    fn add(&mut self, container: Json<'a>) {
        self.count += container.key("restartCount").count();
        let ended = container.at("lastState.terminated.finishedAt").str();
        if ended > self.last {
            self.last = ended;
        }
    }
}
