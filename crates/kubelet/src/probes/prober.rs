//! The probes of one pod: a task for each probe of each running container (pkg/kubelet/prober/worker.go).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use decapod_client::{EventType, Recorder};
use decapod_sys::Env;
use k8s_openapi::api::core::v1::{Container, ObjectReference, Probe};

use super::handler::{Handler, Outcome, Target};
use crate::cri::Cri;
use crate::cri::types::ContainerState;
use crate::pod::NodePod;
use crate::pod::observed::{PodRuntime, State};
use crate::pod::plan::{ProbeKind, Verdicts};

/// How often a probe that cannot be tried is tried again at once.
const TRIES: u32 = 3;

/// The probes of one pod.
pub struct Prober {
    env: Env,
    cri: Cri,
    recorder: Recorder,
    shared: Arc<Shared>,
    tasks: BTreeMap<(String, ProbeKind), Env>,
}

struct Shared {
    verdicts: Mutex<Verdicts>,
    /// Told when a verdict changes.
    changed: Box<dyn Fn() + Send + Sync>,
}

/// A probe that should run.
struct Wanted {
    probe: Probe,
    reference: ObjectReference,
    container: Container,
    started_at_ns: i64,
}

/// One probe of one container.
struct Task {
    cri: Cri,
    recorder: Recorder,
    shared: Arc<Shared>,
    kind: ProbeKind,
    probe: Probe,
    target: Target,
    reference: ObjectReference,
    /// How long until the first try.
    delay: Duration,
}

// === impl Prober ===

impl Prober {
    /// Probes that tell `changed` of new verdicts; they end with `env`.
    pub fn new(
        env: &Env,
        cri: &Cri,
        recorder: &Recorder,
        changed: impl Fn() + Send + Sync + 'static,
    ) -> Prober {
        let shared = Arc::new(Shared { verdicts: Mutex::default(), changed: Box::new(changed) });
        Prober {
            env: env.clone(),
            cri: cri.clone(),
            recorder: recorder.clone(),
            shared,
            tasks: BTreeMap::new(),
        }
    }

    /// What the probes say.
    pub fn verdicts(&self) -> Verdicts {
        self.shared.lock().clone()
    }

    /// Takes a verdict from before a restart of the kubelet.
    pub fn seed(&self, container_id: &str, kind: ProbeKind, verdict: bool) {
        self.shared.lock().0.entry((container_id.to_owned(), kind)).or_insert(verdict);
    }

    /// Probes what runs and nothing else. `stopping`: only whether it is ready still matters.
    pub fn keep(&mut self, pod: &NodePod, runtime: &PodRuntime, ips: &[String], stopping: bool, env: &Env) {
        let mut wanted = BTreeMap::new();
        for (slot, container) in pod.containers() {
            let Some(status) =
                runtime.container(&container.name).filter(|status| status.state == State::Running)
            else {
                continue;
            };
            let verdicts = self.verdicts();
            let started = container.startup_probe.is_none()
                || verdicts.get(&status.id, ProbeKind::Startup) == Some(true);
            let probes = [
                (ProbeKind::Startup, container.startup_probe.as_ref().filter(|_| !started && !stopping)),
                (ProbeKind::Liveness, container.liveness_probe.as_ref().filter(|_| started && !stopping)),
                (ProbeKind::Readiness, container.readiness_probe.as_ref().filter(|_| started)),
            ];
            for (kind, probe) in probes {
                let failed_for_good =
                    kind != ProbeKind::Readiness && verdicts.get(&status.id, kind) == Some(false);
                let Some(probe) = probe.filter(|_| !failed_for_good) else { continue };
                let key = (status.id.clone(), kind);
                let found = Wanted {
                    probe: probe.clone(),
                    reference: crate::worker::reference(pod, Some(slot)),
                    container: container.clone(),
                    started_at_ns: status.started_at_ns,
                };
                wanted.insert(key, found);
            }
        }
        self.tasks.retain(|key, scope| {
            let keep = wanted.contains_key(key);
            if !keep {
                let scope = scope.clone();
                env.spawn("probe-end", async move { scope.shutdown().await });
            }
            keep
        });
        for (key, found) in wanted {
            if !self.tasks.contains_key(&key) {
                self.begin(key, found, ips);
            }
        }
        let alive = |id: &String| runtime.containers.iter().any(|container| container.id == *id);
        self.shared.lock().0.retain(|(id, _), _| alive(id));
    }

    fn begin(&mut self, key: (String, ProbeKind), wanted: Wanted, ips: &[String]) {
        let age = self.env.now().as_nanosecond() - i128::from(wanted.started_at_ns);
        let delay = i128::from(wanted.probe.initial_delay_seconds.unwrap_or(0)) * 1_000_000_000 - age;
        let task = Task {
            cri: self.cri.clone(),
            recorder: self.recorder.clone(),
            shared: Arc::clone(&self.shared),
            kind: key.1,
            target: Target {
                container_id: key.0.clone(),
                ip: ips.first().cloned().unwrap_or_default(),
                container: wanted.container,
            },
            probe: wanted.probe,
            reference: wanted.reference,
            delay: Duration::from_nanos(u64::try_from(delay).unwrap_or(0)),
        };
        let scope = self.env.scope();
        scope.spawn("probe", task.run());
        self.tasks.insert(key, scope);
    }
}

// === impl Shared ===

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Verdicts> {
        self.verdicts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Task ===

impl Task {
    async fn run(self) {
        let at_least_one =
            |number: Option<i32>, default: i32| number.unwrap_or(default).max(1).unsigned_abs();
        let period = Duration::from_secs(at_least_one(self.probe.period_seconds, 10).into());
        let needed_failures = at_least_one(self.probe.failure_threshold, 3);
        let needed_successes = at_least_one(self.probe.success_threshold, 1);
        let (mut last, mut run) = (None, 0);
        tokio::time::sleep(self.delay).await;
        loop {
            let began = tokio::time::Instant::now();
            if let Some(success) = self.probe_once().await {
                run = if last == Some(success) { run + 1 } else { 1 };
                last = Some(success);
                let needed = if success { needed_successes } else { needed_failures };
                if run >= needed {
                    self.say(success);
                    let over =
                        (self.kind == ProbeKind::Startup) || (self.kind == ProbeKind::Liveness && !success);
                    if over {
                        return;
                    }
                }
            }
            tokio::time::sleep(period.saturating_sub(began.elapsed())).await;
        }
    }

    fn say(&self, success: bool) {
        let key = (self.target.container_id.clone(), self.kind);
        if self.shared.lock().0.insert(key, success) != Some(success) {
            (self.shared.changed)();
        }
    }

    async fn still_runs(&self) -> bool {
        let status = self.cri.container_status(&self.target.container_id).await.ok().flatten();
        status.is_some_and(|status| status.state == ContainerState::Running as i32)
    }

    /// Whether the probe succeeded; `None` if it could not be tried.
    async fn probe_once(&self) -> Option<bool> {
        let timeout =
            Duration::from_secs(self.probe.timeout_seconds.unwrap_or(1).max(1).unsigned_abs().into());
        let handler = Handler::from(&self.probe);
        let mut outcome = handler.run(&self.cri, &self.target, timeout).await;
        for _ in 1..TRIES {
            if !matches!(outcome, Outcome::Error(_)) {
                break;
            }
            outcome = handler.run(&self.cri, &self.target, timeout).await;
        }
        let name = match self.kind {
            ProbeKind::Liveness => "Liveness",
            ProbeKind::Readiness => "Readiness",
            ProbeKind::Startup => "Startup",
        };
        let event =
            |reason, message| self.recorder.event(&self.reference, EventType::Warning, reason, message);
        match outcome {
            Outcome::Success => Some(true),
            Outcome::Warning(message) => {
                event("ProbeWarning", format!("{name} probe warning: {message}"));
                Some(true)
            }
            Outcome::Failure(message) => {
                event("Unhealthy", format!("{name} probe failed: {message}"));
                Some(false)
            }
            // It may have ended meanwhile, which is nobody's fault.
            Outcome::Error(_) if !self.still_runs().await => None,
            Outcome::Error(message) => {
                event("Unhealthy", format!("{name} probe errored and resulted in unknown state: {message}"));
                None
            }
        }
    }
}
