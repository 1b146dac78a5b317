//! Starts a container: image, environment, mounts, creation, start, hook
//! (pkg/kubelet/kuberuntime/kuberuntime_container.go startContainer).

use std::path::PathBuf;
use std::time::Duration;

use decapod_client::EventType::{Normal, Warning};
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Secret;

use super::Worker;
use crate::cri::types::{ContainerConfig, Image, Mount, PodSandboxConfig};
use crate::pod::container::{self, Prepared};
use crate::pod::env::{Around, Lookup, environment};
use crate::pod::observed::PodRuntime;
use crate::pod::plan::{Failure, backoff_key, last_exit};
use crate::pod::security::{ImageUser, verify_non_root};
use crate::pod::{Slot, hosts};
use crate::probes::{Handler, Outcome, Target};
use crate::pull::Wish;
use crate::volumes::{Mounted, PodVolumes, mounts};

/// When a failed start is tried again.
const RETRY: SignedDuration = SignedDuration::from_secs(10);
/// A `postStart` hook has no time limit of its own.
const HOOK_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// How long a container waits for the first list of services.
const SERVICES_TIMEOUT: Duration = Duration::from_secs(10);

/// A start that failed: reason for the status, message for both status and event.
struct Failed {
    reason: &'static str,
    message: String,
}

fn failed(reason: &'static str, message: impl ToString) -> Failed {
    Failed { reason, message: message.to_string() }
}

impl Worker {
    /// Starts the container at `slot`; what fails is remembered and told.
    pub(super) async fn start(
        &mut self,
        slot: Slot,
        runtime: &PodRuntime,
        volumes: &PodVolumes,
        sandbox: &PodSandboxConfig,
    ) {
        let container = self.pod.container(slot).clone();
        if let Some(since) = last_exit(runtime, &container.name) {
            self.memory.crashes.next(&backoff_key(&container), since, self.shared.env.now());
        }
        let image = match self.pull(slot, sandbox).await {
            Ok(image) => image,
            Err(failure) => {
                self.event(Some(slot), Warning, "Failed", format!("Error: {}", failure.reason));
                self.memory.failures.insert(container.name, failure);
                return;
            }
        };
        match self.create_and_start(slot, runtime, volumes, sandbox, &image).await {
            Ok(()) => {
                self.memory.failures.remove(&container.name);
            }
            Err(Failed { reason, message }) => {
                let retry_at = self.shared.env.now() + RETRY;
                let failure = Failure { reason: reason.to_owned(), message, retry_at };
                self.memory.failures.insert(container.name, failure);
            }
        }
    }

    async fn pull(&self, slot: Slot, sandbox: &PodSandboxConfig) -> Result<Image, Failure> {
        let container = self.pod.container(slot);
        self.ensure_image(
            Some(slot),
            container.image.as_deref().unwrap_or_default(),
            container.image_pull_policy.as_deref(),
            sandbox,
        )
        .await
    }

    async fn ensure_image(
        &self,
        slot: Option<Slot>,
        image: &str,
        policy: Option<&str>,
        sandbox: &PodSandboxConfig,
    ) -> Result<Image, Failure> {
        let spec = self.pod.spec();
        let secrets: Vec<Secret> = spec
            .image_pull_secrets
            .iter()
            .flatten()
            .filter_map(|secret| self.shared.objects.secret(self.pod.namespace(), &secret.name))
            .collect();
        let reference = super::reference(&self.pod, slot);
        let wish =
            Wish { image, policy, uid: self.pod.uid(), reference: &reference, secrets: &secrets, sandbox };
        self.shared.puller.ensure(&wish).await
    }

    async fn create_and_start(
        &mut self,
        slot: Slot,
        runtime: &PodRuntime,
        volumes: &PodVolumes,
        sandbox: &PodSandboxConfig,
        image: &Image,
    ) -> Result<(), Failed> {
        let error_event = |worker: &Worker, failed: Failed| {
            worker.event(Some(slot), Warning, "Failed", format!("Error: {}", failed.message));
            failed
        };
        let config = match self.container_config(slot, runtime, volumes, sandbox, image).await {
            Ok(config) => config,
            Err(error) => return Err(error_event(self, error)),
        };
        let Some(newest) = runtime.sandboxes.first() else {
            return Err(failed("CreateContainerError", "the sandbox is gone"));
        };
        let id = match self.shared.cri.create_container(&newest.id, config, sandbox.clone()).await {
            Ok(id) => id,
            Err(error) => return Err(error_event(self, failed("CreateContainerError", error.message))),
        };
        self.event(Some(slot), Normal, "Created", "Container created");
        if let Err(error) = self.shared.cri.start_container(&id).await {
            return Err(error_event(self, failed("RunContainerError", error.message)));
        }
        self.event(Some(slot), Normal, "Started", "Container started");
        self.post_start(slot, &id, runtime).await
    }

    /// Runs the `postStart` hook; the container does not survive its failure.
    async fn post_start(&mut self, slot: Slot, id: &str, runtime: &PodRuntime) -> Result<(), Failed> {
        let container = self.pod.container(slot).clone();
        let Some(hook) = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.post_start.as_ref())
        else {
            return Ok(());
        };
        let handler = Handler::from(hook);
        let ip = self.ips(runtime).first().cloned().unwrap_or_default();
        let target = Target { container_id: id.to_owned(), ip, container: container.clone() };
        self.in_post_start.insert(id.to_owned());
        let outcome = handler.run(&self.shared.cri, &target, HOOK_TIMEOUT).await;
        self.in_post_start.remove(id);
        let (Outcome::Failure(message) | Outcome::Error(message)) = outcome else { return Ok(()) };
        // What the hook said may be secret.
        self.event(Some(slot), Warning, "FailedPostStartHook", "PostStartHook failed");
        self.event(Some(slot), Normal, "Killing", "FailedPostStartHook");
        if let Err(error) = self.shared.cri.stop_container(id, self.pod.grace_seconds()).await {
            tracing::warn!(%error, container = container.name, "cannot stop a container whose postStart hook failed");
        }
        Err(failed("PostStartHookError", message))
    }

    async fn container_config(
        &self,
        slot: Slot,
        runtime: &PodRuntime,
        volumes: &PodVolumes,
        sandbox: &PodSandboxConfig,
        image: &Image,
    ) -> Result<ContainerConfig, Failed> {
        const CONFIG: &str = "CreateContainerConfigError";
        let pod = &self.pod;
        let container = pod.container(slot);
        let ips = self.ips(runtime);
        if tokio::time::timeout(SERVICES_TIMEOUT, self.shared.services.synced()).await.is_err() {
            return Err(failed(
                CONFIG,
                "services have not yet been read at least once, cannot construct envvars",
            ));
        }
        let services = self.shared.services.list();
        let around = Around {
            lookup: &self.shared.objects,
            pod_ips: &ips,
            node: &self.shared.node,
            services: &services,
        };
        let env = environment(pod, container, &around).map_err(|error| failed(CONFIG, error))?;
        let image_user = image_user(image);
        verify_non_root(pod, container, &image_user).map_err(|error| failed(CONFIG, error))?;
        let volumes = self.pull_image_volumes(volumes, sandbox).await?;
        let directory = self.shared.config.pod_dir(pod.uid());
        let mut mounts = mounts::of_container(pod, slot, &volumes, &env, &directory, &*self.shared.mounts)
            .map_err(|error| failed(CONFIG, error))?;
        mounts.extend(self.hosts_mount(&mounts, &ips).map_err(|error| failed(CONFIG, error))?);
        mounts.extend(self.message_mount(slot).map_err(|error| failed(CONFIG, error))?);
        let target = match slot {
            Slot::Ephemeral(index) => self.target(index, runtime),
            _ => None,
        };
        Ok(container::config(
            pod,
            slot,
            Prepared {
                env,
                mounts,
                image_ref: image.id.clone(),
                image_user,
                restart_count: self.restart_count(slot, runtime),
                target_id: target,
                memory_capacity_bytes: self.shared.memory_capacity_bytes,
                seccomp_profiles: &self.shared.config.data_dir.join("kubelet/seccomp"),
            },
        ))
    }

    /// The container whose processes an ephemeral one sees.
    fn target(&self, index: usize, runtime: &PodRuntime) -> Option<String> {
        let spec = self.pod.spec();
        let name = spec.ephemeral_containers.as_ref()?.get(index)?.target_container_name.as_ref()?;
        runtime.container(name).map(|container| container.id.clone())
    }

    async fn pull_image_volumes(
        &self,
        volumes: &PodVolumes,
        sandbox: &PodSandboxConfig,
    ) -> Result<PodVolumes, Failed> {
        let mut pulled = volumes.clone();
        for mounted in pulled.mounted.values_mut() {
            if let Mounted::Image { reference, pull_policy } = mounted {
                let image = self.ensure_image(None, reference, pull_policy.as_deref(), sandbox).await;
                *reference = image.map_err(|failure| failed("CreateContainerError", failure.message))?.id;
            }
        }
        Ok(pulled)
    }

    fn hosts_mount(&self, others: &[Mount], ips: &[String]) -> std::io::Result<Option<Mount>> {
        if others.iter().any(|mount| mount.container_path == "/etc/hosts") || ips.is_empty() {
            return Ok(None);
        }
        let path = self.shared.config.pod_dir(self.pod.uid()).join("etc-hosts");
        let of_node = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
        std::fs::write(&path, hosts::file(&self.pod, ips, &of_node, &self.shared.config.cluster_domain))?;
        Ok(Some(mounts::file(&path, "/etc/hosts")))
    }

    /// The file for the container's last words.
    fn message_mount(&self, slot: Slot) -> std::io::Result<Option<Mount>> {
        use std::os::unix::fs::PermissionsExt;
        let container = self.pod.container(slot);
        let Some(inside) = container.termination_message_path.as_deref().filter(|path| !path.is_empty())
        else {
            return Ok(None);
        };
        let directory = self.shared.config.pod_dir(self.pod.uid()).join("containers").join(&container.name);
        std::fs::create_dir_all(&directory)?;
        let path: PathBuf = directory.join(format!("{:08x}", self.shared.env.random_u64() as u32));
        std::fs::write(&path, "")?;
        // The container may run as anyone.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666))?;
        Ok(Some(mounts::file(&path, inside)))
    }

    /// One more than that of the newest instance; by its logs if the runtime has none.
    fn restart_count(&self, slot: Slot, runtime: &PodRuntime) -> u32 {
        let name = &self.pod.container(slot).name;
        if let Some(newest) = runtime.container(name) {
            return newest.restart_count + 1;
        }
        let pod = &self.pod;
        let logs = self.shared.config.log_dir(pod.namespace(), pod.name(), pod.uid()).join(name);
        let entries = std::fs::read_dir(logs).into_iter().flatten().flatten();
        let number =
            |entry: std::fs::DirEntry| entry.file_name().to_str()?.split('.').next()?.parse::<u32>().ok();
        entries.filter_map(number).max().map_or(0, |last| last + 1)
    }
}

fn image_user(image: &Image) -> ImageUser {
    let uid = image.uid.as_ref().map(|uid| uid.value);
    // An image that says nothing runs as root.
    let root = uid.is_none() && image.username.is_empty();
    ImageUser { uid: uid.or(root.then_some(0)), name: image.username.clone() }
}
