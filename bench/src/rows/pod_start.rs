//! How long a pod takes from being created to being seen Ready by a watch, with its image present.

use std::time::Duration;

use decapod_sys::Env;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use memchr::memmem::find;
use tokio::time::Instant;

use crate::Error;
use crate::args;
use crate::connection::{Connection, Http, Target};
use crate::load::percentile;
use crate::pods::{self, Encoding};
use crate::results::Results;

/// How long a pod may take.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
const PODS: &str = "/api/v1/namespaces/default/pods";

/// Starts pods one after the other.
pub async fn run(env: &Env, args: &args::PodStart) -> Result<(), Error> {
    let target = Target::new(args.port, Some((&args.cert, &args.key)))?;
    let mut connection = target.connect(env, Http::Two).await?;
    let mut times_us = Vec::new();
    for n in 0..args.count {
        let name = format!("bench-{n}");
        // Watched by its name, from before it is there.
        let list = format!("{PODS}?fieldSelector=metadata.name%3D{name}");
        let revision = pods::revision(&mut connection, &list).await?;
        let watch = format!("{list}&watch=true&resourceVersion={revision}");
        let events = connection.send(pods::get(&watch, Encoding::Json)).await?.into_body();
        let begin = Instant::now();
        connection.whole(pods::post(PODS, pod(&name, args))).await?;
        let ready = tokio::time::timeout(READY_TIMEOUT, until_ready(events)).await;
        ready.map_err(|_| Error::Server(format!("{name} is not Ready")))??;
        times_us.push(u32::try_from(begin.elapsed().as_micros()).unwrap_or(u32::MAX));
        remove(&mut connection, &name).await?;
    }
    times_us.sort_unstable();
    let results = Results::new(&args.place);
    results.add(&args.row, "p50", "ms", percentile(&times_us, 0.5) / 1e3)?;
    results.add(&args.row, "p90", "ms", percentile(&times_us, 0.9) / 1e3)
}

/// Reads events until one shows the pod Ready.
async fn until_ready(mut events: Incoming) -> Result<(), Error> {
    let mut seen = Vec::new();
    while let Some(frame) = events.frame().await {
        let frame = frame.map_err(|error| Error::Server(error.to_string()))?;
        seen.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
        while let Some(end) = seen.iter().position(|byte| *byte == b'\n') {
            let event: Vec<u8> = seen.drain(..=end).collect();
            // A condition's type and status are in one object, whatever stands between them.
            let is_ready = |condition: &[u8]| {
                find(condition, b"\"type\":\"Ready\"").is_some()
                    && find(condition, b"\"status\":\"True\"").is_some()
            };
            if event.split(|byte| *byte == b'}').any(is_ready) {
                return Ok(());
            }
        }
    }
    Err(Error::Server("the watch ended".into()))
}

async fn remove(connection: &mut Connection, name: &str) -> Result<(), Error> {
    let path = format!("{PODS}/{name}?gracePeriodSeconds=0");
    connection.whole(pods::delete(&path)).await.map(drop)
}

fn pod(name: &str, args: &args::PodStart) -> String {
    format!(
        r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"{name}"}},"spec":{{"hostNetwork":{},"terminationGracePeriodSeconds":0,
        "automountServiceAccountToken":false,
        "containers":[{{"name":"c","image":"{}","imagePullPolicy":"Never","command":["sleep","3600"]}}]}}}}"#,
        args.host_network, args.image
    )
}
