//! What a running pod is granted when it asks for other resources, and giving it to its containers.

use std::sync::Arc;

use decapod_client::EventType::Warning;
use decapod_sys::cgroup::Limits;
use jiff::{SignedDuration, Timestamp};

use super::{Stage, Worker};
use crate::pod::observed::PodRuntime;
use crate::pod::plan::Plan;
use crate::pod::{Slot, qos, resize, resources};

/// When what did not fit is tried again.
const DEFERRED_RETRY: SignedDuration = SignedDuration::from_secs(10);
/// When the runtime or the kernel did not take it.
const FAILED_RETRY: SignedDuration = SignedDuration::from_secs(5);

impl Worker {
    /// Takes the pod as it should be, with the resources that it asks for if the node has them, else with those it has;
    /// when to ask again.
    pub(super) fn grant(&mut self) -> Option<Timestamp> {
        if self.stage != Stage::Running || !self.admitted || resize::is_same(&self.desired, &self.pod) {
            self.resize.pending = None;
            self.pod = Arc::clone(&self.desired);
            return None;
        }
        match self.shared.admission.resize(&self.desired) {
            Ok(()) => {
                self.resize.pending = None;
                self.pod = Arc::clone(&self.desired);
                None
            }
            Err(pending) => {
                let again = pending.reason == "Deferred";
                self.resize.pending = Some(pending);
                self.pod = Arc::new(resize::keeping(&self.desired, &self.pod));
                again.then(|| self.shared.env.now() + DEFERRED_RETRY)
            }
        }
    }

    /// Whether running containers do not have yet what was granted.
    pub(super) fn is_behind(&self, plan: &Plan, runtime: &PodRuntime) -> bool {
        let restarts = |slot: Slot, id: &str| {
            let running = runtime.containers.iter().find(|container| container.id == id);
            running.is_some_and(|running| !resize::difference(&self.pod, slot, running).is_none())
        };
        !plan.resize.is_empty() || plan.kill.iter().any(|kill| restarts(kill.slot, &kill.id))
    }

    /// Gives running containers what they were granted; when to try again if that fails.
    pub(super) async fn resize(&mut self, slots: &[Slot], runtime: &PodRuntime) -> Result<(), Timestamp> {
        if slots.is_empty() {
            self.resize.error = None;
            return Ok(());
        }
        match self.try_resize(slots, runtime).await {
            Ok(()) => {
                self.resize.error = None;
                Ok(())
            }
            Err(why) => {
                if self.resize.error.as_ref() != Some(&why) {
                    self.event(None, Warning, "ResizeError", why.clone());
                }
                self.resize.error = Some(why);
                Err(self.shared.env.now() + FAILED_RETRY)
            }
        }
    }

    async fn try_resize(&self, slots: &[Slot], runtime: &PodRuntime) -> Result<(), String> {
        // The pod's own limits stand aside meanwhile: the kernel refuses a group less than its parts, and parts more than
        // their group. They are set anew right after.
        let group = qos::pod_cgroup(&self.pod, &self.shared.config.cgroup_root);
        let aside = Limits { cpu_quota_us: Some(-1), memory_bytes: Some(-1), ..Limits::default() };
        self.shared.cgroups.ensure(&group, &aside).map_err(|error| error.to_string())?;
        for slot in slots {
            let Some(running) = runtime.container(&self.pod.container(*slot).name) else { continue };
            let wanted = resize::update(&self.pod, *slot);
            let updated = self.shared.cri.update_resources(&running.id, wanted).await;
            updated.map_err(|error| error.to_string())?;
        }
        let limits = resources::pod_cgroup(&self.pod);
        self.shared.cgroups.ensure(&group, &limits).map_err(|error| error.to_string())
    }
}
