//! Which Jobs to make and delete, and what the status says.

use decapod_api::cron::{Schedule, time_zone};
use decapod_client::{Kind, decode, reference};
use jiff::Timestamp;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec, CronJobStatus, Job};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, ObjectMeta, Preconditions, Time};

use super::schedule;
use crate::job::ended_as;
use crate::objects::status::same;
use crate::objects::{Meta, owner};
use crate::runtime::{Action, Live, LiveRead, Note, Plan, Write};

/// For which time a Job was made.
const SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";

/// What is known of a CronJob.
#[derive(Clone, Debug)]
pub struct State {
    /// Itself.
    pub cron: CronJob,
    /// The Jobs that it controls.
    pub jobs: Vec<Job>,
}

/// One round of work.
struct Round<'a> {
    cron: &'a CronJob,
    meta: Meta,
    about: ObjectReference,
    status: CronJobStatus,
    plan: Plan,
}

pub(super) fn reconcile(state: &State, live: &Live, now: Timestamp) -> Plan {
    let (cron, meta) = (&state.cron, Meta::from(&state.cron.metadata));
    let spec = &cron.spec;
    let status = cron.status.clone().unwrap_or_default();
    let mut round = Round { cron, about: reference(cron), status, plan: Plan::nothing(), meta };
    if let Err(first) = round.take_stock(&state.jobs, live) {
        return first;
    }
    let surplus = surplus(spec, &state.jobs);
    let mut work = Vec::new();
    if !round.meta.is_deleting() {
        work = round.keep_time(spec, state, now);
    }
    for job in &surplus {
        round.forget(job.metadata.uid.as_deref().unwrap_or_default());
    }
    if !same(&cron.status, &round.status) {
        let new = CronJob { status: Some(round.status.clone()), ..cron.clone() };
        round.plan.write(Write::update_status(&new));
    }
    let deletions = surplus.iter().map(|job| Action::from(round.delete(job)));
    let actions: Vec<Action> = work.into_iter().chain(deletions).collect();
    round.plan.actions.extend(actions);
    round.plan
}

/// The Jobs that have ended, beyond the history that is to be kept; the oldest first.
fn surplus<'a>(spec: &CronJobSpec, jobs: &'a [Job]) -> Vec<&'a Job> {
    let limits =
        [("Complete", spec.successful_jobs_history_limit), ("Failed", spec.failed_jobs_history_limit)];
    let of = |(end, limit): (&str, Option<i32>)| {
        let mut ended: Vec<&Job> = jobs.iter().filter(|job| end_of(job) == Some(end)).collect();
        let started = |job: &Job| job.status.as_ref()?.start_time.as_ref().map(|time| time.0);
        ended.sort_by_key(|job| (started(job).is_none(), started(job), job.metadata.name.clone()));
        let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or_default());
        ended.truncate(ended.len().saturating_sub(limit));
        ended
    };
    limits.into_iter().flat_map(of).collect()
}

/// `Complete` or `Failed`, if the Job has ended.
fn end_of(job: &Job) -> Option<&'static str> {
    job.status.as_ref().and_then(ended_as)
}

fn name(job: &Job) -> &str {
    job.metadata.name.as_deref().unwrap_or_default()
}

/// When the Job was to be made, if its CronJob made it.
fn scheduled(job: &Job) -> Option<Timestamp> {
    job.metadata.annotations.as_ref()?.get(SCHEDULED)?.parse().ok()
}

/// The name of the Job of a time: its minutes since 1970, so that there is one only.
fn name_at(cron: &Meta, at: Timestamp) -> String {
    format!("{}-{}", cron.name, at.as_second().div_euclid(60))
}

// === impl Round ===

impl Round<'_> {
    fn note(&mut self, note: impl FnOnce(ObjectReference) -> Note) {
        self.plan.note(note(self.about.clone()));
    }

    fn is_active(&self, uid: &str) -> bool {
        self.status.active.iter().flatten().any(|active| active.uid.as_deref() == Some(uid))
    }

    fn forget(&mut self, uid: &str) {
        if let Some(active) = &mut self.status.active {
            active.retain(|active| active.uid.as_deref() != Some(uid));
        }
    }

    /// Notes which Jobs are new, ended or missing.
    fn take_stock(&mut self, jobs: &[Job], live: &Live) -> Result<(), Plan> {
        for job in jobs {
            let uid = job.metadata.uid.clone().unwrap_or_default();
            if !self.is_active(&uid) && self.is_new(job) {
                self.status.active.get_or_insert_default().push(reference(job));
                self.status.last_schedule_time = scheduled(job).map(Time);
            }
            match end_of(job) {
                None if !self.is_active(&uid) => self.wonder_at(job, live)?,
                None => {}
                Some(end) => {
                    if self.is_active(&uid) {
                        self.forget(&uid);
                        let message = format!("Saw completed job: {}, condition: {end}", name(job));
                        self.note(|about| Note::normal(about, "SawCompletedJob", message));
                    }
                    let completed = job.status.as_ref().and_then(|status| status.completion_time.clone());
                    let last = self.status.last_successful_time.as_ref().map(|time| time.0);
                    let completed =
                        completed.filter(|at| end == "Complete" && last.is_none_or(|last| at.0 > last));
                    if completed.is_some() {
                        self.status.last_successful_time = completed;
                    }
                }
            }
        }
        self.drop_missing(jobs, live)
    }

    /// Whether the Job was made by this controller, which has not noted it yet.
    fn is_new(&self, job: &Job) -> bool {
        let last = self.status.last_schedule_time.as_ref().map(|time| time.0);
        scheduled(job)
            .is_some_and(|at| name(job) == name_at(&self.meta, at) && last.is_none_or(|last| at > last))
    }

    /// A Job that runs, but that is not known to have been made.
    fn wonder_at(&mut self, job: &Job, live: &Live) -> Result<(), Plan> {
        let read = LiveRead::of::<CronJob>(&self.meta.namespace, &self.meta.name);
        let Some(fresh) = live.object(&read) else { return Err(Plan::ask(vec![read])) };
        let fresh = fresh.and_then(|fresh| decode::<CronJob>(fresh).ok()).and_then(|fresh| fresh.status);
        let uid = job.metadata.uid.as_deref();
        if fresh
            .iter()
            .flat_map(|status| status.active.iter().flatten())
            .any(|active| active.uid.as_deref() == uid)
        {
            // It has been noted, only the informer does not know; it will tell.
            return Err(Plan::nothing());
        }
        let message = format!("Saw a job that the controller did not create or forgot: {}", name(job));
        self.note(|about| Note::warning(about, "UnexpectedJob", message));
        Ok(())
    }

    fn drop_missing(&mut self, jobs: &[Job], live: &Live) -> Result<(), Plan> {
        for active in self.status.active.clone().unwrap_or_default() {
            if jobs.iter().any(|job| job.metadata.uid == active.uid) {
                continue;
            }
            let name = active.name.unwrap_or_default();
            let read = LiveRead::of::<Job>(active.namespace.as_deref().unwrap_or_default(), &name);
            match live.object(&read) {
                None => return Err(Plan::ask(vec![read])),
                Some(Some(_)) => {}
                Some(None) => {
                    self.forget(&active.uid.unwrap_or_default());
                    let message = format!("Active job went missing: {name}");
                    self.note(|about| Note::normal(about, "MissingJob", message));
                }
            }
        }
        Ok(())
    }

    /// What is to be done because of the time.
    fn keep_time(&mut self, spec: &CronJobSpec, state: &State, now: Timestamp) -> Vec<Action> {
        let Some((schedule, zone)) = self.schedule(spec) else { return Vec::new() };
        let due = match schedule::due(self.cron, &schedule, now) {
            Ok(due) => due,
            Err(why) => {
                let message = format!("invalid schedule: {} : {why}", spec.schedule);
                self.note(|about| Note::warning(about, "InvalidSchedule", message));
                return Vec::new();
            }
        };
        if let Some(next) = schedule::next_in(self.cron, &schedule, now) {
            self.plan.again_after(next);
        }
        let Some(due) = due else { return Vec::new() };
        if due.has_missed_many {
            let message = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew";
            self.note(|about| Note::warning(about, "TooManyMissedTimes", message));
        }
        let late = now.duration_since(due.at);
        if spec
            .starting_deadline_seconds
            .is_some_and(|deadline| late > jiff::SignedDuration::from_secs(deadline))
        {
            let at = strtime::format("%a, %d %b %Y %H:%M:%S +0000", due.at).unwrap_or_default();
            let message = format!("Missed scheduled time to start a job: {at}");
            self.note(|about| Note::warning(about, "MissSchedule", message));
            return Vec::new();
        }
        self.make(spec, state, due.at, &zone)
    }

    /// The schedule and its zone, if there is one to keep to.
    fn schedule(&mut self, spec: &CronJobSpec) -> Option<(Schedule, TimeZone)> {
        let wanted = spec.time_zone.as_deref().unwrap_or_default();
        let Some(zone) = time_zone(wanted) else {
            let message = format!("invalid timeZone: {wanted:?}: unknown time zone {wanted}");
            self.note(|about| Note::warning(about, "UnknownTimeZone", message));
            return None;
        };
        if spec.suspend == Some(true) {
            return None;
        }
        if spec.schedule.contains("TZ") {
            let message = format!(
                "CRON_TZ or TZ used in schedule {:?} is not officially supported, see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details",
                spec.schedule
            );
            self.note(|about| Note::warning(about, "UnsupportedSchedule", message));
        }
        match Schedule::parse(&spec.schedule, zone.clone()) {
            Ok(schedule) => Some((schedule, zone)),
            Err(why) => {
                let message = format!("unparseable schedule: {:?} : {why}", spec.schedule);
                self.note(|about| Note::warning(about, "UnparseableSchedule", message));
                None
            }
        }
    }

    /// Makes the Job of a time that is due.
    fn make(&mut self, spec: &CronJobSpec, state: &State, at: Timestamp, zone: &TimeZone) -> Vec<Action> {
        let wanted = name_at(&self.meta, at);
        let active = self.status.active.clone().unwrap_or_default();
        let is_done = self.status.last_schedule_time.as_ref().is_some_and(|last| last.0 == at)
            || active.iter().any(|active| active.name.as_deref() == Some(&wanted))
            || state.jobs.iter().any(|job| name(job) == wanted);
        if is_done {
            return Vec::new();
        }
        let mut actions = Vec::new();
        match spec.concurrency_policy.as_deref() {
            Some("Forbid") if !active.is_empty() => {
                let message =
                    "Not starting job because prior execution is running and concurrency policy is Forbid";
                self.note(|about| Note::normal(about, "JobAlreadyActive", message));
                return Vec::new();
            }
            Some("Replace") => {
                let is_active = |job: &&Job| active.iter().any(|active| active.uid == job.metadata.uid);
                for job in state.jobs.iter().filter(is_active) {
                    actions.push(Action::from(self.delete(job)));
                    self.forget(job.metadata.uid.as_deref().unwrap_or_default());
                }
            }
            _ => {}
        }
        let template = spec.job_template.metadata.clone().unwrap_or_default();
        let mut annotations = template.annotations.unwrap_or_default();
        let local = at.to_zoned(zone.clone());
        let offset =
            if local.offset().is_zero() { "Z".to_owned() } else { local.strftime("%:z").to_string() };
        annotations.insert(SCHEDULED.to_owned(), format!("{}{offset}", local.strftime("%Y-%m-%dT%H:%M:%S")));
        let job = Job {
            metadata: ObjectMeta {
                name: Some(wanted),
                namespace: Some(self.meta.namespace.clone()),
                labels: template.labels,
                annotations: Some(annotations),
                owner_references: Some(vec![owner::reference::<CronJob>(&self.meta)]),
                ..ObjectMeta::default()
            },
            spec: spec.job_template.spec.clone(),
            status: None,
        };
        let create = Write::create(&job)
            .saying(Note::normal(self.about.clone(), "SuccessfulCreate", "Created job {name}"))
            .or_saying(Note::warning(self.about.clone(), "FailedCreate", "Error creating job: {error}"))
            .tolerating(&["AlreadyExists"]);
        actions.push(Action::from(create));
        actions
    }

    fn delete(&self, job: &Job) -> Write {
        let meta = Meta::from(&job.metadata);
        let options = DeleteOptions {
            propagation_policy: Some("Background".to_owned()),
            preconditions: Some(Preconditions { uid: Some(meta.uid), resource_version: None }),
            ..DeleteOptions::default()
        };
        Write::delete_resource(Job::resource(), &meta.namespace, &meta.name, &options)
            .saying(Note::normal(self.about.clone(), "SuccessfulDelete", "Deleted job {name}"))
            .or_saying(Note::warning(self.about.clone(), "FailedDelete", "Deleted job: {error}"))
    }
}
