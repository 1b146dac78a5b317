//! A running pod: one look, one plan, its execution; again until there is nothing more to do
//! (pkg/kubelet kubelet.go SyncPod, kuberuntime SyncPod).

use decapod_client::EventType::{Normal, Warning};
use decapod_sys::cgroup::Limits;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Node, PodStatus};
use k8s_openapi::api::node::v1::RuntimeClass;

use super::{Retry, Stage, Verdict, Worker};
use crate::cri::types::PodSandboxConfig;
use crate::pod::observed::{PodRuntime, State};
use crate::pod::plan::{BackingOff, Failure, Plan, ProbeKind, Situation, plan};
use crate::pod::{dns, qos, resources, sandbox};
use crate::volumes::PodVolumes;

/// When the runtime does not answer.
const RUNTIME_RETRY: SignedDuration = SignedDuration::from_secs(1);
/// Volumes: as upstream's exponential back-off.
const VOLUME_RETRY_FIRST: SignedDuration = SignedDuration::from_millis(500);
const VOLUME_RETRY_MAX: SignedDuration = SignedDuration::from_secs(122);
const SANDBOX_RETRY_FIRST: SignedDuration = SignedDuration::from_secs(1);
const SANDBOX_RETRY_MAX: SignedDuration = SignedDuration::from_secs(15);
/// How many rounds of plans there may be before others get their turn.
const ROUNDS_MAX: usize = 16;

impl Worker {
    /// Brings the pod nearer to what it should be; when to look again if nothing happens.
    pub(super) async fn sync(&mut self) -> Option<Timestamp> {
        for _ in 0..ROUNDS_MAX {
            let runtime = match self.observe().await {
                Ok(runtime) => runtime,
                Err(error) => {
                    tracing::warn!(pod = %self.pod.format(), %error, "the container runtime does not answer");
                    return Some(self.shared.env.now() + RUNTIME_RETRY);
                }
            };
            let now = self.shared.env.now();
            let granted_at = self.grant();
            self.seed_verdicts(&runtime);
            if let Some(verdict) = self.verdict_now(now).await {
                self.verdict = Some(verdict);
                self.publish(&runtime, false, false);
                self.stage = Stage::Ending;
                return Some(now);
            }
            let verdicts = self.prober.verdicts();
            let situation = Situation {
                pod: &self.pod,
                runtime: &runtime,
                verdicts: &verdicts,
                memory: &self.memory,
                now,
            };
            let plan = plan(&situation);
            self.resize.in_progress = self.is_behind(&plan, &runtime);
            self.tell_backing_off(&plan.backing_off);
            let ips = self.ips(&runtime);
            self.prober.keep(&self.pod, &runtime, &ips, false, &self.env);
            let status = self.publish(&runtime, false, false);
            if plan.finished {
                self.stage = Stage::Ending;
                return Some(now);
            }
            let again_at = earliest([plan.again_at, granted_at, self.deadline(&status)]);
            match self.execute(&plan, &runtime).await {
                Progress::Done { renew_at } => return earliest([again_at, renew_at]),
                Progress::Wait(at) => return earliest([again_at, Some(at)]),
                Progress::Again => {}
            }
        }
        Some(self.shared.env.now())
    }

    /// After a restart of the kubelet, what was ready is taken to be so still.
    fn seed_verdicts(&self, runtime: &PodRuntime) {
        let status = self.pod.status();
        let lists = [&status.container_statuses, &status.init_container_statuses];
        for known in lists.into_iter().flat_map(|list| list.iter().flatten()) {
            let Some(container) =
                runtime.container(&known.name).filter(|container| container.state == State::Running)
            else {
                continue;
            };
            let same =
                known.container_id.as_deref() == Some(crate::status::containers::id(container).as_str());
            if same && known.started == Some(true) {
                self.prober.seed(&container.id, ProbeKind::Startup, true);
            }
            if same && known.ready {
                self.prober.seed(&container.id, ProbeKind::Readiness, true);
            }
        }
    }

    /// Whether the pod has failed on its own account: it is refused, or has had its time.
    async fn verdict_now(&mut self, now: Timestamp) -> Option<Verdict> {
        if !self.admitted {
            let node = self.node_object().await;
            if let Err((reason, message)) = self.shared.admission.admit(&self.pod, node.as_ref()) {
                self.event(None, Warning, &reason, message.clone());
                return Some((reason, message));
            }
            self.admitted = true;
        }
        let over = self.deadline(&self.old_status()).is_some_and(|deadline| deadline <= now);
        over.then(|| {
            let message = "Pod was active on the node longer than the specified deadline".to_owned();
            self.event(None, Normal, "DeadlineExceeded", message.clone());
            ("DeadlineExceeded".to_owned(), message)
        })
    }

    /// The node's object, if the pod has to be held against it. It is read anew, because labels may have been put there
    /// for this very pod.
    async fn node_object(&self) -> Option<Node> {
        if !self.shared.admission.minds_object(&self.pod) {
            return None;
        }
        let node = self.shared.client.get::<Node>("", &self.shared.config.node_name).await;
        node.inspect_err(|error| tracing::warn!(pod = %self.pod.format(), %error, "cannot read the node"))
            .ok()
    }

    /// When the pod's time is over.
    fn deadline(&self, status: &PodStatus) -> Option<Timestamp> {
        let seconds = self.pod.spec().active_deadline_seconds?;
        Some(status.start_time.as_ref()?.0 + SignedDuration::from_secs(seconds))
    }

    pub(super) fn ips(&self, runtime: &PodRuntime) -> Vec<String> {
        if self.pod.is_host_network() { self.shared.node.ips.clone() } else { runtime.ips().to_vec() }
    }

    /// Says once for each wait that a container waits to be started again.
    fn tell_backing_off(&mut self, held: &[BackingOff]) {
        for BackingOff { slot, until } in held {
            let container = self.pod.container(*slot).clone();
            let delay =
                self.memory.crashes.delay(&crate::pod::plan::backoff_key(&container)).unwrap_or_default();
            let pod = self.pod.format();
            let message = format!(
                "back-off {} restarting failed container={} pod={pod}",
                minutes(delay),
                container.name
            );
            let failure = Failure { reason: "CrashLoopBackOff".to_owned(), message, retry_at: *until };
            self.memory.failures.insert(container.name.clone(), failure);
            if self.told.insert(container.name.clone(), *until) != Some(*until) {
                let message = format!("Back-off restarting failed container {} in pod {pod}", container.name);
                self.event(Some(*slot), Warning, "BackOff", message);
            }
        }
    }

    async fn execute(&mut self, plan: &Plan, runtime: &PodRuntime) -> Progress {
        if plan.kill_pod {
            if !runtime.sandboxes.is_empty() && plan.create_sandbox.is_some() {
                self.event(
                    None,
                    Normal,
                    "SandboxChanged",
                    "Pod sandbox changed, it will be killed and re-created.",
                );
            }
            self.kill_all(runtime, self.pod.grace_seconds()).await;
        }
        let kills = plan.kill.iter().map(|kill| self.kill_planned(kill, runtime));
        futures::future::join_all(kills).await;
        self.collect(plan, runtime).await;
        if let Err(at) = self.resize(&plan.resize, runtime).await {
            return Progress::Wait(at);
        }
        let idle = plan.create_sandbox.is_none() && plan.start.is_empty();
        // Volumes follow what they show, whether or not containers are started.
        let volumes = match self.prepare().await {
            Ok(volumes) => volumes,
            Err(at) => return Progress::Wait(at),
        };
        if idle {
            let changed = !plan.kill.is_empty() || plan.kill_pod || !plan.resize.is_empty();
            return if changed { Progress::Again } else { Progress::Done { renew_at: volumes.renew_at } };
        }
        let attempt = plan
            .create_sandbox
            .unwrap_or_else(|| runtime.sandboxes.first().map_or(0, |sandbox| sandbox.attempt));
        let config = match self.sandbox_config(attempt) {
            Ok(config) => config,
            Err(at) => return Progress::Wait(at),
        };
        let mut runtime = std::borrow::Cow::Borrowed(runtime);
        if plan.create_sandbox.is_some() {
            match self.make_sandbox(&config).await {
                Ok(observed) => runtime = std::borrow::Cow::Owned(observed),
                Err(at) => return Progress::Wait(at),
            }
            self.publish(&runtime, false, false);
        }
        for slot in &plan.start {
            self.start(*slot, &runtime, &volumes, &config).await;
        }
        Progress::Again
    }

    /// What a pod needs before its sandbox; when to try again if it cannot be made.
    async fn prepare(&mut self) -> Result<PodVolumes, Timestamp> {
        let now = self.shared.env.now();
        if !self.retries.volumes.is_due(now) {
            return Err(self.retries.volumes.at.unwrap_or(now));
        }
        let made = match self.make_directories() {
            Ok(()) => {
                if !self.shared.objects.synced(self.pod.uid()).await {
                    tracing::debug!(pod = %self.pod.format(), "its config maps and secrets are not known yet");
                    return Err(self.shared.env.now() + RUNTIME_RETRY);
                }
                self.shared.volumes.set_up(&self.pod).await
            }
            Err(error) => {
                self.event(None, Warning, "Failed", format!("error making pod data directories: {error}"));
                Err(Vec::new())
            }
        };
        match made {
            Ok(volumes) => {
                self.retries.volumes = Retry::default();
                Ok(volumes)
            }
            Err(errors) => {
                errors.iter().for_each(|error| self.event(None, Warning, "FailedMount", error.to_string()));
                let now = self.shared.env.now();
                self.retries.volumes.failed(now, VOLUME_RETRY_FIRST, VOLUME_RETRY_MAX);
                Err(self.retries.volumes.at.unwrap_or(now))
            }
        }
    }

    fn make_directories(&self) -> std::io::Result<()> {
        let pod = &self.pod;
        let directory = self.shared.config.pod_dir(pod.uid());
        for below in ["volumes", "containers", "plugins"] {
            std::fs::create_dir_all(directory.join(below))?;
        }
        let logs = self.shared.config.log_dir(pod.namespace(), pod.name(), pod.uid());
        pod.containers()
            .try_for_each(|(_, container)| std::fs::create_dir_all(logs.join(&container.name)))?;
        let root = &self.shared.config.cgroup_root;
        // All that may be used between guaranteed and best-effort pods together, against both.
        let cpu_shares = Some(resources::shares(self.shared.admission.burstable_cpu_millis()).unsigned_abs());
        let burstable = qos::Class::Burstable.cgroup(root);
        self.shared.cgroups.ensure(&burstable, &Limits { cpu_shares, ..Limits::default() })?;
        self.shared.cgroups.ensure(&qos::pod_cgroup(pod, root), &resources::pod_cgroup(pod))
    }

    fn sandbox_config(&mut self, attempt: u32) -> Result<PodSandboxConfig, Timestamp> {
        let config = &self.shared.config;
        let host = std::fs::read_to_string(&config.resolv_conf).unwrap_or_default();
        let dns = dns::config(&self.pod, &dns::parse(&host), &config.cluster_dns, &config.cluster_domain);
        sandbox::config(&self.pod, attempt, dns, config)
            .map_err(|error| self.sandbox_failed(&error.to_string()))
    }

    async fn make_sandbox(&mut self, config: &PodSandboxConfig) -> Result<PodRuntime, Timestamp> {
        let now = self.shared.env.now();
        if !self.retries.sandbox.is_due(now) {
            return Err(self.retries.sandbox.at.unwrap_or(now));
        }
        if !self.pod.is_host_network() {
            // Without a network it could only fail. When nobody says any more whether there is one, all of this ends.
            drop(self.shared.ready.clone().wait_for(|ready| *ready).await);
        }
        let handler = match self.runtime_handler().await {
            Ok(handler) => handler,
            Err(why) => return Err(self.sandbox_failed(&why)),
        };
        if let Err(error) = self.shared.cri.run_sandbox(config.clone(), &handler).await {
            return Err(self.sandbox_failed(&error.to_string()));
        }
        self.retries.sandbox = Retry::default();
        self.observe().await.map_err(|_| self.shared.env.now() + RUNTIME_RETRY)
    }

    /// The runtime's name for the pod's runtime class; the default one is empty.
    async fn runtime_handler(&self) -> Result<String, String> {
        let spec = self.pod.spec();
        if spec.host_users == Some(false) {
            return Err("user namespaces (hostUsers: false) are not supported by this node yet".to_owned());
        }
        let Some(class) = spec.runtime_class_name.as_deref().filter(|class| !class.is_empty()) else {
            return Ok(String::new());
        };
        match self.shared.client.get::<RuntimeClass>("", class).await {
            Ok(found) => Ok(found.handler),
            Err(error) => Err(format!("failed to get RuntimeClass {class:?}: {error}")),
        }
    }

    fn sandbox_failed(&mut self, why: &str) -> Timestamp {
        self.event(None, Warning, "FailedCreatePodSandBox", format!("Failed to create pod sandbox: {why}"));
        let now = self.shared.env.now();
        self.retries.sandbox.failed(now, SANDBOX_RETRY_FIRST, SANDBOX_RETRY_MAX);
        self.retries.sandbox.at.unwrap_or(now)
    }
}

/// How far the execution of a plan has come.
enum Progress {
    /// There is nothing more to do until something happens, or a token has to be renewed.
    Done { renew_at: Option<Timestamp> },
    /// A step has failed and is tried again then.
    Wait(Timestamp),
    /// Something has changed: look again.
    Again,
}

fn earliest(times: impl IntoIterator<Item = Option<Timestamp>>) -> Option<Timestamp> {
    times.into_iter().flatten().min()
}

/// A delay as Go shows one: `10s`, `1m20s`, `5m0s`.
fn minutes(delay: SignedDuration) -> String {
    match delay.as_secs() {
        seconds @ ..60 => format!("{seconds}s"),
        seconds => format!("{}m{}s", seconds / 60, seconds % 60),
    }
}
