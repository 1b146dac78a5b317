//! What the scheduler does to the cluster: bindings, conditions, preemption, and the events that tell of them.

use std::sync::Arc;

use decapod_api::{Status, Str};
use decapod_client::{Client, EventType, PatchType};
use decapod_sys::Env;
use k8s_openapi::api::core::v1::{Binding, ObjectReference, PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, ObjectMeta, Preconditions};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc};

use super::events::{Events, Told};
use super::{Done, Step};
use crate::core::Action;
use crate::pod::PodInfo;
use crate::storage::{Binding as VolumeBinding, Provision, SELECTED_NODE, VolumePlan};

/// Acts as one scheduler. Cloning shares it.
#[derive(Clone)]
pub struct Hands {
    env: Env,
    client: Client,
    name: Str,
    events: Events,
    /// How many reports and preemptions may be under way.
    slots: Arc<Semaphore>,
}

/// How many reports and preemptions may be under way.
const ACTING_MAX: usize = 64;

// === impl Hands ===

impl Hands {
    /// Hands of the scheduler of this name.
    pub fn new(env: &Env, client: &Client, name: &str) -> Hands {
        let events = Events::new(env, client, name);
        let slots = Arc::new(Semaphore::new(ACTING_MAX));
        Hands { env: env.clone(), client: client.clone(), name: name.into(), events, slots }
    }

    /// Binds `pod` to the node that it is assumed on, and says how that went.
    pub fn bind(&self, pod: Arc<PodInfo>, results: mpsc::UnboundedSender<Done>) {
        let hands = self.clone();
        self.env.spawn("bind", async move {
            let well = hands.try_bind(&pod).await;
            // Nobody listens any more when the loop has ended; then nobody waits either.
            results.send(Done { uid: pod.uid.clone(), step: Step::Bind, well }).unwrap_or_default();
        });
    }

    /// Asks for the volumes that `pod` needs on the node that it is assumed on, and says whether that was possible.
    pub fn prepare(&self, pod: Arc<PodInfo>, plan: VolumePlan, results: mpsc::UnboundedSender<Done>) {
        let hands = self.clone();
        self.env.spawn("prepare", async move {
            let asked = hands.ask_for(&pod, &plan).await;
            if let Err(status) = &asked {
                let message = format!("running PreBind plugin \"VolumeBinding\": {status}");
                hands.report(&pod, "SchedulerError", &message, None).await;
            }
            let well = asked.is_ok();
            results.send(Done { uid: pod.uid.clone(), step: Step::Prepare, well }).unwrap_or_default();
        });
    }

    async fn ask_for(&self, pod: &PodInfo, plan: &VolumePlan) -> Result<(), Status> {
        for binding in &plan.bindings {
            let patch = naming(binding);
            self.client.patch::<PersistentVolume>("", &binding.volume, "", PatchType::Merge, &patch).await?;
        }
        for Provision { claim: (namespace, name), revision } in &plan.provisions {
            let annotations = json!({SELECTED_NODE: pod.node.as_str()});
            let patch =
                json!({"metadata": {"resourceVersion": revision.as_str(), "annotations": annotations}});
            self.client.patch::<PersistentVolumeClaim>(namespace, name, "", PatchType::Merge, &patch).await?;
        }
        Ok(())
    }

    async fn try_bind(&self, pod: &PodInfo) -> bool {
        let binding = Binding {
            metadata: ObjectMeta {
                namespace: Some(pod.namespace.to_string()),
                name: Some(pod.name.to_string()),
                uid: Some(pod.uid.to_string()),
                ..ObjectMeta::default()
            },
            target: ObjectReference {
                kind: Some("Node".to_owned()),
                name: Some(pod.node.to_string()),
                ..ObjectReference::default()
            },
        };
        match self.client.create_subresource::<Pod>(&pod.namespace, &pod.name, "binding", &binding).await {
            Ok(_) => {
                let note = format!("Successfully assigned {} to {}", pod.key(), pod.node);
                let kind = EventType::Normal;
                self.events.tell(Told {
                    pod,
                    related: None,
                    kind,
                    reason: "Scheduled",
                    action: "Binding",
                    note,
                });
                true
            }
            Err(status) if status.is_not_found() => false,
            Err(status) => {
                tracing::warn!(pod = pod.key(), node = %pod.node, error = %status, "binding failed");
                let message = format!("running Bind plugin \"DefaultBinder\": {status}");
                self.report(pod, "SchedulerError", &message, None).await;
                false
            }
        }
    }

    /// Does anything but bind.
    pub fn act(&self, action: Action) {
        let hands = self.clone();
        self.env.spawn("scheduler-act", async move {
            let Ok(_slot) = hands.slots.acquire().await else { return };
            match action {
                Action::Bind(_) | Action::Prepare(..) => {}
                Action::Fail { pod, message } => hands.report(&pod, "SchedulerError", &message, None).await,
                Action::Skip(pod) => {
                    hands.complain(&pod, format!("skip schedule deleting pod: {}", pod.key()));
                }
                Action::Refuse { pod, message, nominated } => {
                    let change = (pod.nominated != nominated).then(|| pod.nominated.clone());
                    hands.report(&pod, "Unschedulable", &message, change).await;
                }
                Action::Preempt { pod, message, node, victims, disappointed } => {
                    hands.report(&pod, "Unschedulable", &message, Some(node.clone())).await;
                    for other in disappointed {
                        let patch = json!({"status": {"nominatedNodeName": null}});
                        hands.patch_status(&other, patch).await;
                    }
                    for victim in victims.iter().filter(|victim| !victim.shape.terminating) {
                        hands.preempt(&pod, &node, victim).await;
                    }
                }
            }
        });
    }

    fn complain(&self, pod: &PodInfo, note: String) {
        let kind = EventType::Warning;
        self.events.tell(Told {
            pod,
            related: None,
            kind,
            reason: "FailedScheduling",
            action: "Scheduling",
            note,
        });
    }

    /// Tells why `pod` has no node: an event, and its condition `PodScheduled`. `nominated` changes the node that is
    /// kept for it.
    async fn report(&self, pod: &PodInfo, reason: &str, message: &str, nominated: Option<Str>) {
        self.complain(pod, message.to_owned());
        let mut status = json!({});
        if let Some(node) = nominated {
            status["nominatedNodeName"] = if node.is_empty() { Value::Null } else { json!(node.as_str()) };
        }
        let known = pod.unscheduled.as_ref().is_some_and(|(r, m)| r == reason && m == message);
        if !known {
            let mut condition = self.condition(pod, "PodScheduled", "False", reason, message);
            if pod.unscheduled.is_some() {
                // It has been false before: the transition was then.
                condition.as_object_mut().map(|condition| condition.remove("lastTransitionTime"));
            }
            status["$setElementOrder/conditions"] = json!([{"type": "PodScheduled"}]);
            status["conditions"] = json!([condition]);
        }
        if status.as_object().is_some_and(|status| !status.is_empty()) {
            self.patch_status(pod, json!({"status": status})).await;
        }
    }

    fn condition(&self, pod: &PodInfo, kind: &str, status: &str, reason: &str, message: &str) -> Value {
        let now = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(self.env.now());
        json!({
            "type": kind, "status": status, "reason": reason, "message": message,
            "lastProbeTime": null, "lastTransitionTime": now, "observedGeneration": pod.generation,
        })
    }

    /// Patches the status of this very pod, not of one that has come after it under the same name.
    async fn patch_status(&self, pod: &PodInfo, mut patch: Value) -> bool {
        patch["metadata"] = json!({"uid": pod.uid.as_str()});
        let patched: Result<Pod, Status> =
            self.client.patch(&pod.namespace, &pod.name, "status", PatchType::Strategic, &patch).await;
        match patched {
            Ok(_) => true,
            Err(status) => {
                tracing::debug!(pod = pod.key(), error = %status, "cannot patch a pod's status");
                false
            }
        }
    }

    /// Deletes `victim` to make room for `pod` on `node`.
    async fn preempt(&self, pod: &PodInfo, node: &str, victim: &PodInfo) {
        let message = format!("{}: preempting to accommodate a higher priority pod", self.name);
        let condition = self.condition(victim, "DisruptionTarget", "True", "PreemptionByScheduler", &message);
        if !self.patch_status(victim, json!({"status": {"conditions": [condition]}})).await {
            return;
        }
        let preconditions = Preconditions { uid: Some(victim.uid.to_string()), ..Preconditions::default() };
        let options = DeleteOptions { preconditions: Some(preconditions), ..DeleteOptions::default() };
        match self.client.delete::<Pod>(&victim.namespace, &victim.name, &options).await {
            Ok(()) => {
                let note = format!("Preempted by pod {} on node {node}", pod.uid);
                let (kind, related) = (EventType::Normal, Some(pod));
                let (reason, action) = ("Preempted", "Preempting");
                self.events.tell(Told { pod: victim, related, kind, reason, action, note });
            }
            Err(status) => tracing::debug!(victim = victim.key(), error = %status, "cannot preempt a pod"),
        }
    }
}

/// What makes a volume name the claim that it is given to, unless it has changed meanwhile
/// (k8s.io/component-helpers/storage/volume, `GetBindVolumeToClaim`).
fn naming(binding: &VolumeBinding) -> Value {
    let (namespace, name) = &binding.claim;
    let mut patch = json!({
        "metadata": {"resourceVersion": binding.revision.as_str()},
        "spec": {"claimRef": {
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "namespace": namespace.as_str(), "name": name.as_str(), "uid": binding.uid.as_str(),
        }},
    });
    if !binding.is_kept {
        patch["metadata"]["annotations"] = json!({"pv.kubernetes.io/bound-by-controller": "yes"});
    }
    patch
}
