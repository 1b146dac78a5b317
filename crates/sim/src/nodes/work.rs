//! The workers of simulated nodes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use decapod_api::{Object, Revision, Status};
use decapod_client::{Change, Client, Kind, ObjectKey, PatchType, Reply, Request, Verb, decode};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod};
use serde::Serialize;
use serde_json::json;
use tokio::time::Instant;

use super::node::{Duty, LEASE_NAMESPACE, RENEW_EVERY, REPORT_EVERY, heartbeat, is_lost};
use super::pod::{Look, Step, step};
use super::{Inner, Known, LATE};

/// How long a node waits after a failure before it tries again, at least and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));

/// Takes the shared watch's changes to the pods that they concern.
pub(super) async fn follow(inner: Arc<Inner>) {
    let mut changes = inner.pods.subscribe();
    while let Some(change) = changes.next().await {
        inner.notice(&change);
        inner.looking.add(change.key);
    }
}

/// A node that others take for lost tells how it is: a kubelet compares what they see with what it would say as often
/// as it renews its lease.
pub(super) async fn follow_nodes(inner: Arc<Inner>) {
    let mut changes = inner.objects.subscribe();
    while let Some(change) = changes.next().await {
        let node = change.new.as_ref().and_then(|object| decode::<Node>(object).ok());
        let (Some(node), Some(index)) = (node, inner.config.index(&change.key.name)) else { continue };
        if is_lost(&node) {
            let soon = Instant::now() + inner.between((Duration::ZERO, RENEW_EVERY));
            let mut node = inner.node(index);
            node.report_at = node.report_at.min(soon);
            drop(node);
            inner.telling.add(index);
        }
    }
}

/// Lets nodes tell of themselves, one after the other.
pub(super) async fn tell(inner: Arc<Inner>) {
    loop {
        let index = inner.telling.get().await;
        let wait = inner.tell(index).await;
        inner.telling.done(&index);
        if let Some(wait) = wait {
            inner.telling.add_after(index, wait);
        }
    }
}

/// Looks at pods, one after the other.
pub(super) async fn look(inner: Arc<Inner>) {
    inner.pods.synced().await;
    loop {
        let key = inner.looking.get().await;
        let wait = inner.look(&key).await;
        inner.looking.done(&key);
        if let Some(wait) = wait {
            inner.looking.add_after(key, wait);
        }
    }
}

impl Inner {
    /// Does what the node has to do now; when to ask again.
    async fn tell(&self, index: usize) -> Option<Duration> {
        loop {
            let (duty, name) = {
                let node = self.node(index);
                if node.is_off {
                    return None;
                }
                (node.duty(Instant::now()), node.name.clone())
            };
            let client = (self.clients)(&name);
            let done = match duty {
                Duty::Register => self.register(index, &client).await,
                Duty::Renew => self.renew(index, &client).await,
                Duty::Report => self.report(index, &client).await,
                Duty::Rest(wait) => return Some(wait),
            };
            if let Err(error) = done {
                tracing::debug!(node = name, ?duty, %error, "trying again");
                return Some(self.between(RETRY));
            }
        }
    }

    async fn register(&self, index: usize, client: &Client) -> Result<(), Status> {
        let (object, name) = {
            let node = self.node(index);
            (node.object(&self.config, self.env.now()), node.name.clone())
        };
        let there = match client.create(&object).await {
            Err(error) if error.is_already_exists() => client.get::<Node>("", &name).await?,
            created => created?,
        };
        let mut node = self.node(index);
        // It has a range of addresses before long, and says again how it is.
        node.report_at = Instant::now() + self.between((Duration::from_secs(1), RENEW_EVERY));
        node.renew_at = Instant::now();
        node.uid = there.metadata.uid.unwrap_or_default();
        Ok(())
    }

    async fn renew(&self, index: usize, client: &Client) -> Result<(), Status> {
        let lease = self.node(index).lease(self.env.now());
        let written = match lease.metadata.resource_version {
            Some(_) => client.update(&lease).await,
            None => client.create(&lease).await,
        };
        let written = match written {
            // Somebody else has written it, or we have and did not hear of it.
            Err(error) if error.is_conflict() || error.is_already_exists() => {
                let name = lease.metadata.name.clone().unwrap_or_default();
                let there = client.get::<Lease>(LEASE_NAMESPACE, &name).await?;
                let mut lease = lease;
                lease.metadata.resource_version = there.metadata.resource_version;
                client.update(&lease).await
            }
            written => written,
        };
        let mut node = self.node(index);
        match written {
            Ok(lease) => node.lease_version = lease.metadata.resource_version.unwrap_or_default(),
            Err(error) => {
                if error.is_not_found() {
                    node.lease_version.clear();
                }
                return Err(error);
            }
        }
        let now = Instant::now();
        if let Some(before) = node.renewed_at.replace(now) {
            let gap = now - before;
            self.gap_ms_max.fetch_max(gap.as_millis() as u64, Ordering::Relaxed);
            self.late.fetch_add((gap > LATE).into(), Ordering::Relaxed);
        }
        self.renewals.fetch_add(1, Ordering::Relaxed);
        node.renew_at = now + self.between((RENEW_EVERY, RENEW_EVERY.mul_f32(1.04)));
        Ok(())
    }

    async fn report(&self, index: usize, client: &Client) -> Result<(), Status> {
        let name = self.node(index).name.clone();
        let reported = async {
            let there = client.get::<Node>("", &name).await?;
            let conditions = there.status.and_then(|status| status.conditions).unwrap_or_default();
            let patch = heartbeat(&conditions, self.env.now());
            client.patch::<Node>("", &name, "status", PatchType::Strategic, &patch).await
        };
        let there = match reported.await {
            // A kubelet whose node has been taken away does not bring it back.
            Err(error) if error.is_not_found() => None,
            reported => Some(reported?),
        };
        let mut node = self.node(index);
        if let Some(cidr) = there.and_then(|there| there.spec?.pod_cidr) {
            node.adopt_range(&cidr);
        }
        node.report_at = Instant::now() + REPORT_EVERY;
        Ok(())
    }

    /// Notes pods as they come and go.
    fn notice(&self, change: &Change) {
        let now = Instant::now();
        let mut known = self.known();
        let gone = known
            .get(&change.key)
            .is_some_and(|known| change.new.as_ref().is_none_or(|new| new.uid() != known.uid.as_str()));
        if gone && let Some(gone) = known.remove(&change.key) {
            self.node(gone.node).give_back(gone.ip);
        }
        let Some(pod) = &change.new else { return };
        let Some(index) = pod.text(&["spec", "nodeName"]).and_then(|name| self.config.index(&name)) else {
            return;
        };
        let known = known.entry(change.key.clone()).or_insert_with(|| {
            let told = pod.text(&["status", "podIP"]).and_then(|ip| ip.parse().ok());
            let mut node = self.node(index);
            let ip = match told {
                Some(ip) => {
                    node.hold_address(ip);
                    ip
                }
                None => node.take_address(),
            };
            let (start, stop) = (self.between(self.config.pace.start), self.between(self.config.pace.stop));
            Known {
                uid: pod.uid().into_owned(),
                node: index,
                ip,
                since: now,
                ending: None,
                start,
                stop,
                written: 0,
                is_running: false,
            }
        });
        known.is_running = pod.text(&["status", "phase"]).as_deref() == Some("Running");
        if known.ending.is_none() && pod.raw(&["metadata", "deletionTimestamp"]).is_some() {
            known.ending = Some(now);
        }
    }

    /// Does what is to be done about a pod now; when to look again.
    async fn look(&self, key: &ObjectKey) -> Option<Duration> {
        let object = self.pods.object(&key.namespace, &key.name)?;
        let (index, uid, step) = {
            let known = self.known();
            let known = known.get(key).filter(|known| object.revision() >= known.written)?;
            let step = self.next_step(known, &object)?;
            (known.node, known.uid.clone(), step)
        };
        let name = self.node(index).name.clone();
        let client = (self.clients)(&name);
        let done = match step {
            Step::Rest => return None,
            Step::Wait(wait) => return Some(wait),
            Step::Report(patch) => send(&client, Verb::Patch, key, &patch).await,
            Step::Remove => {
                let options = json!({"gracePeriodSeconds": 0, "preconditions": {"uid": uid}});
                send(&client, Verb::Delete, key, &options).await
            }
        };
        match done {
            Ok(revision) => {
                if let Some(known) = self.known().get_mut(key).filter(|known| known.uid == uid) {
                    known.written = revision.max(known.written);
                }
                None
            }
            // It is another's by now, or nobody's; the watch tells.
            Err(error) if error.is_not_found() || error.is_conflict() => None,
            Err(error) => {
                tracing::debug!(pod = %key, %error, "trying again");
                Some(self.between(RETRY))
            }
        }
    }

    /// What comes next for a pod; nothing while its node is off.
    fn next_step(&self, known: &Known, object: &Object) -> Option<Step> {
        let node = self.node(known.node);
        if node.is_off {
            return None;
        }
        let pod: Pod = decode(object)
            .inspect_err(|error| tracing::warn!(pod = ?object, %error, "cannot read a pod"))
            .ok()?;
        let grace = pod.metadata.deletion_grace_period_seconds.and_then(|grace| u64::try_from(grace).ok());
        let stop = grace.map_or(known.stop, |grace| known.stop.min(Duration::from_secs(grace)));
        let look = Look {
            pod: &pod,
            node_ip: node.ip.to_string(),
            pod_ip: known.ip.to_string(),
            age: known.since.elapsed(),
            ending: known.ending.map(|since| since.elapsed()),
            start: known.start,
            stop,
            job: self.config.pace.job,
            now: self.env.now(),
        };
        Some(step(&look))
    }
}

/// Patches a pod's status or deletes it; the revision of that, 0 if it is not told.
async fn send(
    client: &Client,
    verb: Verb,
    key: &ObjectKey,
    body: &impl Serialize,
) -> Result<Revision, Status> {
    let mut request = Request::new(verb, Pod::resource());
    (request.namespace, request.name) = (key.namespace.clone(), key.name.clone());
    if verb == Verb::Patch {
        request.subresource = "status".to_owned();
        request.patch_type = PatchType::Strategic;
    }
    request.body = serde_json::to_vec(body).map(Bytes::from).map_err(Status::internal)?;
    match client.call(request).await? {
        Reply::Object(object) => Ok(object.revision()),
        _ => Ok(0),
    }
}
