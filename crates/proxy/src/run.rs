//! The loop: hears of changes, compiles what they touch, tells the kernel.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use decapod_client::{Change as ObjectChange, Changes, Client, Informer, Kind, ObjectKey, Selection, decode};
use decapod_sys::Env;
use decapod_sys::conntrack::{Conntrack, ConntrackSocket};
use decapod_sys::netlink::NetlinkError;
use decapod_sys::nftables::{Batch, Change, Nftables, NftablesError, NftablesSocket};
use futures::FutureExt;
use k8s_openapi::api::core::v1::{Node as ApiNode, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::config::ProxyConfig;
use crate::conntrack::Stale;
use crate::metrics::Metrics;
use crate::state::State;
use crate::tracker::Tracker;

/// The kernel as the proxy sees it. Cloning shares it.
#[derive(Clone)]
pub struct Kernel {
    /// The packet filter.
    pub nftables: Arc<dyn Nftables>,
    /// Connection tracking.
    pub conntrack: Arc<dyn Conntrack>,
}

/// A running proxy. It ends with the scope it was started in.
#[derive(Clone)]
pub struct Proxy {
    metrics: Arc<Metrics>,
    synced: watch::Receiver<bool>,
}

/// What the loop holds; a loop that failed begins with all of it anew but the informers.
struct Worker {
    env: Env,
    config: Arc<ProxyConfig>,
    kernel: Kernel,
    metrics: Arc<Metrics>,
    tracker: Tracker,
    states: Vec<(State, bool)>,
}

#[derive(Clone)]
struct Informers {
    services: Informer<Service>,
    slices: Informer<EndpointSlice>,
    nodes: Informer<ApiNode>,
}

/// How long after a refused sync the next is tried, at first and at most.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(30);

// === impl Kernel ===

impl Kernel {
    /// The kernel as the calling thread sees it.
    pub fn system() -> Result<Kernel, NetlinkError> {
        Ok(Kernel {
            nftables: Arc::new(NftablesSocket::open()?),
            conntrack: Arc::new(ConntrackSocket::open()?),
        })
    }
}

/// Removes the proxy's tables; flows that it sent somewhere stay. They need not be there.
pub fn uninstall(nftables: &dyn Nftables, config: &ProxyConfig) -> Result<(), NftablesError> {
    for (family, table) in nftables.tables()? {
        if table == config.table {
            nftables.apply(&Batch::remove(family, &table))?;
        }
    }
    Ok(())
}

// === impl Proxy ===

impl Proxy {
    /// Starts the proxy of a node. Its table replaces, in one step, the one that an earlier proxy left.
    pub fn start(env: &Env, client: &Client, config: ProxyConfig, kernel: Kernel) -> Proxy {
        let select = |label_selector: &str, field_selector: String| Selection {
            label_selector: label_selector.to_owned(),
            field_selector,
            ..Selection::default()
        };
        // As upstream's: services that have another proxy, and slices of services without an address, are not ours.
        let other = "!service.kubernetes.io/service-proxy-name";
        let own_slices = format!("{other},!service.kubernetes.io/headless");
        let informers = Informers {
            services: Informer::start(env, client, select(other, String::new())),
            slices: Informer::start(env, client, select(&own_slices, String::new())),
            nodes: Informer::start(env, client, select("", format!("metadata.name={}", config.node))),
        };
        let metrics = Arc::<Metrics>::default();
        let (sender, synced) = watch::channel(false);
        let (config, sender) = (Arc::new(config), Arc::new(sender));
        let (scope, counted) = (env.clone(), Arc::clone(&metrics));
        env.supervise("proxy", move || {
            let worker = Worker::new(&scope, &config, &kernel, &counted);
            worker.run(informers.clone(), Arc::clone(&sender))
        });
        Proxy { metrics, synced }
    }

    /// Returns once the kernel knows all services that there were at the start, or the proxy's scope has ended.
    pub async fn synced(&self) {
        // An error means that the loop is gone for good.
        let _gone = self.synced.clone().wait_for(|synced| *synced).await.is_err();
    }

    /// Whether the kernel knows all services that there were at the start.
    pub fn is_synced(&self) -> bool {
        *self.synced.borrow()
    }

    /// What it has done.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}

// === impl Worker ===

impl Worker {
    fn new(env: &Env, config: &Arc<ProxyConfig>, kernel: &Kernel, metrics: &Arc<Metrics>) -> Worker {
        let states = config.families.iter().map(|family| (State::new(Arc::clone(config), *family), true));
        Worker {
            env: env.clone(),
            config: Arc::clone(config),
            kernel: kernel.clone(),
            metrics: Arc::clone(metrics),
            tracker: Tracker::new(config),
            states: states.collect(),
        }
    }

    async fn run(mut self, informers: Informers, synced: Arc<watch::Sender<bool>>) {
        let mut services = informers.services.subscribe();
        let mut slices = informers.slices.subscribe();
        let mut nodes = informers.nodes.subscribe();
        informers.services.synced().await;
        informers.slices.synced().await;
        informers.nodes.synced().await;
        let (mut next, mut retry) = (Instant::now(), RETRY_MIN);
        let mut changed = Some(Instant::now());
        loop {
            self.drain(&mut services, &mut slices, &mut nodes);
            if self.tracker.is_touched() {
                changed.get_or_insert_with(Instant::now);
            }
            if let Some(since) = changed.filter(|_| Instant::now() >= next) {
                let done = self.sync().await;
                retry = if done { RETRY_MIN } else { (retry * 2).min(RETRY_MAX) };
                next = Instant::now() + if done { self.config.sync_interval } else { retry };
                changed = changed.filter(|_| !done);
                if done {
                    Metrics::set_duration(&self.metrics.last_latency_us, since.elapsed());
                    synced.send_replace(true);
                }
                continue;
            }
            let heard = tokio::select! {
                biased;
                change = services.next() => change.map(|change| self.service(&change)),
                change = slices.next() => change.map(|change| self.slice(&change)),
                change = nodes.next() => change.map(|change| self.node(&change)),
                () = tokio::time::sleep_until(next), if changed.is_some() => Some(()),
            };
            if heard.is_none() {
                return;
            }
        }
    }

    /// Takes in what can be had without waiting.
    fn drain(&mut self, services: &mut Changes, slices: &mut Changes, nodes: &mut Changes) {
        while let Some(Some(change)) = services.next().now_or_never() {
            self.service(&change);
        }
        while let Some(Some(change)) = slices.next().now_or_never() {
            self.slice(&change);
        }
        while let Some(Some(change)) = nodes.next().now_or_never() {
            self.node(&change);
        }
    }

    fn service(&mut self, change: &ObjectChange) {
        self.tracker.service(&change.key, read(change).as_ref());
    }

    fn slice(&mut self, change: &ObjectChange) {
        self.tracker.slice(&change.key, read(change).as_ref());
    }

    fn node(&mut self, change: &ObjectChange) {
        self.tracker.node(read(change).as_ref());
    }

    /// Brings the kernel up to date; whether that succeeded. If not, the next sync makes the table anew.
    async fn sync(&mut self) -> bool {
        let (began, touched) = (Instant::now(), self.tracker.take());
        Metrics::set(&self.metrics.services, self.tracker.services() as u64);
        Metrics::set(&self.metrics.slices, self.tracker.slices() as u64);
        let mut done = true;
        for index in 0..self.states.len() {
            done &= self.sync_family(index, &touched).await;
        }
        if done {
            Metrics::add(&self.metrics.syncs, 1);
            Metrics::set_duration(&self.metrics.last_sync_us, began.elapsed());
        }
        done
    }

    async fn sync_family(&mut self, index: usize, touched: &BTreeSet<ObjectKey>) -> bool {
        let (state, anew) = &mut self.states[index];
        let (family, full, mut stale) = (state.family(), *anew, Stale::default());
        let compiled: Vec<_> = touched
            .iter()
            .map(|key| {
                let compiled = self.tracker.compile(key, family);
                stale.note(state.compiled(key), compiled.as_ref());
                (key.clone(), compiled)
            })
            .collect();
        let delta = state.update(compiled);
        let batch = if full { state.rebuild() } else { delta };
        if batch.changes.is_empty() {
            return true;
        }
        Metrics::set(&self.metrics.last_changes, size(&batch));
        let kernel = self.kernel.clone();
        let ipv6 = family == decapod_sys::nftables::Family::Ip6;
        let work = move || {
            kernel.nftables.apply(&batch)?;
            if stale.is_empty() {
                return Ok(0);
            }
            // New flows are right from here on; a flow that is not forgotten ends by its timeout.
            Ok::<_, NftablesError>(kernel.conntrack.forget(ipv6, &|flow| stale.is(flow)).unwrap_or_else(
                |error| {
                    tracing::warn!(%error, "stale UDP flows could not be ended; they end when they time out");
                    0
                },
            ))
        };
        let result = self.env.spawn_blocking(work).await;
        let (_, anew) = &mut self.states[index];
        match result {
            Some(Ok(forgotten)) => {
                *anew = false;
                Metrics::add(&self.metrics.full_syncs, u64::from(full));
                Metrics::add(&self.metrics.flows_forgotten, forgotten as u64);
                true
            }
            failed => {
                *anew = true;
                Metrics::add(&self.metrics.failures, 1);
                match failed {
                    Some(Err(error)) => tracing::error!(%error, "services could not be synced; trying again"),
                    _ => tracing::error!("services could not be synced: the work panicked; trying again"),
                }
                false
            }
        }
    }
}

/// How many changes and elements a batch has.
fn size(batch: &Batch) -> u64 {
    let of = |change: &Change| match change {
        Change::AddElements { elements, .. } | Change::DeleteElements { elements, .. } => {
            elements.len() as u64
        }
        _ => 1,
    };
    batch.changes.iter().map(of).sum()
}

/// The object as it is now; one that does not decode counts as gone.
fn read<K: Kind>(change: &ObjectChange) -> Option<K> {
    let decoded = decode(change.new.as_ref()?);
    decoded
        .inspect_err(
            |error| tracing::warn!(key = %change.key, ?error, "an object that does not read is left out"),
        )
        .ok()
}
