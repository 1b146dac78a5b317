//! Tells the API the statuses of pods, and that deleted pods are gone (pkg/kubelet/status/status_manager.go).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use decapod_client::{Client, Informer, PatchType, Queue};
use decapod_sys::Env;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, Preconditions};
use serde_json::json;

use super::patch::diff;
use crate::pod::{CONFIG_HASH, CONFIG_MIRROR, NodePod};

/// How many pods are written at once.
const WRITERS: usize = 4;

/// The statuses of this node's pods. Cloning shares them.
#[derive(Clone)]
pub struct Statuses(Arc<Inner>);

struct Inner {
    client: Client,
    pods: Informer<Pod>,
    entries: Mutex<BTreeMap<String, Entry>>,
    /// UIDs of pods whose status may differ from the API's.
    queue: Queue<String>,
}

#[derive(Clone)]
struct Entry {
    namespace: String,
    name: String,
    is_static: bool,
    status: PodStatus,
    /// Nothing of it is left on the node.
    gone: bool,
}

// === impl Statuses ===

impl Statuses {
    /// Writes statuses as long as `env` lives; `pods` are those of this node.
    pub fn start(env: &Env, client: &Client, pods: &Informer<Pod>) -> Statuses {
        let inner = Inner {
            client: client.clone(),
            pods: pods.clone(),
            entries: Mutex::default(),
            queue: Queue::new(),
        };
        let statuses = Statuses(Arc::new(inner));
        for _ in 0..WRITERS {
            let writer = statuses.clone();
            env.spawn("pod-status", async move { writer.write_all().await });
        }
        statuses
    }

    /// The status of the pod as it was published last.
    pub fn get(&self, uid: &str) -> Option<PodStatus> {
        self.0.entries().get(uid).map(|entry| entry.status.clone())
    }

    /// Publishes `status`; `gone`: nothing of the pod is left on the node, so that its deletion can end.
    pub fn publish(&self, pod: &NodePod, status: PodStatus, gone: bool) {
        let entry = Entry {
            namespace: pod.namespace().to_owned(),
            name: pod.name().to_owned(),
            is_static: pod.is_static(),
            status,
            gone,
        };
        let before = self.0.entries().insert(pod.uid().to_owned(), entry.clone());
        if before.is_none_or(|before| before.status != entry.status || before.gone != gone) {
            self.check(pod.uid());
        }
    }

    /// Has the status of the pod compared with the API's again.
    pub fn check(&self, uid: &str) {
        self.0.queue.add(uid.to_owned());
    }

    /// Forgets a pod that is neither here nor in the API.
    pub fn forget(&self, uid: &str) {
        self.0.entries().remove(uid);
    }

    async fn write_all(&self) {
        loop {
            let uid = self.0.queue.get().await;
            match self.write(&uid).await {
                Ok(()) => self.0.queue.forget(&uid),
                Err(error) => {
                    tracing::debug!(%error, pod = uid, "cannot write a pod's status");
                    self.0.queue.add_rate_limited(uid.clone());
                }
            }
            self.0.queue.done(&uid);
        }
    }

    async fn write(&self, uid: &str) -> Result<(), decapod_api::Status> {
        let Some(entry) = self.0.entries().get(uid).cloned() else { return Ok(()) };
        let Some(pod) = self.0.pods.get(&entry.namespace, &entry.name) else { return Ok(()) };
        if !is_of(&pod, uid, entry.is_static) {
            return Ok(());
        }
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let encode = |status: &PodStatus| serde_json::to_value(status).map_err(decapod_api::Status::internal);
        let old = encode(&pod.status.clone().unwrap_or_default())?;
        if let Some(status) = diff(&old, &encode(&entry.status)?) {
            let patch = json!({ "metadata": { "uid": uid }, "status": status });
            let written = self
                .0
                .client
                .patch::<Pod>(&entry.namespace, &entry.name, "status", PatchType::Strategic, &patch)
                .await;
            gone_is_fine(written.map(drop))?;
        }
        if entry.gone && pod.metadata.deletion_timestamp.is_some() && !entry.is_static {
            let options = DeleteOptions {
                grace_period_seconds: Some(0),
                preconditions: Some(Preconditions { uid: Some(uid), resource_version: None }),
                ..DeleteOptions::default()
            };
            gone_is_fine(self.0.client.delete::<Pod>(&entry.namespace, &entry.name, &options).await)?;
        }
        Ok(())
    }
}

/// Whether `pod` of the API is the one with `uid`, or the image of the static pod with `uid`.
fn is_of(pod: &Pod, uid: &str, is_static: bool) -> bool {
    if !is_static {
        return pod.metadata.uid.as_deref() == Some(uid);
    }
    let annotation = |key: &str| pod.metadata.annotations.as_ref().and_then(|all| all.get(key));
    annotation(CONFIG_MIRROR).or(annotation(CONFIG_HASH)).is_some_and(|hash| hash == uid)
}

fn gone_is_fine(result: Result<(), decapod_api::Status>) -> Result<(), decapod_api::Status> {
    match result {
        // Deleted, or deleted and made again under the same name.
        Err(status) if matches!(status.code, 404 | 409) => Ok(()),
        result => result,
    }
}

// === impl Inner ===

impl Inner {
    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
