//! What the runtime has of a pod: its sandboxes and containers, newest first.

use std::collections::HashMap;

use crate::cri::types;
use crate::cri::{Cri, CriError};

/// The labels and annotations by which sandboxes and containers are found again (pkg/kubelet/types,
/// pkg/kubelet/kuberuntime/labels.go).
pub mod labels {
    /// The pod's name.
    pub const POD_NAME: &str = "io.kubernetes.pod.name";
    /// The pod's namespace.
    pub const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
    /// The pod's UID.
    pub const POD_UID: &str = "io.kubernetes.pod.uid";
    /// The container's name.
    pub const CONTAINER_NAME: &str = "io.kubernetes.container.name";
    /// What the container was made from, hexadecimal.
    pub const HASH: &str = "io.kubernetes.container.hash";
    /// How often it had been restarted.
    pub const RESTART_COUNT: &str = "io.kubernetes.container.restartCount";
    /// Where in the container it leaves its last words.
    pub const TERMINATION_MESSAGE_PATH: &str = "io.kubernetes.container.terminationMessagePath";
    /// Whether its log stands in for them.
    pub const TERMINATION_MESSAGE_POLICY: &str = "io.kubernetes.container.terminationMessagePolicy";
    /// How long the pod may take to stop.
    pub const TERMINATION_GRACE: &str = "io.kubernetes.pod.terminationGracePeriod";
    /// Its `preStop` hook, as JSON.
    pub const PRE_STOP: &str = "io.kubernetes.container.preStopHandler";
}

/// What the runtime has of one pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodRuntime {
    /// Newest first.
    pub sandboxes: Vec<Sandbox>,
    /// Newest first.
    pub containers: Vec<Container>,
}

/// One sandbox.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sandbox {
    /// The runtime's id of it.
    pub id: String,
    /// The how-manieth of its pod, from 0.
    pub attempt: u32,
    /// Whether containers can be started in it.
    pub ready: bool,
    /// Unix time in nanoseconds.
    pub created_at_ns: i64,
    /// Its addresses, the main one first; none on the node's network.
    pub ips: Vec<String>,
    /// Whether it shares the node's network.
    pub host_network: bool,
}

/// How a container is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Made, not started.
    Created,
    /// Running.
    Running,
    /// At its end.
    Exited,
    /// The runtime cannot say.
    #[default]
    Unknown,
}

/// One container.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Container {
    /// The runtime's id of it.
    pub id: String,
    /// Its name in the pod.
    pub name: String,
    /// The sandbox it is in.
    pub sandbox_id: String,
    /// How it is.
    pub state: State,
    /// Unix time in nanoseconds.
    pub created_at_ns: i64,
    /// Unix time in nanoseconds; 0 before it started.
    pub started_at_ns: i64,
    /// Unix time in nanoseconds; 0 before it ended.
    pub finished_at_ns: i64,
    /// 128 and more for signals.
    pub exit_code: i32,
    /// Such as `Completed`, `Error`, `OOMKilled`.
    pub reason: String,
    /// Why it ended, from the runtime or from itself.
    pub message: String,
    /// The image that was asked for.
    pub image: String,
    /// The image's digest reference.
    pub image_ref: String,
    /// How often it had been restarted when it was made.
    pub restart_count: u32,
    /// What it was made from.
    pub hash: Option<u64>,
    /// Where on the node its log is.
    pub log_path: String,
    /// Where on the node its last words are.
    pub termination_log: Option<String>,
    /// Whether its log stands in for them.
    pub log_is_message: bool,
    /// Its limits as they are.
    pub resources: Option<types::LinuxContainerResources>,
    /// As whom it runs.
    pub user: Option<types::LinuxContainerUser>,
    /// Its `preStop` hook, as JSON.
    pub pre_stop: Option<String>,
    /// How long its pod may take to stop.
    pub grace_seconds: Option<i64>,
}

// === impl PodRuntime ===

impl PodRuntime {
    /// What `cri` has of the pod `uid`.
    pub async fn observe(cri: &Cri, uid: &str) -> Result<PodRuntime, CriError> {
        let selector = HashMap::from([(labels::POD_UID.to_owned(), uid.to_owned())]);
        let filter = types::PodSandboxFilter { label_selector: selector.clone(), ..Default::default() };
        let of_pod = types::ContainerFilter { label_selector: selector, ..Default::default() };
        let (sandboxes, containers) =
            tokio::try_join!(cri.list_sandboxes(filter), cri.list_containers(of_pod))?;
        let sandboxes = sandboxes.iter().map(|sandbox| cri.sandbox_status(&sandbox.id));
        let containers = containers.iter().map(|container| async {
            let status = cri.container_status(&container.id).await?;
            Ok(status.map(|status| Container::read(status, &container.pod_sandbox_id)))
        });
        let (sandboxes, containers) =
            tokio::join!(futures::future::join_all(sandboxes), futures::future::join_all(containers));
        let mut runtime = PodRuntime {
            sandboxes: present(sandboxes)?.into_iter().map(Sandbox::read).collect(),
            containers: present(containers)?,
        };
        runtime.sort();
        Ok(runtime)
    }

    /// Newest first.
    pub(crate) fn sort(&mut self) {
        self.sandboxes.sort_by_key(|sandbox| std::cmp::Reverse((sandbox.created_at_ns, sandbox.attempt)));
        self.containers
            .sort_by_key(|container| std::cmp::Reverse((container.created_at_ns, container.restart_count)));
    }

    /// The newest container of that name.
    pub fn container(&self, name: &str) -> Option<&Container> {
        self.containers.iter().find(|container| container.name == name)
    }

    /// The container before the newest of that name.
    pub fn previous(&self, name: &str) -> Option<&Container> {
        self.containers.iter().filter(|container| container.name == name).nth(1)
    }

    /// Those that run, or of which nobody knows.
    pub fn alive(&self) -> impl Iterator<Item = &Container> {
        self.containers.iter().filter(|container| matches!(container.state, State::Running | State::Unknown))
    }

    /// The addresses of the newest sandbox, if it is ready.
    pub fn ips(&self) -> &[String] {
        self.sandboxes.first().filter(|sandbox| sandbox.ready).map_or(&[], |sandbox| &sandbox.ips)
    }

    /// Whether nothing of it runs any more.
    pub fn is_stopped(&self) -> bool {
        self.alive().next().is_none() && !self.sandboxes.iter().any(|sandbox| sandbox.ready)
    }
}

/// Those that are still there.
fn present<T>(results: Vec<Result<Option<T>, CriError>>) -> Result<Vec<T>, CriError> {
    let mut found = Vec::new();
    for result in results {
        match result {
            Ok(item) => found.extend(item),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

// === impl Sandbox ===

impl Sandbox {
    fn read(status: types::PodSandboxStatus) -> Sandbox {
        let network = status.network.unwrap_or_default();
        let ips = std::iter::once(network.ip).chain(network.additional_ips.into_iter().map(|more| more.ip));
        let options =
            status.linux.and_then(|linux| linux.namespaces).and_then(|namespaces| namespaces.options);
        Sandbox {
            id: status.id,
            attempt: status.metadata.unwrap_or_default().attempt,
            ready: status.state == types::PodSandboxState::Ready as i32,
            created_at_ns: status.created_at,
            ips: ips.filter(|ip| !ip.is_empty()).collect(),
            host_network: options.is_some_and(|options| options.network == types::NamespaceMode::Node as i32),
        }
    }
}

// === impl Container ===

impl Container {
    fn read(status: types::ContainerStatus, sandbox_id: &str) -> Container {
        let annotation = |key: &str| status.annotations.get(key).cloned();
        let path = annotation(labels::TERMINATION_MESSAGE_PATH).unwrap_or_default();
        let message = status.mounts.iter().find(|mount| !path.is_empty() && mount.container_path == path);
        Container {
            name: status.labels.get(labels::CONTAINER_NAME).cloned().unwrap_or_default(),
            sandbox_id: sandbox_id.to_owned(),
            state: State::read(status.state),
            created_at_ns: status.created_at,
            started_at_ns: status.started_at,
            finished_at_ns: status.finished_at,
            exit_code: status.exit_code,
            image: status
                .image
                .map(|image| {
                    if image.user_specified_image.is_empty() {
                        image.image
                    } else {
                        image.user_specified_image
                    }
                })
                .unwrap_or_default(),
            image_ref: status.image_ref,
            restart_count: annotation(labels::RESTART_COUNT)
                .and_then(|count| count.parse().ok())
                .unwrap_or(0),
            hash: annotation(labels::HASH).and_then(|hash| u64::from_str_radix(&hash, 16).ok()),
            termination_log: message.map(|mount| mount.host_path.clone()),
            log_is_message: annotation(labels::TERMINATION_MESSAGE_POLICY).as_deref()
                == Some("FallbackToLogsOnError"),
            pre_stop: annotation(labels::PRE_STOP),
            grace_seconds: annotation(labels::TERMINATION_GRACE).and_then(|seconds| seconds.parse().ok()),
            resources: status.resources.and_then(|resources| resources.linux),
            user: status.user.and_then(|user| user.linux),
            log_path: status.log_path,
            reason: status.reason,
            message: status.message,
            id: status.id,
        }
    }
}

// === impl State ===

impl State {
    fn read(state: i32) -> State {
        match types::ContainerState::try_from(state) {
            Ok(types::ContainerState::Created) => State::Created,
            Ok(types::ContainerState::Running) => State::Running,
            Ok(types::ContainerState::Exited) => State::Exited,
            _ => State::Unknown,
        }
    }
}
