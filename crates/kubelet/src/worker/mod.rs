//! One task for each pod: looks, plans, acts, tells; then sleeps until something happens (pkg/kubelet/pod_workers.go).
//!
//! A pod's life here: it runs; it ends, because it is deleted or done; it has ended, and what it held is given back;
//! it is gone, once the API has forgotten it too.

mod cleanup;
mod message;
mod resize;
mod start;
mod stop;
mod sync;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use decapod_client::{Client, Informer, Recorder};
use decapod_sys::Env;
use decapod_sys::cgroup::Cgroups;
use decapod_sys::mount::Mounts;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ObjectReference, PodStatus, Service};
use tokio::sync::watch;

use crate::config::Config;
use crate::cri::Cri;
use crate::downward::Node;
use crate::objects::Objects;
use crate::pod::observed::PodRuntime;
use crate::pod::plan::Memory;
use crate::pod::{NodePod, Slot};
use crate::probes::Prober;
use crate::pull::Puller;
use crate::status::conditions::Resize;
use crate::status::containers::Messages;
use crate::status::{Facts, Statuses, generate};
use crate::volumes::Volumes;

/// What all workers share.
pub struct Shared {
    /// The surroundings.
    pub env: Env,
    /// What the kubelet was told.
    pub config: Arc<Config>,
    /// The API.
    pub client: Client,
    /// The container runtime.
    pub cri: Cri,
    /// Tells people what happens.
    pub recorder: Recorder,
    /// Tells the API how pods are.
    pub statuses: Statuses,
    /// Config maps and secrets.
    pub objects: Objects,
    /// Volumes.
    pub volumes: Volumes,
    /// Images.
    pub puller: Puller,
    /// All services, for variables.
    pub services: Informer<Service>,
    /// Control groups.
    pub cgroups: Arc<dyn Cgroups>,
    /// The mount table.
    pub mounts: Arc<dyn Mounts>,
    /// The node.
    pub node: Arc<Node>,
    /// All of its memory.
    pub memory_capacity_bytes: i64,
    /// The pods of containers and sandboxes, by id.
    pub ids: Mutex<BTreeMap<String, String>>,
    /// Whether pods are taken: refuses those that do not fit.
    pub admission: crate::admit::Admission,
    /// Whether the runtime and its network are ready.
    pub ready: watch::Receiver<bool>,
}

/// What a worker is told.
#[derive(Clone, Debug)]
pub struct Order {
    /// The pod as it should be.
    pub pod: Arc<NodePod>,
    /// Whether its source has forgotten it.
    pub removed: bool,
    /// How often something has happened to it.
    pub wakes: u64,
    /// How often an object that it names has changed.
    pub objects: u64,
}

/// Where a pod is in its life.
#[derive(Clone, Debug, PartialEq)]
enum Stage {
    Running,
    /// All of it is to stop.
    Ending,
    /// Nothing of it runs, and nothing is held for it.
    Ended,
    /// Nobody knows it any more.
    Gone,
}

/// Why a pod failed without its containers' doing: reason and message.
type Verdict = (String, String);

/// The worker of one pod.
pub struct Worker {
    shared: Arc<Shared>,
    /// Ends with the worker.
    env: Env,
    orders: watch::Receiver<Order>,
    /// The pod as it should be.
    desired: Arc<NodePod>,
    /// The same with the resources that it was granted.
    pod: Arc<NodePod>,
    resize: Resize,
    stage: Stage,
    memory: Memory,
    prober: Prober,
    messages: Messages,
    in_post_start: BTreeSet<String>,
    verdict: Option<Verdict>,
    admitted: bool,
    /// How many times objects had changed when failures were last reconsidered.
    objects: u64,
    retries: Retries,
    /// Which waits for the end of a back-off have been told.
    told: BTreeMap<String, Timestamp>,
}

/// Steps before containers that have failed: until when each waits, and for how long.
#[derive(Debug, Default)]
struct Retries {
    volumes: Retry,
    sandbox: Retry,
}

#[derive(Debug, Default)]
struct Retry {
    at: Option<Timestamp>,
    delay: jiff::SignedDuration,
}

/// The status of a pod that was never begun.
fn refused(pod: &NodePod, reason: &str, message: &str) -> PodStatus {
    PodStatus {
        phase: Some("Failed".to_owned()),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        ..pod.status().into_owned()
    }
}

/// How events name `pod`, or one of its containers.
pub fn reference(pod: &NodePod, slot: Option<Slot>) -> ObjectReference {
    let field_path = slot.map(|slot| {
        let field = match slot {
            Slot::Init(_) => "initContainers",
            Slot::Regular(_) => "containers",
            Slot::Ephemeral(_) => "ephemeralContainers",
        };
        format!("spec.{field}{{{}}}", pod.container(slot).name)
    });
    ObjectReference { field_path, ..decapod_client::reference(&pod.pod) }
}

// === impl Order ===

impl Order {
    /// How long the pod has to stop, if it has to.
    fn grace_to_end(&self) -> Option<i64> {
        (self.removed || self.pod.is_deleted()).then(|| self.pod.grace_seconds())
    }
}

// === impl Worker ===

impl Worker {
    /// The worker of the pod that `orders` are about.
    pub fn new(
        shared: &Arc<Shared>,
        env: &Env,
        mut orders: watch::Receiver<Order>,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Worker {
        let pod = Arc::clone(&orders.borrow_and_update().pod);
        let prober = Prober::new(env, &shared.cri, &shared.recorder, wake);
        Worker {
            shared: Arc::clone(shared),
            env: env.clone(),
            orders,
            stage: Stage::Running,
            memory: Memory::default(),
            prober,
            messages: Messages::new(),
            in_post_start: BTreeSet::new(),
            verdict: None,
            admitted: false,
            objects: 0,
            retries: Retries::default(),
            told: BTreeMap::new(),
            resize: Resize::default(),
            desired: Arc::clone(&pod),
            pod,
        }
    }

    /// Sees the pod through its life.
    pub async fn run(mut self) {
        self.shared.objects.register(&self.pod);
        loop {
            let order = self.orders.borrow_and_update().clone();
            self.take(&order);
            let again_at = match self.stage {
                Stage::Running => self.run_until_told_to_end().await,
                Stage::Ending => self.end().await,
                Stage::Ended if order.removed => self.disappear().await,
                Stage::Ended => None,
                Stage::Gone => break,
            };
            self.wait(again_at).await;
        }
        self.shared.objects.release(self.pod.uid());
    }

    fn take(&mut self, order: &Order) {
        if !Arc::ptr_eq(&self.desired, &order.pod) {
            self.desired = Arc::clone(&order.pod);
            self.grant();
            if self.stage == Stage::Running {
                self.shared.objects.register(&self.pod);
            }
        }
        if self.objects != order.objects {
            self.objects = order.objects;
            self.memory.failures.retain(|_, failure| failure.reason != "CreateContainerConfigError");
            self.retries.volumes = Retry::default();
        }
        let done = self.pod.is_terminal() && !self.pod.is_static();
        if self.stage == Stage::Running && (order.grace_to_end().is_some() || done) {
            self.stage = Stage::Ending;
        }
    }

    /// Looks and acts; breaks off when the pod is to end.
    async fn run_until_told_to_end(&mut self) -> Option<Timestamp> {
        let mut told = self.orders.clone();
        // Mapped at once: what is borrowed of the orders cannot be held while waiting.
        let end = async { told.wait_for(|order| order.grace_to_end().is_some()).await.is_ok() };
        let ordered = tokio::select! {
            biased;
            ordered = end => ordered,
            again_at = self.sync() => return again_at,
        };
        // Without orders the whole kubelet ends, and pods are left as they are.
        if !ordered {
            std::future::pending::<()>().await;
        }
        Some(self.shared.env.now())
    }

    /// Returns when there is something to do.
    async fn wait(&mut self, again_at: Option<Timestamp>) {
        if matches!(self.stage, Stage::Gone) {
            return;
        }
        let timer = async {
            match again_at {
                None => std::future::pending().await,
                Some(at) => {
                    let wait = at.duration_since(self.shared.env.now());
                    tokio::time::sleep(wait.try_into().unwrap_or_default()).await;
                }
            }
        };
        tokio::select! {
            biased;
            changed = self.orders.changed() => if changed.is_err() {
                std::future::pending::<()>().await;
            },
            () = timer => {}
        }
    }

    async fn observe(&self) -> Result<PodRuntime, crate::cri::CriError> {
        let runtime = PodRuntime::observe(&self.shared.cri, self.pod.uid()).await?;
        let mut ids = self.shared.ids.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let all = runtime.sandboxes.iter().map(|sandbox| &sandbox.id);
        for id in all.chain(runtime.containers.iter().map(|container| &container.id)) {
            if !ids.contains_key(id) {
                ids.insert(id.clone(), self.pod.uid().to_owned());
            }
        }
        Ok(runtime)
    }

    fn old_status(&self) -> PodStatus {
        self.shared.statuses.get(self.pod.uid()).unwrap_or_else(|| self.pod.status().into_owned())
    }

    /// Tells the API how the pod is.
    fn publish(&mut self, runtime: &PodRuntime, terminal: bool, gone: bool) -> PodStatus {
        if let Some((reason, message)) = self.verdict.as_ref().filter(|_| !self.admitted) {
            let status = refused(&self.pod, reason, message);
            self.shared.statuses.publish(&self.pod, status.clone(), gone);
            return status;
        }
        self.read_messages(runtime);
        let old = self.old_status();
        let verdict =
            self.verdict.as_ref().map(|(reason, message)| ("Failed", reason.as_str(), message.as_str()));
        let status = generate(&Facts {
            pod: &self.pod,
            runtime,
            verdicts: &self.prober.verdicts(),
            failures: &self.memory.failures,
            messages: &self.messages,
            in_post_start: &self.in_post_start,
            old: &old,
            host_ips: &self.shared.node.ips,
            resize: &self.resize,
            terminal,
            verdict,
            now: self.shared.env.now(),
        });
        self.shared.statuses.publish(&self.pod, status.clone(), gone);
        status
    }

    fn event(
        &self,
        slot: Option<Slot>,
        kind: decapod_client::EventType,
        reason: &str,
        message: impl Into<String>,
    ) {
        self.shared.recorder.event(&reference(&self.pod, slot), kind, reason, message);
    }
}

// === impl Retry ===

impl Retry {
    /// Whether the step may be tried now.
    fn is_due(&self, now: Timestamp) -> bool {
        self.at.is_none_or(|at| at <= now)
    }

    /// Notes a failure; the wait doubles from `first` to `most`.
    fn failed(&mut self, now: Timestamp, first: jiff::SignedDuration, most: jiff::SignedDuration) {
        self.delay = (self.delay * 2).clamp(first, most);
        self.at = Some(now + self.delay);
    }
}
