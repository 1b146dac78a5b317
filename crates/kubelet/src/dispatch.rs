//! Hands what happens - to pods in the API, in manifests, in the runtime, to objects - to the workers of the pods.

use std::collections::BTreeMap;
use std::sync::Arc;

use decapod_client::{Change, Client, Informer, decode};
use decapod_sys::Env;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tokio::sync::{mpsc, watch};

use crate::config::Config;
use crate::cri::types::{ContainerFilter, PodSandboxFilter};
use crate::cri::{RuntimeEvent, watch_events};
use crate::pod::observed::labels;
use crate::pod::{CONFIG_MIRROR, NodePod};
use crate::source::{Manifests, mirror, watch_manifests};
use crate::worker::Shared;
use crate::workers::Workers;

/// What the loop hands on.
pub(crate) struct Dispatcher {
    /// The surroundings.
    pub env: Env,
    /// The API.
    pub client: Client,
    /// What the kubelet was told.
    pub config: Arc<Config>,
    /// What all workers share.
    pub shared: Arc<Shared>,
    /// The workers.
    pub workers: Workers,
    /// The pods of this node in the API.
    pub pods: Informer<Pod>,
    /// Counts the runtime's events.
    pub events: watch::Sender<u64>,
}

// === impl Dispatcher ===

impl Dispatcher {
    /// Goes on until the scope ends. `object_changes` are the UIDs of pods whose objects change.
    pub async fn run(self, mut object_changes: mpsc::UnboundedReceiver<String>) {
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
