//! One look at a Job: what its pods amount to, whether it is over, and what follows.

use std::time::Duration;

use decapod_client::reference;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobCondition, JobSpec, JobStatus};

use super::conditions::{self, COMPLETE, FAILED, FAILURE_TARGET, SUCCESS_CRITERIA, SUSPENDED};
use super::indexes::Indexes;
use super::policy::{self, Verdict};
use super::{FINALIZER, manage, tracking};
use crate::objects::{Meta, Pod, status, template, time};
use crate::runtime::{Action, Note, Plan, Write};

/// The annotation of pods of an indexed Job.
pub(super) const INDEX: &str = "batch.kubernetes.io/job-completion-index";
/// Annotations that count how often an index failed.
pub(super) const INDEX_FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";
pub(super) const INDEX_IGNORED_FAILURES: &str = "batch.kubernetes.io/job-index-ignored-failure-count";

/// A Job and its pods, sorted out.
pub(super) struct Sync<'a> {
    pub job: &'a Job,
    pub meta: Meta,
    pub spec: JobSpec,
    /// As it is to be.
    pub status: JobStatus,
    pub pods: Vec<Pod>,
    pub now: Timestamp,
    pub active: Vec<Pod>,
    pub terminating: i32,
    pub succeeded: i32,
    pub failed: i32,
    /// What was counted before, and what is now; of an indexed Job.
    pub counted_indexes: Indexes,
    pub succeeded_indexes: Indexes,
    pub failed_indexes: Option<Indexes>,
    /// Why it is over.
    pub finished: Option<JobCondition>,
    pub plan: Plan,
    /// What follows once the status is written.
    pub after: Vec<Action>,
}

// === what pods are to their Job ===

/// The completion index of `pod`.
pub(super) fn index(pod: &Pod) -> Option<i32> {
    pod.metadata.annotations.get(INDEX)?.parse().ok().filter(|index| *index >= 0)
}

pub(super) fn is_tracked(pod: &Pod) -> bool {
    pod.metadata.finalizers.iter().any(|finalizer| finalizer == FINALIZER)
}

/// When `pod` ended: when its last container did, or since when it has not been ready, or when it was deleted.
pub(super) fn ended_at(pod: &Pod) -> Timestamp {
    let ends: Option<Vec<Timestamp>> = pod
        .status
        .container_statuses
        .iter()
        .map(|status| status.state.terminated.as_ref()?.finished_at.as_ref().map(|time| time.0))
        .collect();
    let of_containers = ends.and_then(|ends| ends.into_iter().max());
    let unready = pod.condition("Ready").filter(|condition| condition.status == "False");
    let since_unready =
        unready.and_then(|condition| condition.last_transition_time.as_ref()).map(|time| time.0);
    let deleted = pod.metadata.deletion_timestamp.as_ref().map(|time| {
        let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or_default();
        time.0.checked_sub(jiff::SignedDuration::from_secs(grace)).unwrap_or(time.0)
    });
    of_containers.or(since_unready).or(deleted).unwrap_or_else(|| pod.metadata.created())
}

// === impl Sync ===

impl<'a> Sync<'a> {
    pub(super) fn new(job: &'a Job, meta: Meta, pods: Vec<Pod>, now: Timestamp) -> Sync<'a> {
        let (spec, status) = (job.spec.clone().unwrap_or_default(), job.status.clone().unwrap_or_default());
        let active: Vec<Pod> = pods.iter().filter(|pod| pod.is_active()).cloned().collect();
        let terminating = pods.iter().filter(|pod| pod.is_terminating()).count() as i32;
        let completions = spec.completions.unwrap_or_default();
        let parse =
            |text: Option<&String>| Indexes::parse(text.map(String::as_str).unwrap_or_default(), completions);
        let counted_indexes = parse(status.completed_indexes.as_ref());
        let failed_indexes = spec.backoff_limit_per_index.map(|_| parse(status.failed_indexes.as_ref()));
        let mut sync = Sync {
            job,
            meta,
            spec,
            status,
            pods,
            now,
            active,
            terminating,
            succeeded: 0,
            failed: 0,
            succeeded_indexes: counted_indexes.clone(),
            counted_indexes,
            failed_indexes,
            finished: None,
            plan: Plan::nothing(),
            after: Vec::new(),
        };
        sync.count();
        sync
    }

    pub(super) fn is_indexed(&self) -> bool {
        self.spec.completion_mode.as_deref() == Some("Indexed")
    }

    pub(super) fn is_suspended(&self) -> bool {
        self.spec.suspend == Some(true)
    }

    /// Whether a pod is only replaced once it has ended, not while it is going.
    pub(super) fn replaces_only_failed(&self) -> bool {
        self.spec.pod_replacement_policy.as_deref() == Some("Failed")
            || self.spec.pod_failure_policy.is_some()
    }

    /// Whether `pod` counts as failed.
    pub(super) fn has_failed(&self, pod: &Pod) -> bool {
        pod.status.phase == "Failed"
            || !self.replaces_only_failed() && pod.metadata.is_deleting() && pod.status.phase != "Succeeded"
    }

    /// The index of `pod` that counts; `None` if it has none that does.
    pub(super) fn valid_index(&self, pod: &Pod) -> Option<i32> {
        index(pod).filter(|index| *index < self.spec.completions.unwrap_or_default())
    }

    /// What is to be added up, the pods not counted yet included.
    fn count(&mut self) {
        let uncounted = self.status.uncounted_terminated_pods.clone().unwrap_or_default();
        let (succeeded, failed) =
            (uncounted.succeeded.unwrap_or_default(), uncounted.failed.unwrap_or_default());
        let counts = |pod: &&Pod| is_tracked(pod) && (!self.is_indexed() || self.valid_index(pod).is_some());
        let tracked: Vec<&Pod> = self.pods.iter().filter(counts).collect();
        let done: Vec<&Pod> = tracked.iter().copied().filter(|pod| pod.status.phase == "Succeeded").collect();
        let failures: Vec<&Pod> = tracked.iter().copied().filter(|pod| self.has_failed(pod)).collect();
        let new_done = done.iter().filter(|pod| !succeeded.contains(&pod.metadata.uid)).count();
        let new_failures = failures.iter().filter(|pod| !failed.contains(&pod.metadata.uid));
        let new_failures =
            new_failures.filter(|pod| policy::verdict(&self.spec, pod) != Verdict::Ignore).count();
        let was = |count: Option<i32>| count.unwrap_or_default();
        let failed_total = was(self.status.failed) + (new_failures + failed.len()) as i32;
        let done_indexes: Vec<i32> = done.iter().filter_map(|pod| self.valid_index(pod)).collect();
        let failed_now: Vec<i32> = failures
            .iter()
            .filter(|pod| self.fails_index(pod))
            .filter_map(|pod| self.valid_index(pod))
            .collect();
        let succeeded_total = was(self.status.succeeded) + (new_done + succeeded.len()) as i32;
        self.failed = failed_total;
        if self.is_indexed() {
            self.succeeded_indexes.0.extend(done_indexes);
            self.succeeded = self.succeeded_indexes.total();
        } else {
            self.succeeded = succeeded_total;
        }
        if let Some(indexes) = &mut self.failed_indexes {
            indexes.0.extend(failed_now);
        }
    }

    /// Whether the failure of `pod` is one too many for its index.
    fn fails_index(&self, pod: &Pod) -> bool {
        let Some(limit) = self.spec.backoff_limit_per_index else { return false };
        match policy::verdict(&self.spec, pod) {
            Verdict::FailIndex => true,
            Verdict::Ignore => false,
            Verdict::Count | Verdict::FailJob(_) => pod.annotated(INDEX_FAILURES) >= limit,
        }
    }

    pub(super) fn run(mut self) -> Plan {
        if self.status.start_time.is_none() && !self.is_suspended() {
            self.status.start_time = Some(time::seconds(self.now));
        }
        self.decide_end();
        if self.finished.is_some() {
            self.end_pods();
        } else if !self.meta.is_deleting() {
            manage::manage(&mut self);
            self.note_suspension();
        }
        let active = self.active.len() as i32;
        let is_complete = match self.spec.completions {
            None => self.succeeded > 0 && active == 0,
            Some(completions) => self.succeeded >= completions && active == 0,
        };
        if self.finished.is_none() && is_complete && !self.meta.is_deleting() {
            let message = "Reached expected number of succeeded pods";
            self.finished = Some(self.condition(SUCCESS_CRITERIA, "CompletionsReached", message));
        }
        self.status.active = (active != 0).then_some(active);
        self.status.ready = Some(self.active.iter().filter(|pod| pod.is_ready()).count() as i32);
        self.status.terminating = Some(self.terminating);
        tracking::track(&mut self);
        self.finish()
    }

    fn condition(&self, kind: &str, reason: &str, message: &str) -> JobCondition {
        conditions::make(kind, "True", reason, message, self.now)
    }

    /// Whether it is over, and why: what was decided before stands.
    fn decide_end(&mut self) {
        if let Some(met) = conditions::holding(&self.status, SUCCESS_CRITERIA) {
            self.finished = Some(met.clone());
            return;
        }
        if let Some(target) = conditions::holding(&self.status, FAILURE_TARGET) {
            self.finished = Some(target.clone());
            return;
        }
        let failure = self.failure();
        self.finished = failure.map(|(reason, message)| self.condition(FAILURE_TARGET, reason, &message));
        if self.finished.is_none() && self.is_indexed() {
            let completions = self.spec.completions.unwrap_or_default();
            let message =
                policy::success(self.spec.success_policy.as_ref(), completions, &self.succeeded_indexes);
            self.finished =
                message.map(|message| self.condition(SUCCESS_CRITERIA, "SuccessPolicy", &message));
        }
    }

    fn failure(&mut self) -> Option<(&'static str, String)> {
        if self.spec.pod_failure_policy.is_some() {
            let failed = self.pods.iter().filter(|pod| self.has_failed(pod));
            let mut verdicts = failed.map(|pod| policy::verdict(&self.spec, pod));
            if let Some(Verdict::FailJob(why)) =
                verdicts.find(|verdict| matches!(verdict, Verdict::FailJob(_)))
            {
                return Some(("PodFailurePolicy", why));
            }
        }
        let limit = self.spec.backoff_limit.unwrap_or(6);
        if self.failed > limit || self.restarted_too_often(limit) {
            return Some(("BackoffLimitExceeded", "Job has reached the specified backoff limit".to_owned()));
        }
        if let (Some(seconds), Some(since), false) =
            (self.spec.active_deadline_seconds, &self.status.start_time, self.is_suspended())
        {
            let left = time::until(since.0, seconds, self.now);
            if left.is_zero() {
                return Some((
                    "DeadlineExceeded",
                    "Job was active longer than specified deadline".to_owned(),
                ));
            }
            self.plan.again_after(left);
        }
        let indexes = self.failed_indexes.as_ref()?;
        if self.spec.max_failed_indexes.is_some_and(|most| indexes.total() > most) {
            let message = "Job has exceeded the specified maximal number of failed indexes";
            return Some(("MaxFailedIndexesExceeded", message.to_owned()));
        }
        let completions = self.spec.completions.unwrap_or_default();
        let is_over = indexes.total() > 0 && indexes.total() + self.succeeded_indexes.total() >= completions;
        is_over.then(|| ("FailedIndexes", "Job has failed indexes".to_owned()))
    }

    /// Whether containers that start again by themselves have done so too often.
    fn restarted_too_often(&self, limit: i32) -> bool {
        let policy = self.spec.template.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref());
        if policy != Some("OnFailure") {
            return false;
        }
        let living =
            self.pods.iter().filter(|pod| matches!(pod.status.phase.as_str(), "Running" | "Pending"));
        let statuses = living
            .flat_map(|pod| pod.status.container_statuses.iter().chain(&pod.status.init_container_statuses));
        let restarts: i32 = statuses.map(|status| status.restart_count).sum();
        if limit == 0 { restarts > 0 } else { restarts >= limit }
    }

    /// Deletes all pods that still run: the Job is over.
    fn end_pods(&mut self) {
        let about = reference(self.job);
        let deletes: Vec<Write> =
            self.active.iter().map(|pod| template::delete(&pod.metadata, &about)).collect();
        self.terminating += deletes.len() as i32;
        self.active.clear();
        if !deletes.is_empty() {
            self.after.push(Action::Parallel(deletes));
        }
    }

    fn note_suspension(&mut self) {
        let about = reference(self.job);
        let (value, reason, message, event) = if self.is_suspended() {
            ("True", "JobSuspended", "Job suspended", "Suspended")
        } else {
            ("False", "JobResumed", "Job resumed", "Resumed")
        };
        let condition = conditions::make(SUSPENDED, value, reason, message, self.now);
        if conditions::set(&mut self.status, condition) {
            self.after.push(Action::Event(Note::normal(about, event, message)));
            self.status.start_time = (!self.is_suspended()).then(|| time::seconds(self.now));
        }
    }

    /// Writes the status, and then does what follows.
    fn finish(mut self) -> Plan {
        if let Some(finished) = self.finished.clone() {
            self.enact_end(finished);
        }
        if !status::same(&self.job.status, &self.status) {
            let job = Job { status: Some(self.status.clone()), ..self.job.clone() };
            self.plan.write(Write::update_status(&job));
        }
        self.plan.actions.append(&mut self.after);
        self.plan
    }

    /// Says first that it will have ended, and that it has only when all pods are gone and counted.
    fn enact_end(&mut self, finished: JobCondition) {
        let about = reference(self.job);
        let is_success = finished.type_ == SUCCESS_CRITERIA;
        conditions::set(&mut self.status, finished.clone());
        let uncounted = self.status.uncounted_terminated_pods.iter();
        let uncounted: usize = uncounted
            .map(|one| one.succeeded.iter().flatten().count() + one.failed.iter().flatten().count())
            .sum();
        if uncounted > 0 || self.terminating > 0 || self.has_untracked_ends() {
            return;
        }
        let (reason, message) = (finished.reason.unwrap_or_default(), finished.message.unwrap_or_default());
        let kind = if is_success { COMPLETE } else { FAILED };
        conditions::set(&mut self.status, conditions::make(kind, "True", &reason, &message, self.now));
        if !is_success {
            self.after.push(Action::Event(Note::warning(about, reason_text(&reason), message)));
            return;
        }
        self.status.completion_time = Some(time::seconds(self.now));
        if self
            .spec
            .completions
            .is_some_and(|completions| self.status.succeeded.unwrap_or_default() > completions)
        {
            let message = "Too many succeeded pods running after completion count reached";
            self.after.push(Action::Event(Note::warning(about.clone(), "TooManySucceededPods", message)));
        }
        self.after.push(Action::Event(Note::normal(about, "Completed", "Job completed")));
    }

    /// Whether a pod still has to be counted.
    fn has_untracked_ends(&self) -> bool {
        self.pods.iter().any(is_tracked)
    }

    /// Looks again after `delay`.
    pub(super) fn again_after(&mut self, delay: Duration) {
        self.plan.again_after(delay);
    }
}

/// The reasons that there are, for events.
fn reason_text(reason: &str) -> &'static str {
    let known = [
        "PodFailurePolicy",
        "BackoffLimitExceeded",
        "DeadlineExceeded",
        "MaxFailedIndexesExceeded",
        "FailedIndexes",
    ];
    known.into_iter().find(|other| *other == reason).unwrap_or("Failed")
}
