//! How many pods a second are bound, end to end: from creating the first until a watch has shown the last one bound.
//!
//! What is written meanwhile is each pod, its binding and the scheduler's event, on a server that syncs; all processes
//! share the machine with the generator.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use decapod_sys::Env;
use http_body_util::BodyExt;
use tokio::time::Instant;

use crate::Error;
use crate::args::{self, Shape};
use crate::connection::{Connection, Http, Target};
use crate::load::{Load, Place, Until, drive};
use crate::pods::{self, Encoding};
use crate::results::Results;
use crate::server::Server;

/// How long the pods of a row may take, together.
const BOUND_TIMEOUT: Duration = Duration::from_secs(900);
/// How long a scheduler may take to know all nodes.
const READY_TIMEOUT: Duration = Duration::from_secs(120);
const PODS: &str = "/api/v1/namespaces/bench/pods";
/// How much of an event is looked at.
const LINE_BYTES: usize = 160;
/// Zones that nodes are spread over.
const ZONES: u64 = 3;

/// Makes the nodes, and then the pods of each shape.
pub async fn run(env: &Env, args: &args::Bound) -> Result<(), Error> {
    let place = Place {
        env: env.clone(),
        target: Target::new(args.port, Some((&args.cert, &args.key)))?,
        server: Server::read(&args.place.pids)?,
    };
    let load = |count| Load { clients: args.clients, http: Http::Two, until: Until::Count(count) };
    drive(&place, load(args.nodes), |n| pods::post("/api/v1/nodes", node(n))).await?;
    // The first pod finds a scheduler that knows the nodes.
    bind(&place, load(1), "warm", Shape::Plain, READY_TIMEOUT).await?;
    let results = Results::new(&args.place);
    for shape in &args.shapes {
        let count = if *shape == Shape::Plain { args.pods } else { args.slow_pods };
        let cpu = place.server.cpu()?;
        let wall = bind(&place, load(count), shape.name(), *shape, BOUND_TIMEOUT).await?;
        let used = place.server.cpu()?.saturating_sub(cpu);
        let row = format!("pods bound, {}", shape.name());
        results.add(&row, "rate", "op/s", count as f64 / wall.as_secs_f64())?;
        results.add(&row, "CPU of all", "us/pod", used.as_secs_f64() * 1e6 / count as f64)?;
    }
    Ok(())
}

/// Makes pods and waits until all are bound; returns how long that took.
async fn bind(
    place: &Place,
    load: Load,
    prefix: &'static str,
    shape: Shape,
    timeout: Duration,
) -> Result<Duration, Error> {
    let Until::Count(count) = load.until else { return Ok(Duration::ZERO) };
    let scope = place.env.scope();
    let bound: Arc<AtomicU64> = Arc::default();
    let connection = place.target.connect(&scope, Http::Two).await?;
    let watch = format!("{PODS}?watch=true&labelSelector=batch%3D{prefix}&fieldSelector=spec.nodeName%21%3D");
    scope.spawn("watcher", count_bound(connection, watch, bound.clone()));
    let begin = Instant::now();
    drive(place, load, move |n| pods::post(PODS, pod(n, prefix, shape))).await?;
    while bound.load(Ordering::Relaxed) < count {
        if begin.elapsed() > timeout {
            let bound = bound.load(Ordering::Relaxed);
            return Err(Error::Server(format!("{bound} of {count} pods are bound after {timeout:?}")));
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let wall = begin.elapsed();
    scope.shutdown().await;
    Ok(wall)
}

/// Counts the pods that come into `watch`, which selects those that are bound. A server may end a watch whose client is
/// slow; the next one begins with all that is there.
async fn count_bound(mut connection: Connection, watch: String, bound: Arc<AtomicU64>) {
    let mut names: HashSet<Vec<u8>> = HashSet::new();
    while let Ok(response) = connection.send(pods::get(&watch, Encoding::Json)).await {
        let (mut events, mut line) = (response.into_body(), Vec::new());
        while let Some(Ok(frame)) = events.frame().await {
            for byte in frame.data_ref().map_or(&[][..], |data| data) {
                match byte {
                    b'\n' => {
                        names.extend(name(&line).map(<[u8]>::to_vec));
                        line.clear();
                    }
                    _ if line.len() < LINE_BYTES => line.push(*byte),
                    _ => {}
                }
            }
            bound.store(names.len() as u64, Ordering::Relaxed);
        }
    }
}

/// The name in the first bytes of an event, where every server writes it.
fn name(line: &[u8]) -> Option<&[u8]> {
    const BEFORE: &[u8] = b"\"metadata\":{\"name\":\"";
    let from = memchr::memmem::find(line, BEFORE)? + BEFORE.len();
    line[from..].split(|byte| *byte == b'"').next()
}

/// A node as upstream's scheduler_perf has them.
fn node(n: u64) -> String {
    let resources = r#"{"cpu":"4","memory":"32Gi","pods":"110"}"#;
    format!(
        "{{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{{\"name\":\"node-{n}\",\"labels\":{{\
         \"kubernetes.io/hostname\":\"node-{n}\",\"topology.kubernetes.io/zone\":\"zone-{}\"}}}},\
         \"status\":{{\"capacity\":{resources},\"allocatable\":{resources},\
         \"conditions\":[{{\"type\":\"Ready\",\"status\":\"True\"}}]}}}}",
        n % ZONES
    )
}

/// A pod as upstream's scheduler_perf has them. It tolerates that no kubelet has ever spoken for its node.
fn pod(n: u64, batch: &str, shape: Shape) -> String {
    let (label, more) = match shape {
        Shape::Plain => ("none", String::new()),
        Shape::Spread => (
            "spread",
            "\"topologySpreadConstraints\":[{\"maxSkew\":5,\"topologyKey\":\"topology.kubernetes.io/zone\",\
             \"whenUnsatisfiable\":\"DoNotSchedule\",\"labelSelector\":{\"matchLabels\":{\"color\":\"spread\"}}}],"
                .to_owned(),
        ),
        Shape::Apart | Shape::Together => {
            let (color, affinity, key) = match shape {
                Shape::Apart => ("apart", "podAntiAffinity", "kubernetes.io/hostname"),
                _ => ("together", "podAffinity", "topology.kubernetes.io/zone"),
            };
            let term = format!(
                "{{\"labelSelector\":{{\"matchLabels\":{{\"color\":\"{color}\"}}}},\"topologyKey\":\"{key}\"}}"
            );
            let required = format!("{{\"requiredDuringSchedulingIgnoredDuringExecution\":[{term}]}}");
            (color, format!("\"affinity\":{{\"{affinity}\":{required}}},"))
        }
    };
    format!(
        "{{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{{\"name\":\"{batch}-{n}\",\
         \"labels\":{{\"batch\":\"{batch}\",\"color\":\"{label}\"}}}},\
         \"spec\":{{{more}\"tolerations\":[{{\"operator\":\"Exists\"}}],\"containers\":[{{\"name\":\"pause\",\
         \"image\":\"registry.k8s.io/pause:3.10\",\"resources\":{{\"requests\":{{\"cpu\":\"10m\",\"memory\":\"50Mi\"}}}}}}]}}}}"
    )
}

// === impl Shape ===

impl Shape {
    fn name(self) -> &'static str {
        match self {
            Shape::Plain => "plain",
            Shape::Spread => "spread",
            Shape::Apart => "apart",
            Shape::Together => "together",
        }
    }
}
