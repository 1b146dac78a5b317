//! Fan-out: many watchers of the same changes.
//!
//! What a delivered event costs is what the server uses for the same changes with all watchers beyond what it uses with a
//! tenth of them, for each event more. Lag is the time from sending a change to having read its event, at a rate that both
//! sides keep up with.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use decapod_sys::Env;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use memchr::memmem::Finder;
use tokio::time::{Instant, MissedTickBehavior};

use super::Bench;
use crate::Error;
use crate::connection::{Connection, Http, drain};
use crate::load::{Load, Until, drive, percentile};
use crate::pods::{self, Encoding, NAMESPACE, SENT, SENT_DIGITS};

/// What watchers have seen.
struct Seen {
    begin: Instant,
    watchers: u64,
    events: AtomicU64,
    bytes: AtomicU64,
    lags_us: Mutex<Vec<u32>>,
}

/// How long the last event may take.
const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(30);
/// The part of the watchers that is measured first.
const FEWER: u64 = 10;
/// Clients that change pods as fast as they can.
const WRITERS: usize = 8;

impl Bench<'_> {
    /// Measures watches in both encodings.
    pub async fn watch(&self) -> Result<(), Error> {
        for encoding in [Encoding::Json, Encoding::Protobuf] {
            self.watch_in(encoding).await?;
        }
        Ok(())
    }

    async fn watch_in(&self, encoding: Encoding) -> Result<(), Error> {
        let scope = self.place.env.scope();
        let (few, all) = (self.args.watchers as u64 / FEWER, self.args.watchers as u64);
        let seen = Arc::new(Seen::new(few));
        self.start_watchers(&scope, encoding, &seen, few).await?;
        let by_few = self.paced(&seen).await?;
        let seen_by_few = seen.events.load(Ordering::Relaxed);
        scope.shutdown().await;
        let (seen, scope) = (Arc::new(Seen::new(all)), self.place.env.scope());
        self.start_watchers(&scope, encoding, &seen, all).await?;
        let row = format!("watch by {} {}", self.args.watchers, encoding.name());
        let add = |metric, unit, value| self.results.add(&row, metric, unit, value);

        let cpu = self.paced(&seen).await?;
        let events = seen.events.swap(0, Ordering::Relaxed);
        let bytes = seen.bytes.swap(0, Ordering::Relaxed);
        let mut lags = std::mem::take(&mut *seen.lags_us.lock().unwrap_or_else(PoisonError::into_inner));
        lags.sort_unstable();
        let (cpu_more, events_more) = (cpu.saturating_sub(by_few), events.saturating_sub(seen_by_few).max(1));
        add("server CPU", "us/event", cpu_more.as_secs_f64() * 1e6 / events_more as f64)?;
        add("with the changes", "us/event", cpu.as_secs_f64() * 1e6 / events as f64)?;
        add("size", "bytes", bytes as f64 / events as f64)?;
        add("lag p50", "ms", percentile(&lags, 0.5) / 1e3)?;
        add("lag p99", "ms", percentile(&lags, 0.99) / 1e3)?;

        let (objects, begin) = (self.args.objects, seen.begin);
        let load = Load { clients: WRITERS, http: Http::Two, until: Until::Time(self.time()) };
        seen.events.store(0, Ordering::Relaxed);
        let from = Instant::now();
        drive(&self.place, load, move |n| {
            pods::patch(&pods::path(n % objects), pods::sent_patch(begin.elapsed().as_nanos()))
        })
        .await?;
        let delivered = seen.events.load(Ordering::Relaxed) as f64 / from.elapsed().as_secs_f64();
        add("most", "events/s", delivered)?;
        scope.shutdown().await;
        Ok(())
    }

    /// Starts watchers that see changes from now on only: what is there first is of no interest.
    async fn start_watchers(
        &self,
        scope: &Env,
        encoding: Encoding,
        seen: &Arc<Seen>,
        count: u64,
    ) -> Result<(), Error> {
        for _ in 0..count {
            let mut connection = self.place.target.connect(scope, Http::Two).await?;
            let pods = format!("/api/v1/namespaces/{NAMESPACE}/pods?limit=1");
            let path = format!(
                "/api/v1/namespaces/{NAMESPACE}/pods?watch=true&allowWatchBookmarks=true&resourceVersion={}",
                pods::revision(&mut connection, &pods).await?
            );
            let body = connection.send(pods::get(&path, encoding)).await?.into_body();
            scope.spawn("watcher", watcher(connection, body, encoding, seen.clone()));
        }
        Ok(())
    }

    /// Changes pods at the fixed rate, and waits until `seen` has all of it. Returns the CPU that the server used.
    async fn paced(&self, seen: &Seen) -> Result<Duration, Error> {
        let connection = self.place.target.connect(&self.place.env, Http::Two).await?;
        let failure: Arc<Mutex<Option<Error>>> = Arc::default();
        let every = Duration::from_secs(1).div_f64(self.args.rate as f64);
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let cpu = self.place.server.cpu()?;
        let mut changes = Vec::new();
        for n in 0..self.changes() {
            ticks.tick().await;
            let Some(mut connection) = connection.share() else { continue };
            let failure = failure.clone();
            let path = pods::path(n % self.args.objects);
            let ask = pods::patch(&path, pods::sent_patch(seen.begin.elapsed().as_nanos()));
            changes.push(self.place.env.spawn("change", async move {
                let answered = match connection.send(ask).await {
                    Ok(response) => drain(response.into_body()).await.map(drop),
                    Err(error) => Err(error),
                };
                if let Err(error) = answered {
                    failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                }
            }));
        }
        for change in changes {
            change.await.map_err(|error| Error::Setup(error.to_string()))?;
        }
        if let Some(error) = failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(error);
        }
        let end = Instant::now() + ARRIVAL_TIMEOUT;
        while seen.events.load(Ordering::Relaxed) < self.changes() * seen.watchers {
            if Instant::now() > end {
                return Err(Error::Server("not all events of a watch have come".into()));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(self.place.server.cpu()?.saturating_sub(cpu))
    }

    /// How many changes are made at the fixed rate.
    fn changes(&self) -> u64 {
        (self.args.rate as f64 * self.args.seconds) as u64
    }
}

// === impl Seen ===

impl Seen {
    fn new(watchers: u64) -> Seen {
        Seen {
            begin: Instant::now(),
            watchers,
            events: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            lags_us: Mutex::default(),
        }
    }
}

/// Reads events until the connection or the scope ends. The connection is held for as long.
async fn watcher(_connection: Connection, mut body: Incoming, encoding: Encoding, seen: Arc<Seen>) {
    let marker = match encoding.plain() {
        Encoding::Protobuf => [SENT.as_bytes(), &[0x12, SENT_DIGITS as u8]].concat(),
        _ => format!("\"{SENT}\":\"").into_bytes(),
    };
    let finder = Finder::new(&marker);
    let longest = marker.len() + SENT_DIGITS - 1;
    let mut tail: Vec<u8> = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        let Some(data) = frame.data_ref() else { continue };
        seen.bytes.fetch_add(data.len() as u64, Ordering::Relaxed);
        let now = seen.begin.elapsed().as_nanos();
        // A marker may lie across two frames; the tail is too short to hold one whole.
        let head = &data[..data.len().min(longest)];
        tail.extend_from_slice(head);
        scan(&finder, &tail, now, &seen, |at| at < tail.len() - head.len());
        scan(&finder, data, now, &seen, |_| true);
        let keep = tail.len().min(longest);
        tail = if data.len() >= longest {
            data[data.len() - longest..].to_vec()
        } else {
            tail[tail.len() - keep..].to_vec()
        };
    }
}

/// Notes the markers in `data` that begin where `counts` says.
fn scan(finder: &Finder, data: &[u8], now: u128, seen: &Seen, counts: impl Fn(usize) -> bool) {
    for at in finder.find_iter(data).filter(|at| counts(*at)) {
        let from = at + finder.needle().len();
        let Some(digits) = data.get(from..from + SENT_DIGITS) else { continue };
        let sent: u128 = std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok()).unwrap_or(now);
        seen.events.fetch_add(1, Ordering::Relaxed);
        let lag = u32::try_from(now.saturating_sub(sent) / 1000).unwrap_or(u32::MAX);
        seen.lags_us.lock().unwrap_or_else(PoisonError::into_inner).push(lag);
    }
}
