//! Kubelets without machines: nodes that register, renew their leases and take the pods that are bound to them to Running
//! and away, against any API server.
//!
//! All nodes of one [`Nodes`] share one watch of pods, one of nodes and a fixed number of workers. What a node says is decided by the
//! pure [`node`] and [`pod`]; here is only the way from the watch to the workers and from those to the server.

pub mod node;
pub mod pod;
#[cfg(test)]
mod tests;
mod work;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use decapod_api::Revision;
use decapod_client::{Client, Kind, ObjectInformer, ObjectKey, Queue, Selection};
use decapod_sys::Env;
use k8s_openapi::api::core::v1::{Node, Pod};
use tokio::time::Instant;

use node::NodeState;
use pod::Pace;

/// How simulated nodes are set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// What their names begin with; a number from 1 on follows.
    pub prefix: String,
    /// How many there are.
    pub count: usize,
    /// Such as `32`, for each.
    pub cpu: String,
    /// Such as `256Gi`, for each.
    pub memory: String,
    /// How many pods each takes; at most 250 have addresses of their own.
    pub pods_max: u32,
    /// How long things take.
    pub pace: Pace,
    /// How many nodes may be telling of themselves at the same time; as many again of pods.
    pub workers: usize,
}

/// Simulated nodes. Cloning shares them; they live as long as the scope that they were started in.
#[derive(Clone)]
pub struct Nodes(Arc<Inner>);

/// What simulated nodes have done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many nodes are registered.
    pub registered: usize,
    /// How many pods run on them.
    pub running: usize,
    /// How many pods are bound to them.
    pub pods: usize,
    /// How often leases have been renewed.
    pub renewals: u64,
    /// How many renewals came later than [`LATE`] after the one before.
    pub late: u64,
    /// The longest time between two renewals of a lease, in milliseconds.
    pub gap_ms_max: u64,
}

/// A lease renewed later than this after the last time is late, though nobody minds before 40 s.
pub const LATE: Duration = Duration::from_secs(20);

/// As whom a node acts, by its name.
pub type Clients = Arc<dyn Fn(&str) -> Client + Send + Sync>;

struct Inner {
    env: Env,
    config: Config,
    clients: Clients,
    pods: ObjectInformer,
    /// The nodes, as others see them.
    objects: ObjectInformer,
    nodes: Vec<Mutex<NodeState>>,
    known: Mutex<BTreeMap<ObjectKey, Known>>,
    /// Nodes, by index, that have something to tell.
    telling: Queue<usize>,
    /// Pods to look at.
    looking: Queue<ObjectKey>,
    renewals: AtomicU64,
    late: AtomicU64,
    gap_ms_max: AtomicU64,
}

/// What a node remembers of a pod of its own.
struct Known {
    uid: String,
    node: usize,
    ip: Ipv4Addr,
    since: Instant,
    ending: Option<Instant>,
    start: Duration,
    stop: Duration,
    /// At what revision we last wrote it; older states are not looked at.
    written: Revision,
    is_running: bool,
}

// === impl Config ===

impl Config {
    /// `count` nodes `n1`, `n2`, … that start and stop pods at once.
    pub fn new(count: usize) -> Config {
        let at_once = (Duration::ZERO, Duration::ZERO);
        Config {
            prefix: "n".to_owned(),
            count,
            cpu: "32".to_owned(),
            memory: "256Gi".to_owned(),
            pods_max: 110,
            pace: Pace { start: at_once, stop: at_once, job: Duration::from_secs(1) },
            workers: 32,
        }
    }

    /// The name of the node of this index, from 0.
    pub fn name(&self, index: usize) -> String {
        format!("{}{}", self.prefix, index + 1)
    }

    /// The index of the node of this name.
    pub fn index(&self, name: &str) -> Option<usize> {
        let number: usize = name.strip_prefix(&self.prefix)?.parse().ok()?;
        number.checked_sub(1).filter(|index| *index < self.count)
    }
}

// === impl Nodes ===

impl Nodes {
    /// Starts the nodes: `reader` watches all pods and nodes, and each node acts as its own of `clients`.
    pub fn start(env: &Env, config: Config, reader: &Client, clients: Clients) -> Nodes {
        let bound = Selection { field_selector: "spec.nodeName!=".to_owned(), ..Selection::default() };
        let pods = ObjectInformer::start(env, reader, Pod::resource(), bound, Vec::new());
        let objects = ObjectInformer::start(env, reader, Node::resource(), Selection::default(), Vec::new());
        let now = Instant::now();
        let nodes = (0..config.count).map(|index| Mutex::new(NodeState::new(&config, index, now))).collect();
        let workers = config.workers.max(1);
        let inner = Arc::new(Inner {
            env: env.clone(),
            config,
            clients,
            pods,
            objects,
            nodes,
            known: Mutex::default(),
            telling: Queue::new(),
            looking: Queue::new(),
            renewals: AtomicU64::new(0),
            late: AtomicU64::new(0),
            gap_ms_max: AtomicU64::new(0),
        });
        (0..inner.nodes.len()).for_each(|index| inner.telling.add(index));
        env.spawn("nodes-pods", work::follow(inner.clone()));
        env.spawn("nodes-objects", work::follow_nodes(inner.clone()));
        for _ in 0..workers {
            env.spawn("nodes-tell", work::tell(inner.clone()));
            env.spawn("nodes-look", work::look(inner.clone()));
        }
        Nodes(inner)
    }

    /// Turns the machine of a node off: nothing more is heard of it. Whether there is such a node.
    pub fn turn_off(&self, name: &str) -> bool {
        self.turn(name, true)
    }

    /// Turns it on again.
    pub fn turn_on(&self, name: &str) -> bool {
        self.turn(name, false)
    }

    fn turn(&self, name: &str, off: bool) -> bool {
        let Some(index) = self.0.config.index(name) else { return false };
        self.0.node(index).is_off = off;
        if !off {
            self.0.telling.add(index);
            let known = self.0.known();
            let own = known.iter().filter(|(_, known)| known.node == index);
            own.for_each(|(key, _)| self.0.looking.add(key.clone()));
        }
        true
    }

    /// What they have done so far.
    pub fn report(&self) -> Report {
        let registered = (0..self.0.nodes.len()).filter(|index| !self.0.node(*index).uid.is_empty()).count();
        let known = self.0.known();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Report {
            registered,
            running: known.values().filter(|known| known.is_running).count(),
            pods: known.len(),
            renewals: count(&self.0.renewals),
            late: count(&self.0.late),
            gap_ms_max: count(&self.0.gap_ms_max),
        }
    }
}

// === impl Inner ===

impl Inner {
    fn node(&self, index: usize) -> MutexGuard<'_, NodeState> {
        self.nodes[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A time between two.
    fn between(&self, (least, most): (Duration, Duration)) -> Duration {
        let span_ms = most.saturating_sub(least).as_millis() as u64;
        least + Duration::from_millis(self.env.random_below(span_ms + 1))
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let Report { registered, running, pods, renewals, late, gap_ms_max } = self;
        write!(
            f,
            "{registered} nodes, {running} of {pods} pods running, {renewals} lease renewals, {late} late, longest gap {gap_ms_max} ms"
        )
    }
}
