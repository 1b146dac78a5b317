//! Clients that each send a request, read the answer, and send the next.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use decapod_sys::Env;
use tokio::time::Instant;

use crate::Error;
use crate::connection::{Connection, Http, Target, drain};
use crate::pods::Ask;
use crate::server::Server;

/// Whom to load, and what is known of its processes.
#[derive(Clone)]
pub struct Place {
    /// Tasks.
    pub env: Env,
    /// The server.
    pub target: Target,
    /// Its processes.
    pub server: Server,
}

/// How much load.
#[derive(Clone, Copy)]
pub struct Load {
    /// Clients at once.
    pub clients: usize,
    /// What they speak. Of HTTP/2, [`SHARED`] clients share a connection.
    pub http: Http,
    /// For how long.
    pub until: Until,
}

/// When a load ends.
#[derive(Clone, Copy)]
pub enum Until {
    /// After this long, of which the first part is not measured.
    Time(Duration),
    /// After this many requests.
    Count(u64),
    /// After this many requests, and not before this long.
    Both(u64, Duration),
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Requests that were answered.
    pub operations: u64,
    /// Bytes of their answers' bodies.
    pub bytes: u64,
    /// How long it took.
    pub wall: Duration,
    /// What the server used meanwhile.
    pub cpu: Duration,
    /// How long each took, in microseconds, in order of length.
    pub latencies_us: Vec<u32>,
}

/// Clients of HTTP/2 that share a connection.
const SHARED: usize = 4;
/// The part of a timed load, at its start, that is not measured.
const WARM_PART: f64 = 0.2;

#[derive(Default)]
struct Shared {
    next: AtomicU64,
    operations: AtomicU64,
    bytes: AtomicU64,
    stop: AtomicBool,
    latencies_us: Mutex<Vec<u32>>,
    failure: Mutex<Option<Error>>,
}

/// Loads the server with the requests that `make` makes of their numbers, from 0 on.
pub async fn drive(
    place: &Place,
    load: Load,
    make: impl Fn(u64) -> Ask + Send + Sync + 'static,
) -> Result<Outcome, Error> {
    let connections = connect(place, load).await?;
    let (shared, make) = (Arc::new(Shared::default()), Arc::new(make));
    let limit = match load.until {
        Until::Time(_) => (u64::MAX, Instant::now()),
        Until::Count(count) => (count, Instant::now()),
        Until::Both(count, time) => (count, Instant::now() + time),
    };
    let clients = |connections: Vec<Connection>| -> Vec<_> {
        let client =
            |connection| place.env.spawn("client", client(connection, shared.clone(), make.clone(), limit));
        connections.into_iter().map(client).collect()
    };
    let (begin, tasks) = match load.until {
        Until::Count(_) | Until::Both(..) => (Point::now(place, &shared)?, clients(connections)),
        Until::Time(time) => {
            let tasks = clients(connections);
            tokio::time::sleep(time.mul_f64(WARM_PART)).await;
            shared.latencies_us.lock().unwrap_or_else(PoisonError::into_inner).clear();
            let begin = Point::now(place, &shared)?;
            tokio::time::sleep(time).await;
            shared.stop.store(true, Ordering::Relaxed);
            (begin, tasks)
        }
    };
    if matches!(load.until, Until::Time(_)) {
        let end = Point::now(place, &shared)?;
        join(tasks, &shared).await?;
        return Ok(end.since(&begin, &shared));
    }
    join(tasks, &shared).await?;
    Ok(Point::now(place, &shared)?.since(&begin, &shared))
}

async fn connect(place: &Place, load: Load) -> Result<Vec<Connection>, Error> {
    let mut connections: Vec<Connection> = Vec::new();
    while connections.len() < load.clients {
        let shared = match connections.last() {
            Some(last) if !connections.len().is_multiple_of(SHARED) => last.share(),
            _ => None,
        };
        connections.push(match shared {
            Some(shared) => shared,
            None => place.target.connect(&place.env, load.http).await?,
        });
    }
    Ok(connections)
}

async fn client(
    mut connection: Connection,
    shared: Arc<Shared>,
    make: Arc<impl Fn(u64) -> Ask>,
    limit: (u64, Instant),
) {
    while !shared.stop.load(Ordering::Relaxed) {
        let n = shared.next.fetch_add(1, Ordering::Relaxed);
        if n >= limit.0 && Instant::now() >= limit.1 {
            break;
        }
        let begin = Instant::now();
        let answered = match connection.send(make(n)).await {
            Ok(response) => drain(response.into_body()).await,
            Err(error) => Err(error),
        };
        match answered {
            Ok(bytes) => {
                let us = u32::try_from(begin.elapsed().as_micros()).unwrap_or(u32::MAX);
                shared.operations.fetch_add(1, Ordering::Relaxed);
                shared.bytes.fetch_add(bytes, Ordering::Relaxed);
                shared.latencies_us.lock().unwrap_or_else(PoisonError::into_inner).push(us);
            }
            Err(error) => {
                shared.stop.store(true, Ordering::Relaxed);
                shared.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
        }
    }
}

async fn join(tasks: Vec<tokio::task::JoinHandle<()>>, shared: &Shared) -> Result<(), Error> {
    for task in tasks {
        task.await.map_err(|error| Error::Setup(error.to_string()))?;
    }
    let failure = shared.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
    failure.map_or(Ok(()), Err)
}

/// A moment of a load.
struct Point {
    at: Instant,
    cpu: Duration,
    operations: u64,
    bytes: u64,
}

// === impl Point ===

impl Point {
    fn now(place: &Place, shared: &Shared) -> Result<Point, Error> {
        Ok(Point {
            at: Instant::now(),
            cpu: place.server.cpu()?,
            operations: shared.operations.load(Ordering::Relaxed),
            bytes: shared.bytes.load(Ordering::Relaxed),
        })
    }

    fn since(&self, begin: &Point, shared: &Shared) -> Outcome {
        let latencies = &mut *shared.latencies_us.lock().unwrap_or_else(PoisonError::into_inner);
        let mut latencies_us = std::mem::take(latencies);
        latencies_us.sort_unstable();
        Outcome {
            operations: self.operations - begin.operations,
            bytes: self.bytes - begin.bytes,
            wall: self.at - begin.at,
            cpu: self.cpu.saturating_sub(begin.cpu),
            latencies_us,
        }
    }
}

// === impl Outcome ===

impl Outcome {
    /// Operations a second.
    pub fn rate(&self) -> f64 {
        self.operations as f64 / self.wall.as_secs_f64()
    }

    /// What the server used for each, in microseconds.
    pub fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.operations.max(1) as f64
    }

    /// The latency that this part of the requests stayed below, in milliseconds.
    pub fn latency_ms(&self, part: f64) -> f64 {
        percentile(&self.latencies_us, part) / 1e3
    }
}

/// The value that this part of the sorted `values` stays below.
pub fn percentile(values: &[u32], part: f64) -> f64 {
    let at = (values.len() as f64 * part) as usize;
    values.get(at.min(values.len().saturating_sub(1))).copied().map_or(0.0, f64::from)
}
