//! Rows of one kind of request: create, get, list, patch.

use std::sync::Arc;

use super::Bench;
use crate::Error;
use crate::connection::Http;
use crate::load::{Load, Outcome, Until, drive};
use crate::pods::{self, Ask, Encoding, NAMESPACE};

/// How long a server may rest after a load before its memory is read.
const REST: std::time::Duration = std::time::Duration::from_secs(3);
/// Lists are large: so many for each second that a row is to take, however long they take.
const LISTS_PER_SECOND: f64 = 3.0;
/// Where pods are that only memory is told by.
const MORE: &str = "bench-more";

impl Bench<'_> {
    /// Makes the pods that the other rows work on.
    pub async fn create(&self) -> Result<(), Error> {
        let until = Until::Count(self.args.objects);
        let load = Load { clients: self.args.clients, http: Http::Two, until };
        let outcome = drive(&self.place, load, |n| pods::create(n, NAMESPACE)).await?;
        self.report("create", &outcome)
    }

    /// Makes more pods, and says what one needs in memory.
    pub async fn more(&self) -> Result<(), Error> {
        if self.args.more == 0 {
            return Ok(());
        }
        let bytes = self.body_bytes().await?;
        let before = self.place.server.memory()?.rss;
        let load = Load { clients: 64, http: Http::Two, until: Until::Count(self.args.more) };
        let outcome = drive(&self.place, load, |n| pods::create(n, MORE)).await?;
        tokio::time::sleep(REST).await;
        let grown = self.place.server.memory()?.rss.saturating_sub(before) as f64 / self.args.more as f64;
        let row = format!("create {} more", self.args.more);
        self.report(&row, &outcome)?;
        self.results.add("memory of a pod", "its JSON", "bytes", bytes)?;
        self.results.add("memory of a pod", "RSS grown", "bytes", grown)?;
        self.results.add("memory of a pod", "by its JSON", "times", grown / bytes)
    }

    /// Reads single pods.
    pub async fn get(&self) -> Result<(), Error> {
        for (name, http, encoding) in [
            ("get JSON", Http::Two, Encoding::Json),
            ("get protobuf", Http::Two, Encoding::Protobuf),
            ("get JSON HTTP/1.1", Http::One, Encoding::Json),
        ] {
            let asks = self.asks(move |n| pods::get(&pods::path(n), encoding));
            self.timed(name, self.args.clients, http, move |n| asks(n)).await?;
        }
        Ok(())
    }

    /// Lists all pods of a namespace.
    pub async fn list(&self) -> Result<(), Error> {
        let path = format!("/api/v1/namespaces/{NAMESPACE}/pods");
        for encoding in self.args.encodings.iter().copied() {
            // The size that counts is that before compression.
            let mut connection = self.place.target.connect(&self.place.env, Http::Two).await?;
            let (_, body) = connection.whole(pods::get(&path, encoding.plain())).await?;
            let row = format!("list of {} {}{}", self.args.objects, encoding.name(), self.args.note);
            let until = Until::Both((self.args.seconds * LISTS_PER_SECOND) as u64, self.time());
            let load = Load { clients: 1, http: Http::Two, until };
            let path = path.clone();
            let outcome = drive(&self.place, load, move |_| pods::get(&path, encoding)).await?;
            let megabytes = body.len() as f64 * outcome.operations as f64 / 1e6;
            let add = |metric, unit, value| self.results.add(&row, metric, unit, value);
            add("server CPU", "ms/list", outcome.cpu_us() / 1e3)?;
            add("rate", "MB/s", megabytes / outcome.wall.as_secs_f64())?;
            add("size", "MB", body.len() as f64 / 1e6)?;
            add("sent", "MB", outcome.bytes as f64 / outcome.operations.max(1) as f64 / 1e6)?;
        }
        Ok(())
    }

    /// Changes pods: an annotation as a person would, a condition as a kubelet does.
    pub async fn patch(&self) -> Result<(), Error> {
        let objects = self.args.objects;
        let paths: Arc<[String]> = (0..objects).map(pods::path).collect();
        let annotate = {
            let paths = paths.clone();
            move |n: u64| pods::patch(&paths[(n * STEP % objects) as usize], pods::sent_patch(u128::from(n)))
        };
        self.timed("patch an annotation", self.args.clients, Http::Two, annotate).await?;
        let status = move |n: u64| {
            let path = format!("{}/status", paths[(n * STEP % objects) as usize]);
            pods::patch(&path, pods::status_patch(n))
        };
        self.timed("patch a status", self.args.clients, Http::Two, status).await
    }

    /// The pods one after the other, in an order that jumps.
    fn asks(&self, make: impl Fn(u64) -> Ask) -> Arc<dyn Fn(u64) -> Ask + Send + Sync> {
        let asks: Vec<Ask> = (0..self.args.objects).map(make).collect();
        Arc::new(move |n| asks[(n * STEP % asks.len() as u64) as usize].clone())
    }

    async fn timed(
        &self,
        row: &str,
        clients: usize,
        http: Http,
        make: impl Fn(u64) -> Ask + Send + Sync + 'static,
    ) -> Result<(), Error> {
        let load = Load { clients, http, until: Until::Time(self.time()) };
        let outcome = drive(&self.place, load, make).await?;
        self.report(row, &outcome)
    }

    fn report(&self, row: &str, outcome: &Outcome) -> Result<(), Error> {
        self.results.add(row, "server CPU", "us/op", outcome.cpu_us())?;
        self.results.add(row, "rate", "op/s", outcome.rate())?;
        self.results.add(row, "p50", "ms", outcome.latency_ms(0.5))?;
        self.results.add(row, "p99", "ms", outcome.latency_ms(0.99))
    }

    /// The size of a pod as it is served.
    async fn body_bytes(&self) -> Result<f64, Error> {
        let mut connection = self.place.target.connect(&self.place.env, Http::Two).await?;
        let (_, body) = connection.whole(pods::get(&pods::path(0), Encoding::Json)).await?;
        Ok(body.len() as f64)
    }
}

/// A prime: pods are visited far from one another.
const STEP: u64 = 7919;
