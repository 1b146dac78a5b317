//! Registers the node, renews its lease and keeps its status true (pkg/kubelet kubelet_node_status.go,
//! k8s.io/component-helpers/apimachinery/lease).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use decapod_api::Status;
use decapod_client::{Client, EventType, Informer, PatchType, Recorder};
use decapod_sys::Env;
use decapod_sys::mount::Mounts;
use futures::StreamExt;
use inotify::{EventStream, Inotify, WatchMask};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::{Node, NodeStatus, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference};
use serde_json::json;
use tokio::sync::watch;

use super::{Machine, status};
use crate::config::Config;
use crate::cri::Cri;
use crate::cri::types::{Image, StatusResponse};
use crate::status::patch::diff;

/// How often the lease is renewed, and looked whether anything about the node has changed.
const RENEW_EVERY: Duration = Duration::from_secs(10);
/// For how long others take the node to be alive.
const LEASE_SECONDS: i32 = 40;
/// How often the status is written though nothing has changed.
const REPORT_EVERY: Duration = Duration::from_secs(300);
/// While the node is not ready, or no server answers.
const RETRY_MIN: Duration = Duration::from_millis(50);
/// In this namespace are all nodes' leases.
const LEASE_NAMESPACE: &str = "kube-node-lease";

/// Keeps the API's image of the node true.
pub struct Keeper {
    /// The surroundings.
    pub env: Env,
    /// As whom.
    pub client: Client,
    /// What the kubelet was told.
    pub config: Arc<Config>,
    /// The node, as others see it.
    pub nodes: Informer<Node>,
    /// The machine.
    pub machine: Machine,
    /// The node's address.
    pub ip: IpAddr,
    /// The container runtime.
    pub cri: Cri,
    /// The mount table.
    pub mounts: Arc<dyn Mounts>,
    /// Tells people what happens.
    pub recorder: Recorder,
    /// Whether the node is ready, for those who wait.
    pub ready: watch::Sender<bool>,
}

/// What the runtime says at one moment.
struct Look {
    runtime: Result<StatusResponse, String>,
    images: Vec<Image>,
    runtime_version: String,
    disk_bytes: i64,
}

/// When the status was written last, and what.
type Reported = (tokio::time::Instant, NodeStatus);

/// Returns when something about the network has been written.
async fn network_configured(networks: &mut Option<EventStream<Vec<u8>>>) {
    if let Some(stream) = networks
        && stream.next().await.is_some()
    {
        return;
    }
    std::future::pending().await
}

// === impl Keeper ===

impl Keeper {
    /// Registers and goes on until the scope ends.
    pub async fn run(self) {
        let mut delay = RETRY_MIN;
        let mut look = self.look().await;
        while let Err(error) = self.register(&look).await {
            tracing::debug!(%error, "cannot register the node");
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(RENEW_EVERY);
            look = self.look().await;
        }
        self.recorder.event(&self.reference(), EventType::Normal, "Starting", "Starting kubelet.");
        let mut networks = self.watch_networks();
        let (mut reported, mut renewed) = (None, None::<tokio::time::Instant>);
        let mut delay = RETRY_MIN;
        loop {
            if renewed.is_none_or(|at| at.elapsed() >= RENEW_EVERY) {
                match self.renew().await {
                    Ok(()) => renewed = Some(tokio::time::Instant::now()),
                    Err(error) => tracing::warn!(%error, "cannot renew the node's lease"),
                }
            }
            let look = self.look().await;
            if let Err(error) = self.report(&look, &mut reported).await {
                tracing::warn!(%error, "cannot write the node's status");
            }
            // A node that is not ready is about to be: its network is being set up.
            let settled = *self.ready.borrow() && renewed.is_some();
            let wait = if settled { RENEW_EVERY } else { delay };
            delay = if settled { RETRY_MIN } else { (delay * 2).min(RENEW_EVERY) };
            tokio::select! {
                biased;
                () = network_configured(&mut networks), if !settled => delay = RETRY_MIN,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    fn reference(&self) -> ObjectReference {
        ObjectReference {
            kind: Some("Node".to_owned()),
            name: Some(self.config.node_name.clone()),
            uid: Some(self.config.node_name.clone()),
            ..ObjectReference::default()
        }
    }

    /// Word of changes of CNI's configuration, which the runtime takes at once.
    fn watch_networks(&self) -> Option<EventStream<Vec<u8>>> {
        let watch = || {
            std::fs::create_dir_all(&self.config.cni_conf_dir)?;
            let inotify = Inotify::init()?;
            inotify.watches().add(&self.config.cni_conf_dir, WatchMask::CLOSE_WRITE | WatchMask::MOVED_TO)?;
            inotify.into_event_stream(vec![0; 4096])
        };
        let watched: std::io::Result<_> = watch();
        watched.inspect_err(|error| tracing::warn!(%error, "cannot watch the network's configuration")).ok()
    }

    /// Looks at the runtime, and says at once whether it is ready.
    async fn look(&self) -> Look {
        let (runtime, images, version) =
            tokio::join!(self.cri.status(), self.cri.list_images(), self.cri.version());
        let runtime = runtime.map_err(|error| error.to_string());
        let ready = status::why_not_ready(&runtime).is_none();
        if self.ready.send_replace(ready) != ready {
            let reason = if ready { "NodeReady" } else { "NodeNotReady" };
            let message = format!("Node {} status is now: {reason}", self.config.node_name);
            self.recorder.event(&self.reference(), EventType::Normal, reason, message);
        }
        let version =
            version.map(|v| format!("{}://{}", v.runtime_name, v.runtime_version.trim_start_matches('v')));
        let disk = self.mounts.usage(&self.config.data_dir).map(|usage| usage.capacity_bytes).unwrap_or(0);
        Look {
            runtime,
            images: images.unwrap_or_default(),
            runtime_version: version.unwrap_or_default(),
            disk_bytes: disk.cast_signed(),
        }
    }

    fn facts<'a>(&'a self, look: &'a Look) -> status::Facts<'a> {
        status::Facts {
            config: &self.config,
            machine: &self.machine,
            ip: self.ip,
            disk_bytes: look.disk_bytes,
            runtime_version: look.runtime_version.clone(),
            runtime: look.runtime.clone(),
            images: &look.images,
            port: self.config.server.as_ref().map_or(0, |server| server.listen.port()),
            now: self.env.now(),
        }
    }

    async fn register(&self, look: &Look) -> Result<(), Status> {
        let node = status::initial(&self.facts(look));
        match self.client.create(&node).await {
            Err(error) if error.code == 409 => {}
            created => return created.map(drop),
        }
        let there: Node = self.client.get("", &self.config.node_name).await?;
        let labels = there.metadata.labels.unwrap_or_default();
        let wanted = node.metadata.labels.unwrap_or_default();
        if wanted.iter().all(|(key, value)| labels.get(key) == Some(value)) {
            return Ok(());
        }
        let patch = json!({ "metadata": { "labels": wanted } });
        self.client
            .patch::<Node>("", &self.config.node_name, "", PatchType::Strategic, &patch)
            .await
            .map(drop)
    }

    /// Writes the status if it is not what others see, or has not been written for long. Others write here, too: when
    /// the node was out of reach, they say so.
    async fn report(&self, look: &Look, reported: &mut Option<Reported>) -> Result<(), Status> {
        if let Some((at, last)) = reported
            && at.elapsed() < REPORT_EVERY
            && let seen = self.nodes.get("", &self.config.node_name).and_then(|node| node.status)
            && let there = seen.as_ref().unwrap_or(last)
            && !status::differs(there, &status::status(&self.facts(look), there))
        {
            return Ok(());
        }
        // What has changed is told against what is there.
        let there = self.client.get::<Node>("", &self.config.node_name).await?.status.unwrap_or_default();
        let new = status::status(&self.facts(look), &there);
        let encode = |status: &NodeStatus| serde_json::to_value(status).map_err(Status::internal);
        if let Some(change) = diff(&encode(&there)?, &encode(&new)?) {
            let patch = json!({ "status": change });
            self.client
                .patch::<Node>("", &self.config.node_name, "status", PatchType::Strategic, &patch)
                .await?;
        }
        *reported = Some((tokio::time::Instant::now(), new));
        Ok(())
    }

    async fn renew(&self) -> Result<(), Status> {
        let name = &self.config.node_name;
        let spec = LeaseSpec {
            holder_identity: Some(name.clone()),
            lease_duration_seconds: Some(LEASE_SECONDS),
            renew_time: Some(MicroTime(self.env.now())),
            ..LeaseSpec::default()
        };
        match self.client.get::<Lease>(LEASE_NAMESPACE, name).await {
            Ok(mut lease) => {
                lease.spec = Some(spec);
                self.client.update(&lease).await.map(drop)
            }
            Err(error) if error.is_not_found() => {
                let uid = self.client.get::<Node>("", name).await?.metadata.uid.unwrap_or_default();
                let owner = OwnerReference {
                    api_version: "v1".to_owned(),
                    kind: "Node".to_owned(),
                    name: name.clone(),
                    uid,
                    ..OwnerReference::default()
                };
                let metadata = ObjectMeta {
                    name: Some(name.clone()),
                    namespace: Some(LEASE_NAMESPACE.to_owned()),
                    owner_references: Some(vec![owner]),
                    ..ObjectMeta::default()
                };
                self.client.create(&Lease { metadata, spec: Some(spec) }).await.map(drop)
            }
            Err(error) => Err(error),
        }
    }
}
