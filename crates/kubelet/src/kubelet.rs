//! Puts the parts together and hands what happens from one to the other.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use decapod_client::{Change, Client, Informer, Recorder, Selection, decode};
use decapod_sys::Env;
use decapod_sys::cgroup::{self, Cgroups, Limits};
use decapod_sys::mount::{KernelMounts, Mounts};
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tokio::sync::{mpsc, watch};

use crate::config::{Config, RuntimeChoice};
use crate::containerd::{self, Containerd, ContainerdError, Settings};
use crate::cri::types::{ContainerFilter, ImageSpec, PodSandboxFilter};
use crate::cri::{Cri, RuntimeEvent, client::ConnectError, watch_events};
use crate::downward::Node;
use crate::images::{Images, ImportError};
use crate::logs::keep_small;
use crate::node::{Keeper, Machine, machine, status};
use crate::objects::Objects;
use crate::pause;
use crate::pod::observed::labels;
use crate::pod::{CONFIG_MIRROR, NodePod, qos};
use crate::pull::Puller;
use crate::server::{Reviews, Server, ServerError};
use crate::source::{Manifests, mirror, watch_manifests};
use crate::status::Statuses;
use crate::volumes::Volumes;
use crate::worker::Shared;
use crate::workers::Workers;

/// The kubelet cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its container runtime does not run.
    #[error(transparent)]
    Containerd(#[from] ContainerdError),
    /// Its container runtime cannot be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The pause image was not taken.
    #[error("the pause image: {0}")]
    Pause(#[from] ImportError),
    /// A directory, mount or control group cannot be made.
    #[error("cannot prepare {what}: {source}")]
    Prepare {
        /// Such as a path.
        what: String,
        /// Why not.
        source: std::io::Error,
    },
    /// Its own API does not start.
    #[error(transparent)]
    Server(#[from] ServerError),
}

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

/// What the loop hands on.
struct Dispatcher {
    env: Env,
    client: Client,
    config: Arc<Config>,
    shared: Arc<Shared>,
    workers: Workers,
    pods: Informer<Pod>,
    events: watch::Sender<u64>,
}

// === impl Kubelet ===

impl Kubelet {
    /// Starts all of it; returns when the runtime answers and the node's own API listens. It ends with `env`, and
    /// leaves all containers running.
    pub async fn start(env: &Env, client: Client, config: Config) -> Result<Kubelet, StartError> {
        let env = env.scope();
        let mounts: Arc<dyn Mounts> = Arc::new(KernelMounts);
        prepare_directories(&config, &*mounts)?;
        let (containerd, images, cri) = start_runtime(&env, &config).await?;
        let cgroups: Arc<dyn Cgroups> = prepare_cgroups(&config)?;
        let machine = Machine::read();
        let ip = config.node_ip.unwrap_or_else(machine::own_ip);
        let disk =
            mounts.usage(&config.data_dir).map(|usage| usage.capacity_bytes.cast_signed()).unwrap_or(0);
        let allocatable = status::allocatable(&config, &machine, disk);
        let node = Arc::new(Node {
            name: config.node_name.clone(),
            ips: vec![ip.to_string()],
            allocatable: allocatable.clone(),
        });
        let config = Arc::new(config);
        let recorder = Recorder::on_host(&env, &client, "kubelet", &config.node_name);
        let on_node = Selection {
            field_selector: format!("spec.nodeName={}", config.node_name),
            ..Selection::default()
        };
        let pods = Informer::<Pod>::start(&env, &client, on_node);
        let (objects_changed, object_changes) = mpsc::unbounded_channel();
        let objects = Objects::new(&env, &client, objects_changed);
        let (ready, is_ready) = watch::channel(false);
        let statuses = Statuses::start(&env, &client, &pods);
        let unsafe_sysctls = config.allowed_unsafe_sysctls.clone();
        let labels = status::labels(&config, &machine);
        let shared = Arc::new(Shared {
            env: env.clone(),
            client: client.clone(),
            cri: cri.clone(),
            recorder: recorder.clone(),
            statuses: statuses.clone(),
            volumes: Volumes::new(&env, &client, &config, &mounts, &objects, &node),
            objects,
            puller: Puller::new(&env, &cri, &recorder),
            services: Informer::<Service>::start(&env, &client, Selection::default()),
            cgroups,
            mounts: Arc::clone(&mounts),
            node,
            memory_capacity_bytes: machine.memory_bytes,
            ids: std::sync::Mutex::default(),
            admission: crate::admit::Admission::new(allocatable, config.pods_max, labels, unsafe_sysctls),
            ready: is_ready.clone(),
            config: Arc::clone(&config),
        });
        let workers = Workers::new(&env, &shared);
        let (events, event_count) = watch::channel(0);
        let address = match &config.server {
            None => None,
            Some(server) => {
                let access = Arc::new(Reviews::new(&client, &config.node_name));
                let serving = Server {
                    env: env.clone(),
                    workers: workers.clone(),
                    statuses,
                    cri: cri.clone(),
                    events: event_count,
                    access,
                };
                Some(serving.start(server).await?)
            }
        };
        let keeper = Keeper {
            env: env.clone(),
            client: client.clone(),
            config: Arc::clone(&config),
            machine,
            ip,
            cri: cri.clone(),
            mounts,
            recorder,
            ready,
        };
        env.spawn("node", keeper.run());
        env.spawn("log-rotation", keep_small(env.clone(), cri.clone(), config.pod_log_dir.clone()));
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

/// Stops and removes all pods that the runtime has, at once.
pub async fn remove_all_pods(cri: &Cri) {
    let sandboxes = cri.list_sandboxes(PodSandboxFilter::default()).await.unwrap_or_default();
    let removals = sandboxes.iter().map(|sandbox| async {
        if let Err(error) = cri.stop_sandbox(&sandbox.id).await {
            tracing::warn!(%error, "cannot stop a sandbox");
        }
        if let Err(error) = cri.remove_sandbox(&sandbox.id).await {
            tracing::warn!(%error, "cannot remove a sandbox");
        }
    });
    futures::future::join_all(removals).await;
}

/// Takes away what a kubelet with `config` has mounted and the control groups of its pods, once none runs.
pub fn clean_up(config: &Config) -> std::io::Result<()> {
    let mounts = KernelMounts;
    let below = mounts
        .list()?
        .into_iter()
        .map(|mount| mount.target)
        .filter(|target| target.starts_with(&config.data_dir));
    for target in below.collect::<Vec<PathBuf>>().iter().rev() {
        mounts.unmount(target)?;
    }
    cgroup::detect()?.remove(&config.cgroup_root)
}

/// The data directory, itself a mount whose mounts pods can share both ways.
fn prepare_directories(config: &Config, mounts: &dyn Mounts) -> Result<(), StartError> {
    let root = config.data_dir.join("kubelet");
    let fail =
        |what: &std::path::Path, source| StartError::Prepare { what: what.display().to_string(), source };
    for path in [&root.join("pods"), &config.pod_log_dir, &root.join("seccomp")] {
        std::fs::create_dir_all(path).map_err(|source| fail(path, source))?;
    }
    let list = mounts.list().map_err(|source| fail(&root, source))?;
    if !list.iter().any(|mount| mount.target == root && mount.shared) {
        mounts.bind(&root, &root).map_err(|source| fail(&root, source))?;
        mounts.share(&root).map_err(|source| fail(&root, source))?;
    }
    Ok(())
}

async fn start_runtime(
    env: &Env,
    config: &Config,
) -> Result<(Option<Containerd>, Option<Images>, Cri), StartError> {
    let dirs = match &config.runtime {
        RuntimeChoice::Socket(socket) => return Ok((None, None, Cri::new(socket)?)),
        RuntimeChoice::Containerd { dirs } => dirs.clone(),
    };
    let found =
        env.spawn_blocking(move || containerd::find(&dirs)).await.unwrap_or(Err(ContainerdError::Missing))?;
    let settings = Settings {
        pause_image: pause::PAUSE_IMAGE.to_owned(),
        cni_conf_dir: config.cni_conf_dir.clone(),
        cni_bin_dir: config.cni_bin_dir.clone(),
        restrict_oom_score_adj: !can_lower_oom_score(),
    };
    let directory = config.data_dir.join("containerd");
    let containerd = Containerd::start(env, &directory, found, &settings).await?;
    let cri = Cri::new(&containerd.socket())?;
    let images = Images::new(&containerd.socket(), containerd.ctr());
    let spec = ImageSpec { image: pause::PAUSE_IMAGE.to_owned(), ..ImageSpec::default() };
    if !matches!(cri.image_status(spec).await, Ok(Some(_))) {
        let write = pause::write_archive(&directory);
        let archive =
            write.map_err(|source| StartError::Prepare { what: "the pause image".to_owned(), source })?;
        images.import(&archive, &[("io.cri-containerd.pinned", "pinned")]).await?;
    }
    Ok((Some(containerd), Some(images), cri))
}

/// Whether this process may make others less likely to be killed when memory runs out.
fn can_lower_oom_score() -> bool {
    const CAP_SYS_RESOURCE: u32 = 24;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let bits = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
    bits & (1 << CAP_SYS_RESOURCE) != 0
}

fn prepare_cgroups(config: &Config) -> Result<Arc<dyn Cgroups>, StartError> {
    let fail =
        |source| StartError::Prepare { what: format!("the control group {}", config.cgroup_root), source };
    let cgroups: Arc<dyn Cgroups> = Arc::from(cgroup::detect().map_err(fail)?);
    let groups =
        [(qos::Class::Guaranteed, None), (qos::Class::Burstable, None), (qos::Class::BestEffort, Some(2))];
    for (class, cpu_shares) in groups {
        cgroups
            .ensure(&class.cgroup(&config.cgroup_root), &Limits { cpu_shares, ..Limits::default() })
            .map_err(fail)?;
    }
    Ok(cgroups)
}

// === impl Dispatcher ===

impl Dispatcher {
    async fn run(self, mut object_changes: mpsc::UnboundedReceiver<String>) {
        let (to, mut runtime_events) = mpsc::unbounded_channel();
        watch_events(&self.env, self.shared.cri.clone(), to);
        let mut manifests = match &self.config.manifest_dir {
            Some(directory) => watch_manifests(&self.env, directory.clone(), self.config.node_name.clone()),
            None => watch::channel(Manifests::new()).1,
        };
        let mut statics = Manifests::new();
        let mut pods = self.pods.subscribe();
        let mut swept = false;
        loop {
            tokio::select! {
                biased;
                Some(event) = runtime_events.recv() => self.runtime_event(event),
                Some(uid) = object_changes.recv() => self.workers.objects_changed(&uid),
                Ok(()) = manifests.changed() => {
                    let now = manifests.borrow_and_update().clone();
                    self.manifests_changed(&statics, &now);
                    statics = now;
                    self.mirror(&statics);
                }
                change = pods.next() => match change {
                    Some(change) => self.pod_changed(change, &statics),
                    None => return,
                },
                // Only when all pods that there are have a worker.
                () = self.pods.synced(), if !swept => {
                    swept = true;
                    self.mirror(&statics);
                    self.remove_orphans().await;
                }
            }
        }
    }

    fn runtime_event(&self, event: RuntimeEvent) {
        self.events.send_modify(|count| *count += 1);
        match event {
            RuntimeEvent::Pod(uid) => self.workers.wake(&uid),
            RuntimeEvent::Container(id) => {
                let ids = self.shared.ids.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                if let Some(uid) = ids.get(&id) {
                    self.workers.wake(uid);
                }
            }
            RuntimeEvent::Everything => self.workers.wake_all(),
        }
    }

    fn manifests_changed(&self, before: &Manifests, now: &Manifests) {
        before.keys().filter(|uid| !now.contains_key(*uid)).for_each(|uid| self.workers.remove(uid));
        now.values().for_each(|pod| self.workers.update(NodePod::new(pod.clone())));
    }

    /// Brings the API's images of static pods up to date, beside the loop.
    fn mirror(&self, manifests: &Manifests) {
        if !self.pods.is_synced() || (manifests.is_empty() && self.config.manifest_dir.is_none()) {
            return;
        }
        let (client, node, manifests, pods) =
            (self.client.clone(), self.config.node_name.clone(), manifests.clone(), self.pods.clone());
        let mut ready = self.shared.ready.clone();
        self.env.spawn("mirror-pods", async move {
            // The node has to be registered to own them.
            if ready.wait_for(|ready| *ready).await.is_ok() {
                mirror(&client, &node, &manifests, &pods).await;
            }
        });
    }

    fn pod_changed(&self, change: Change, statics: &Manifests) {
        let read = |object: &decapod_api::Object| decode::<Pod>(object).ok().map(NodePod::new);
        let old = change.old.as_ref().and_then(read);
        let new = change.new.as_ref().and_then(read);
        if let Some(old) = old.filter(|old| new.as_ref().is_none_or(|new| new.uid() != old.uid())) {
            if old.is_mirror() {
                self.mirror(statics);
            } else {
                self.workers.remove(old.uid());
            }
        }
        let Some(new) = new else { return };
        match new.annotation(CONFIG_MIRROR) {
            Some(hash) => {
                self.shared.statuses.check(hash);
                self.mirror(statics);
            }
            None => {
                self.shared.statuses.check(new.uid());
                self.workers.update(new);
            }
        }
    }

    /// Removes what runs of pods that nobody knows.
    async fn remove_orphans(&self) {
        let sandboxes = self.shared.cri.list_sandboxes(PodSandboxFilter::default()).await.unwrap_or_default();
        let containers =
            self.shared.cri.list_containers(ContainerFilter::default()).await.unwrap_or_default();
        let labels = sandboxes
            .into_iter()
            .map(|sandbox| sandbox.labels)
            .chain(containers.into_iter().map(|container| container.labels));
        let mut found = BTreeMap::new();
        for all in labels {
            if let Some(uid) = all.get(labels::POD_UID) {
                found.insert(uid.clone(), all);
            }
        }
        for (uid, all) in found.into_iter().filter(|(uid, _)| !self.workers.contains(uid)) {
            let label = |key: &str| all.get(key).cloned();
            let metadata = ObjectMeta {
                name: label(labels::POD_NAME),
                namespace: label(labels::POD_NAMESPACE),
                uid: Some(uid),
                ..ObjectMeta::default()
            };
            self.workers.remove_orphan(NodePod::new(Pod { metadata, ..Pod::default() }));
        }
    }
}
