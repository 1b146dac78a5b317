//! Gives back what a pod held: volumes, control group, dead containers, logs.

use std::path::Path;

use jiff::Timestamp;

use super::{Stage, Worker};
use crate::pod::observed::PodRuntime;
use crate::pod::plan::Plan;
use crate::pod::qos;

/// When what could not be removed is tried again.
const RETRY: jiff::SignedDuration = jiff::SignedDuration::from_secs(5);

impl Worker {
    /// Gives back what only a running pod needs.
    pub(super) async fn give_back(&mut self) -> std::io::Result<()> {
        let (shared, pod) = (std::sync::Arc::clone(&self.shared), std::sync::Arc::clone(&self.pod));
        let work = move || {
            shared.volumes.tear_down(pod.uid())?;
            // Its class may have been another when it was made, for a pod of which only containers are left.
            let root = &shared.config.cgroup_root;
            let own = qos::pod_cgroup(&pod, root);
            let classes = [qos::Class::Guaranteed, qos::Class::Burstable, qos::Class::BestEffort];
            let all = classes.map(|class| format!("{}/pod{}", class.cgroup(root), pod.uid()));
            if pod.pod.spec.is_some() {
                shared.cgroups.remove(&own)
            } else {
                all.iter().try_for_each(|path| shared.cgroups.remove(path))
            }
        };
        self.shared.objects.release(self.pod.uid());
        self.shared.env.spawn_blocking(work).await.unwrap_or(Ok(()))
    }

    /// Removes the last of a pod that nobody knows any more.
    pub(super) async fn disappear(&mut self) -> Option<Timestamp> {
        let Ok(runtime) = self.observe().await else { return Some(self.shared.env.now() + RETRY) };
        if !runtime.is_stopped() {
            self.stage = Stage::Ending;
            return Some(self.shared.env.now());
        }
        for container in &runtime.containers {
            if let Err(error) = self.shared.cri.remove_container(&container.id).await {
                tracing::warn!(%error, "cannot remove a container");
                return Some(self.shared.env.now() + RETRY);
            }
        }
        for sandbox in &runtime.sandboxes {
            if let Err(error) = self.shared.cri.remove_sandbox(&sandbox.id).await {
                tracing::warn!(%error, "cannot remove a sandbox");
                return Some(self.shared.env.now() + RETRY);
            }
        }
        let pod = &self.pod;
        remove(&self.shared.config.log_dir(pod.namespace(), pod.name(), pod.uid()));
        remove(&self.shared.config.pod_dir(pod.uid()));
        let mut ids = self.shared.ids.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        ids.retain(|_, uid| uid != pod.uid());
        drop(ids);
        self.shared.statuses.forget(pod.uid());
        self.stage = Stage::Gone;
        None
    }

    /// Removes dead containers and sandboxes that nobody looks at any more.
    pub(super) async fn collect(&self, plan: &Plan, runtime: &PodRuntime) {
        for container in runtime.containers.iter().filter(|container| plan.remove.contains(&container.id)) {
            match self.shared.cri.remove_container(&container.id).await {
                Ok(()) => {
                    remove(Path::new(&container.log_path));
                    container.termination_log.iter().for_each(|path| remove(Path::new(path)));
                }
                Err(error) => tracing::warn!(%error, "cannot remove a dead container"),
            }
        }
        for id in &plan.remove_sandboxes {
            if let Err(error) = self.shared.cri.remove_sandbox(id).await {
                tracing::warn!(%error, "cannot remove a dead sandbox");
            }
        }
    }
}

fn remove(path: &Path) {
    let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), %error, "cannot remove");
        }
        _ => {}
    }
}
