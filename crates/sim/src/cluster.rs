//! A whole cluster in one process, on one thread, under paused time, from one seed.
//!
//! The API server is the real one, below TLS and HTTP; its store lives on a disk that loses, tears and fails; scheduler
//! and controllers are the real ones, each acting as its own identity; the nodes are simulated. Requests, answers and
//! watches are as slow as chance will have it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use decapod_api::Object;
use decapod_api::kinds::{BUILT_IN, Resource};
use decapod_api::meta::GroupVersionResource;
use decapod_apiserver::StartError;
use decapod_apiserver::identity::{MASTERS, User};
use decapod_client::{Client, Options};
use decapod_controllers::{ApiResource, ConfigError, Controllers, Resources, SHARED_INFORMERS};
use decapod_scheduler::Scheduler;
use decapod_store::At;
use decapod_store::disk::FakeDisk;
use decapod_store::disk::fake::Loss;
use decapod_sys::Env;

use crate::machine::Machine;
use crate::monitor::{Condition, Monitor};
use crate::nodes::{self, Nodes, pod::Pace};
use crate::trace::Trace;

/// The cluster.
pub struct Cluster {
    env: Env,
    trace: Trace,
    machine: Arc<Machine>,
    monitor: Monitor,
    nodes: Option<Nodes>,
    /// How many objects of each resource the API server made by itself, by plural.
    born: BTreeMap<String, usize>,
    /// The same for the cluster's whole life.
    _scheduler: Scheduler,
}

/// Why there is no cluster.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server.
    #[error("starting the API server: {0}")]
    Server(#[from] StartError),
    /// The controllers.
    #[error("starting the controllers: {0}")]
    Controllers(#[from] ConfigError),
}

/// How long pods take to start and to stop.
const PACE: Pace = Pace {
    start: (Duration::from_millis(100), Duration::from_millis(2500)),
    stop: (Duration::from_millis(50), Duration::from_millis(1500)),
    job: Duration::from_secs(5),
};

// === impl Cluster ===

impl Cluster {
    /// Starts a cluster without nodes, within a runtime of one thread whose time is paused. `keep` keeps the lines of
    /// its trace.
    pub async fn start(seed: u64, keep: bool) -> Result<Cluster, Error> {
        let (env, trace) = (Env::simulated(seed), Trace::new(keep));
        let machine = Arc::new(Machine::new(&env, FakeDisk::new(seed), trace.clone())?);
        machine.start().await?;
        let born = counts(&machine).await;
        env.spawn("machine", machine.clone().revive());
        let monitor = Monitor::start(&env, &machine.gate, &trace);
        let gate = machine.gate.clone();
        let config = decapod_controllers::Config {
            cluster_cidr: "10.42.0.0/16".to_owned(),
            service_cidr: "10.43.0.0/16".to_owned(),
            root_ca_pem: machine.ca_pem().to_owned(),
            resources: served(),
            ..decapod_controllers::Config::default()
        };
        Controllers::start(&env, config, &|name| match name {
            SHARED_INFORMERS => {
                gate.client(User::new("system:kube-controller-manager", &[]), "kube-controller-manager")
            }
            name => gate.client(User::service_account("kube-system", name), name),
        })?;
        let scheduler = gate.client(User::new("system:kube-scheduler", &[]), "kube-scheduler");
        let scheduler = Scheduler::start(&env, scheduler, decapod_scheduler::Config::default());
        let nodes = None;
        Ok(Cluster { env, trace, machine, monitor, nodes, born, _scheduler: scheduler })
    }

    /// Adds `count` nodes, once, and waits until all of them are ready.
    pub async fn add_nodes(&mut self, count: usize) {
        let (gate, reader) = (self.machine.gate.clone(), self.user());
        let config = nodes::Config {
            pace: PACE,
            cpu: "8".to_owned(),
            memory: "16Gi".to_owned(),
            ..nodes::Config::new(count)
        };
        let clients = move |name: &str| gate.client(User::node(name), "kubelet");
        let nodes = Nodes::start(&self.env, config, &reader, Arc::new(clients));
        while nodes.report().registered < count && self.failure().is_none() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.nodes = Some(nodes);
    }

    /// A client of the administrator, as slow and as broken as any.
    pub fn user(&self) -> Client {
        self.machine.gate.client(User::new("kubernetes-admin", &[MASTERS]), "kubectl")
    }

    /// The simulated nodes.
    pub fn nodes(&self) -> Option<&Nodes> {
        self.nodes.as_ref()
    }

    /// How many objects there are of each resource, by plural, beyond those that the API server made by itself when it
    /// first started.
    pub async fn counts(&self) -> BTreeMap<String, i64> {
        let now = counts(&self.machine).await.into_iter();
        let born = |plural: &str| self.born.get(plural).copied().unwrap_or_default() as i64;
        now.map(|(plural, count)| (plural.clone(), count as i64 - born(&plural))).collect()
    }

    /// All objects of `resource`, if the server lives; nobody is told of the look.
    pub async fn objects(&self, resource: GroupVersionResource) -> Option<Vec<Object>> {
        let life = self.machine.gate.life()?;
        let client = life.server.client(User::new("kubernetes-admin", &[MASTERS]), "simulation");
        client.list_resource(resource, "", Options::default()).await.ok().map(|list| list.items)
    }

    /// Holds the cluster to `condition` from now on, at every change of a pod or ReplicaSet; fails for other resources.
    pub fn always(&self, condition: Condition) -> Result<(), String> {
        self.monitor.always(condition)
    }

    /// Kills the API server. `with_power` also costs the disk what it likes of what was not synced.
    pub async fn kill_server(&self, with_power: bool) {
        let loss = if with_power { self.machine.some_loss() } else { Loss::Nothing };
        self.machine.kill(loss).await;
    }

    /// Starts the API server again.
    pub async fn start_server(&self) -> Result<(), Error> {
        self.machine.start().await.map_err(Error::Server)
    }

    /// Kills the API server after each of its writes from now on, or lets it live.
    pub fn kill_after_each_write(&self, kills: bool) {
        self.machine.gate.set_kills(kills);
    }

    /// Whether the API server lives.
    pub fn is_up(&self) -> bool {
        self.machine.gate.life().is_some()
    }

    /// How many writes there have been, and how many lives of the API server.
    pub fn writes_and_lives(&self) -> (u64, u64) {
        (self.machine.gate.writes(), *self.machine.gate.lives.borrow())
    }

    /// What has gone wrong, if anything has.
    pub fn failure(&self) -> Option<String> {
        let panics = self.env.panics();
        let panicked = (panics > 0).then(|| format!("components panicked {panics} times"));
        self.trace.failure().or(panicked)
    }

    /// A number that two runs of a seed have in common, and how much happened.
    pub fn sum(&self) -> (u64, u64) {
        self.trace.sum()
    }

    /// A number that tells whether two runs did the same to the disk.
    pub fn disk_trace(&self) -> u64 {
        self.machine.disk.trace()
    }

    /// Ends everything; the lines of the trace, if they were kept.
    pub async fn stop(self) -> Vec<String> {
        self.machine.kill(Loss::Nothing).await;
        self.env.shutdown().await;
        self.trace.take_lines()
    }
}

/// How many objects there are of each resource, by plural.
async fn counts(machine: &Machine) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let Some(life) = machine.gate.life() else { return counts };
    for row in BUILT_IN.iter() {
        let Some(prefix) = row.prefix() else { continue };
        if let Ok(snapshot) = life.server.registry().store().snapshot(prefix, At::Latest).await {
            counts.insert(row.plural.to_string(), snapshot.len());
        }
    }
    counts
}

/// The resources that controllers look at when they look at all.
fn served() -> Resources {
    let of_row = |row: &Arc<Resource>| ApiResource {
        resource: row.preferred(),
        kind: row.kind.to_string(),
        is_namespaced: row.namespaced,
        verbs: row.verbs.iter().map(ToString::to_string).collect(),
    };
    tokio::sync::watch::channel(Arc::new(BUILT_IN.iter().map(of_row).collect())).1
}
