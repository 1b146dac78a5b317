//! How many pods a second are bound, end to end: from creating the first until a watch has shown the last one bound.
//!
//! What is written meanwhile is each pod, its binding and the scheduler's event, on a server that syncs; all processes
//! share the machine with the generator.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use decapod_sys::Env;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::Error;
use crate::args::{self, Shape};
use crate::connection::{Connection, Http, Target};
use crate::load::{Load, Place, Until, drive};
use crate::pods::{self, Encoding, NAMESPACE};
use crate::results::Results;
use crate::server::Server;

/// How long the pods of a row may take, together.
const BOUND_TIMEOUT: Duration = Duration::from_secs(900);
/// How long a scheduler may take to know all nodes.
const READY_TIMEOUT: Duration = Duration::from_secs(120);
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
    let mut connection = place.target.connect(&scope, Http::Two).await?;
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods");
    let revision = pods::revision(&mut connection, &format!("{path}?limit=1")).await?;
    let watch = format!("{path}?watch=true&resourceVersion={revision}&fieldSelector=spec.nodeName%21%3D");
    let events = connection.send(pods::get(&watch, Encoding::Json)).await?.into_body();
    let bound = Arc::new(AtomicU64::new(0));
    scope.spawn("watcher", count_added(connection, events, bound.clone()));
    let begin = Instant::now();
    drive(place, load, move |n| pods::post(&path, pod(&format!("{prefix}-{n}"), shape))).await?;
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

/// Counts the pods that come into a watch: it selects those that are bound.
async fn count_added(_connection: Connection, mut events: Incoming, bound: Arc<AtomicU64>) {
    let mut line = Vec::new();
    while let Some(Ok(frame)) = events.frame().await {
        for byte in frame.data_ref().map_or(&[][..], |data| data) {
            match byte {
                b'\n' => {
                    let added = line.starts_with(b"{\"type\":\"ADDED\"");
                    bound.fetch_add(u64::from(added), Ordering::Relaxed);
                    line.clear();
                }
                _ if line.len() < 16 => line.push(*byte),
                _ => {}
            }
        }
    }
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
fn pod(name: &str, shape: Shape) -> String {
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
        "{{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{{\"name\":\"{name}\",\"labels\":{{\"color\":\"{label}\"}}}},\
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
