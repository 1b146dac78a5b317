//! A running kubelet: its parts, put together.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use decapod_client::{Client, Informer, Recorder, Selection};
use decapod_sys::Env;
use k8s_openapi::api::core::v1::{Pod, Service};
use tokio::sync::{mpsc, watch};

use crate::admit::Admission;
use crate::config::Config;
use crate::containerd::Containerd;
use crate::cri::Cri;
use crate::dispatch::Dispatcher;
use crate::downward::Node;
use crate::images::Images;
use crate::logs::keep_small;
use crate::node::{Keeper, Machine, machine, status};
use crate::objects::Objects;
use crate::pod::NodePod;
use crate::prepare::{Ground, StartError, prepare, remove_all_pods};
use crate::pull::Puller;
use crate::server::{Reviews, Server, ServerError};
use crate::status::Statuses;
use crate::volumes::Volumes;
use crate::worker::Shared;
use crate::workers::Workers;

/// A kubelet that runs.
pub struct Kubelet {
    env: Env,
    containerd: Option<Containerd>,
    cri: Cri,
    images: Option<Images>,
    address: Option<SocketAddr>,
    ready: watch::Receiver<bool>,
    workers: Workers,
}

/// What is known before any part is made.
struct Parts {
    env: Env,
    client: Client,
    config: Arc<Config>,
    machine: Machine,
    ip: IpAddr,
    recorder: Recorder,
    pods: Informer<Pod>,
}

// === impl Kubelet ===

impl Kubelet {
    /// Starts all of it; returns when the runtime answers and the node's own API listens. It ends with `env`, and
    /// leaves all containers running.
    pub async fn start(env: &Env, client: Client, config: Config) -> Result<Kubelet, StartError> {
        let env = env.scope();
        let ground = prepare(&env, &config).await?;
        let parts = Parts::new(env, client, config);
        let (objects_changed, object_changes) = mpsc::unbounded_channel();
        let (ready, is_ready) = watch::channel(false);
        let (events, event_count) = watch::channel(0);
        let shared = parts.share(&ground, objects_changed, is_ready.clone());
        let workers = Workers::new(&parts.env, &shared);
        let address = parts.serve(&shared, &workers, event_count).await?;
        let Parts { env, client, config, machine, ip, recorder, pods } = parts;
        let Ground { mounts, cri, containerd, images, .. } = ground;
        env.spawn("log-rotation", keep_small(env.clone(), cri.clone(), config.pod_log_dir.clone()));
        let only = Selection {
            field_selector: format!("metadata.name={}", config.node_name),
            ..Selection::default()
        };
        let keeper = Keeper {
            env: env.clone(),
            client: client.clone(),
            config: Arc::clone(&config),
            nodes: Informer::start(&env, &client, only),
            machine,
            ip,
            cri: cri.clone(),
            mounts,
            recorder,
            ready,
        };
        env.spawn("node", keeper.run());
        let dispatcher =
            Dispatcher { env: env.clone(), client, config, shared, workers: workers.clone(), pods, events };
        env.spawn("kubelet", dispatcher.run(object_changes));
        Ok(Kubelet { env, containerd, cri, images, address, ready: is_ready, workers })
    }

    /// Returns when the node is ready for pods.
    pub async fn ready(&self) {
        // It ends with the kubelet.
        drop(self.ready.clone().wait_for(|ready| *ready).await);
    }

    /// Where the node's own API listens.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// The container runtime.
    pub fn cri(&self) -> &Cri {
        &self.cri
    }

    /// The images of the containerd of our own.
    pub fn images(&self) -> Option<&Images> {
        self.images.as_ref()
    }

    /// The pods that have a worker.
    pub fn pods(&self) -> Vec<Arc<NodePod>> {
        self.workers.list()
    }

    /// Ends the kubelet; containers and containerd go on.
    pub async fn stop(&self) {
        self.env.shutdown().await;
    }

    /// Ends the kubelet, all pods of the node, and the containerd of our own: for `down` and `uninstall`.
    pub async fn stop_everything(&self, env: &Env) {
        self.env.shutdown().await;
        remove_all_pods(&self.cri).await;
        if let Some(containerd) = &self.containerd {
            containerd.stop(env).await;
        }
    }
}

// === impl Parts ===

impl Parts {
    fn new(env: Env, client: Client, config: Config) -> Parts {
        let machine = Machine::read();
        let ip = config.node_ip.unwrap_or_else(machine::own_ip);
        let recorder = Recorder::on_host(&env, &client, "kubelet", &config.node_name);
        let field_selector = format!("spec.nodeName={}", config.node_name);
        let pods = Informer::start(&env, &client, Selection { field_selector, ..Selection::default() });
        Parts { env, client, config: Arc::new(config), machine, ip, recorder, pods }
    }

    fn share(
        &self,
        ground: &Ground,
        objects_changed: mpsc::UnboundedSender<String>,
        ready: watch::Receiver<bool>,
    ) -> Arc<Shared> {
        let Parts { env, client, config, machine, ip, recorder, pods } = self;
        let disk =
            ground.mounts.usage(&config.data_dir).map_or(0, |usage| usage.capacity_bytes.cast_signed());
        let allocatable = status::allocatable(config, machine, disk);
        let sysctls = config.allowed_unsafe_sysctls.clone();
        let node = Node {
            name: config.node_name.clone(),
            ips: vec![ip.to_string()],
            allocatable: allocatable.clone(),
        };
        let node = Arc::new(node);
        let objects = Objects::new(env, client, objects_changed);
        Arc::new(Shared {
            env: env.clone(),
            config: Arc::clone(config),
            client: client.clone(),
            cri: ground.cri.clone(),
            recorder: recorder.clone(),
            statuses: Statuses::start(env, client, pods),
            volumes: Volumes::new(env, client, config, &ground.mounts, &objects, &node),
            objects,
            puller: Puller::new(env, &ground.cri, recorder),
            services: Informer::<Service>::start(env, client, Selection::default()),
            cgroups: Arc::clone(&ground.cgroups),
            mounts: Arc::clone(&ground.mounts),
            node,
            memory_capacity_bytes: machine.memory_bytes,
            ids: std::sync::Mutex::default(),
            admission: Admission::new(allocatable, config.pods_max, sysctls),
            ready,
        })
    }

    async fn serve(
        &self,
        shared: &Shared,
        workers: &Workers,
        events: watch::Receiver<u64>,
    ) -> Result<Option<SocketAddr>, ServerError> {
        let Some(config) = &self.config.server else { return Ok(None) };
        let server = Server {
            env: self.env.clone(),
            workers: workers.clone(),
            statuses: shared.statuses.clone(),
            cri: shared.cri.clone(),
            events,
            access: Arc::new(Reviews::new(&self.client, &self.config.node_name)),
        };
        server.start(config).await.map(Some)
    }
}
