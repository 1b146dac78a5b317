//! Stops containers and whole pods: hooks, grace, order (pkg/kubelet/kuberuntime killContainer,
//! kuberuntime_termination_order.go).

use std::time::Duration;

use decapod_client::EventType::{Normal, Warning};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::LifecycleHandler;

use super::{Order, Stage, Worker};
use crate::pod::observed::{Container, PodRuntime};
use crate::pod::plan::Kill;
use crate::pod::{Slot, is_sidecar};
use crate::probes::{Handler, Outcome, Target};

/// What a container has at least between the signal and the kill.
const GRACE_MIN_SECONDS: i64 = 2;
/// When what did not stop is tried again.
const RETRY: jiff::SignedDuration = jiff::SignedDuration::from_secs(1);

impl Worker {
    /// Stops all of the pod, sooner if it is told so; when to look again.
    pub(super) async fn end(&mut self) -> Option<Timestamp> {
        let now = self.shared.env.now();
        let runtime = match self.observe().await {
            Ok(runtime) => runtime,
            Err(error) => {
                tracing::warn!(pod = %self.pod.format(), %error, "the container runtime does not answer");
                return Some(now + RETRY);
            }
        };
        let ips = self.ips(&runtime);
        self.prober.keep(&self.pod, &runtime, &ips, true, &self.env);
        self.publish(&runtime, false, false);
        if !runtime.is_stopped() {
            let grace = self.grace(&runtime);
            let mut told = self.orders.clone();
            // Mapped at once: what is borrowed of the orders cannot be held while waiting.
            let sooner = async {
                told.wait_for(|order: &Order| order.grace_to_end().is_some_and(|shorter| shorter < grace))
                    .await
                    .is_ok()
            };
            tokio::select! {
                biased;
                ordered = sooner => {
                    if !ordered {
                        std::future::pending::<()>().await;
                    }
                    return Some(self.shared.env.now());
                }
                () = self.kill_all(&runtime, grace) => {}
            }
        }
        let Ok(runtime) = self.observe().await else { return Some(now + RETRY) };
        if !runtime.is_stopped() {
            tracing::warn!(pod = %self.pod.format(), "it does not stop; trying again");
            return Some(self.shared.env.now() + RETRY);
        }
        self.prober.keep(&self.pod, &runtime, &ips, true, &self.env);
        // Whoever reads that the pod has ended gives its place away.
        self.shared.admission.forget(self.pod.uid());
        self.publish(&runtime, true, false);
        match self.give_back().await {
            Ok(()) => {
                self.stage = Stage::Ended;
                self.publish(&runtime, true, true);
                Some(self.shared.env.now())
            }
            Err(error) => {
                tracing::warn!(pod = %self.pod.format(), %error, "its volumes or control group cannot be removed; trying again");
                Some(self.shared.env.now() + RETRY)
            }
        }
    }

    /// How long the pod has to stop. Of one whose definition is gone its containers know it.
    fn grace(&self, runtime: &PodRuntime) -> i64 {
        if self.pod.pod.spec.is_none() {
            let known = runtime.containers.iter().filter_map(|container| container.grace_seconds).max();
            return known.unwrap_or_else(|| self.pod.grace_seconds());
        }
        self.orders.borrow().grace_to_end().unwrap_or_else(|| self.pod.grace_seconds())
    }

    /// Stops all containers, sidecars after those that they serve and in the reverse of their order, then the
    /// sandboxes.
    pub(super) async fn kill_all(&self, runtime: &PodRuntime, grace_seconds: i64) {
        let began = tokio::time::Instant::now();
        let alive: Vec<(Option<Slot>, &Container)> = runtime
            .alive()
            .map(|container| (self.pod.find(&container.name).map(|(slot, _)| slot), container))
            .collect();
        let sidecar = |slot: &Option<Slot>| slot.filter(|slot| is_sidecar(*slot, self.pod.container(*slot)));
        let first = alive.iter().filter(|(slot, _)| sidecar(slot).is_none());
        let kills =
            first.map(|(slot, container)| self.kill(*slot, container, stopping(container), grace_seconds));
        futures::future::join_all(kills).await;
        let mut sidecars: Vec<_> =
            alive.iter().filter_map(|(slot, container)| Some((sidecar(slot)?, container))).collect();
        sidecars.sort_by_key(|(slot, _)| std::cmp::Reverse(*slot));
        for (slot, container) in sidecars {
            let left = grace_seconds - began.elapsed().as_secs().cast_signed();
            self.kill(Some(slot), container, stopping(container), left.max(GRACE_MIN_SECONDS)).await;
        }
        for sandbox in runtime.sandboxes.iter().filter(|sandbox| sandbox.ready) {
            if let Err(error) = self.shared.cri.stop_sandbox(&sandbox.id).await {
                self.event(None, Warning, "FailedKillPod", format!("error killing pod: {error}"));
            }
        }
    }

    /// Stops a container that is to be started again.
    pub(super) async fn kill_planned(&self, kill: &Kill, runtime: &PodRuntime) {
        let Some(container) = runtime.containers.iter().find(|container| container.id == kill.id) else {
            return;
        };
        let grace = kill.grace_seconds.unwrap_or_else(|| self.pod.grace_seconds());
        self.kill(Some(kill.slot), container, kill.message.clone(), grace).await;
    }

    async fn kill(&self, slot: Option<Slot>, container: &Container, message: String, grace_seconds: i64) {
        self.event(slot, Normal, "Killing", message);
        let began = tokio::time::Instant::now();
        if grace_seconds > 0 {
            self.pre_stop(slot, container, grace_seconds).await;
        }
        let left = grace_seconds - began.elapsed().as_secs().cast_signed();
        let left = left.max(GRACE_MIN_SECONDS.min(grace_seconds.max(0)));
        if let Err(error) = self.shared.cri.stop_container(&container.id, left).await {
            tracing::warn!(pod = %self.pod.format(), container = container.name, %error, "cannot stop a container");
        }
    }

    /// Runs the `preStop` hook within the time that there is. Of a container whose definition is gone the hook is the
    /// one it was made with.
    async fn pre_stop(&self, slot: Option<Slot>, container: &Container, grace_seconds: i64) {
        let spec = slot.map(|slot| self.pod.container(slot).clone());
        let hook: Option<LifecycleHandler> = match &spec {
            Some(spec) => spec.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.clone()),
            None => container.pre_stop.as_deref().and_then(|json| serde_json::from_str(json).ok()),
        };
        let Some(hook) = hook else { return };
        let ip = self.old_status().pod_ip.unwrap_or_default();
        let target = Target { container_id: container.id.clone(), ip, container: spec.unwrap_or_default() };
        let limit = Duration::from_secs(grace_seconds.unsigned_abs());
        let handler = Handler::from(&hook);
        match tokio::time::timeout(limit, handler.run(&self.shared.cri, &target, limit)).await {
            Ok(Outcome::Failure(_) | Outcome::Error(_)) => {
                self.event(slot, Warning, "FailedPreStopHook", "PreStopHook failed")
            }
            Ok(_) => {}
            Err(_) => {
                tracing::debug!(container = container.name, "its preStop hook took all the time there was")
            }
        }
    }
}

fn stopping(container: &Container) -> String {
    format!("Stopping container {}", container.name)
}
