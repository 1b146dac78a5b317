//! Job: pods that run until they are done.

use crate::kinds::strategies::core::pod_spec::defaults as pod_defaults;
use crate::kinds::strategies::fill::{each, fill, fill_zero, has, part};
use crate::kinds::strategy::{Strategy, Verb};
use crate::value::Value;

/// The label with the name of a pod's job.
const JOB_NAME: &str = "batch.kubernetes.io/job-name";
/// The label with the UID of a pod's job.
const CONTROLLER_UID: &str = "batch.kubernetes.io/controller-uid";

/// Job: pods that run until they are done.
pub struct Job;

impl Strategy for Job {
    fn default(&self, draft: &mut Value) {
        let spec = part(draft, "spec");
        if !has(spec, "completions") && !has(spec, "parallelism") {
            fill(spec, "completions", 1);
        }
        fill(spec, "parallelism", 1);
        let backoff = if has(spec, "backoffLimitPerIndex") { i32::MAX } else { 6 };
        fill(spec, "backoffLimit", backoff);
        fill(spec, "completionMode", "NonIndexed");
        fill(spec, "suspend", false);
        let replacement = if has(spec, "podFailurePolicy") { "Failed" } else { "TerminatingOrFailed" };
        fill(spec, "podReplacementPolicy", replacement);
        fill(spec, "manualSelector", false);
        default_spec(spec);
        let labels =
            draft.at(&["spec", "template", "metadata", "labels"]).filter(|labels| !labels.is_null()).cloned();
        if let Some(labels) = labels {
            fill_zero(part(draft, "metadata"), "labels", labels);
        }
    }

    fn prepare(&self, new: &mut Value, _old: Option<&Value>, verb: Verb) {
        if verb == Verb::Create && new.at(&["spec", "manualSelector"]) != Some(&Value::Bool(true)) {
            select_own_pods(new);
        }
    }

    fn default_orphan(&self) -> bool {
        true
    }
}

/// Labels the template with the job's name and UID, and selects by the latter.
fn select_own_pods(job: &mut Value) {
    let of = |field: &str| job.at(&["metadata", field]).cloned().unwrap_or_default();
    let (name, uid) = (of("name"), of("uid"));
    let labels = job.entry_at(&["spec", "template", "metadata", "labels"]);
    for (key, value) in
        [("job-name", &name), (JOB_NAME, &name), ("controller-uid", &uid), (CONTROLLER_UID, &uid)]
    {
        let slot = labels.ensure_map().entry(key);
        if slot.is_null() {
            *slot = value.clone();
        }
    }
    let slot = job.entry_at(&["spec", "selector", "matchLabels", CONTROLLER_UID]);
    if slot.is_null() {
        *slot = uid;
    }
}

/// What a job gets in the template of a CronJob, too.
pub(super) fn default_spec(spec: &mut Value) {
    if has(spec, "podFailurePolicy") {
        each(part(spec, "podFailurePolicy"), "rules", |rule| {
            each(rule, "onPodConditions", |pattern| fill(pattern, "status", "True"));
        });
    }
    pod_defaults::template(spec);
}
