//! Job: pods that run until they are done.

use super::{job_spec, job_status};
use crate::Cause;
use crate::kinds::strategies::apps::workload;
use crate::kinds::strategies::core::pod::warn_of_name;
use crate::kinds::strategies::core::pod_spec::defaults as pod_defaults;
use crate::kinds::strategies::fill::{each, fill, fill_zero, has, part, restore};
use crate::kinds::strategies::rules::{Causes, Place, before};
use crate::kinds::strategy::{Strategy, Verb};
use crate::selector::LabelSelector;
use crate::value::{Map, Value};

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
    }

    fn prepare(&self, new: &mut Value, old: Option<&Value>, verb: Verb) {
        workload::drop_gated(new, old);
        if verb == Verb::Create && new.at(&["spec", "manualSelector"]) != Some(&Value::Bool(true)) {
            select_own_pods(new);
        }
        // A default, but one that upstream's aliasing of maps makes take effect only now.
        let path = ["spec", "template", "metadata", "labels"];
        if let Some(labels) = new.at(&path).filter(|labels| !labels.is_null()).cloned() {
            fill_zero(part(new, "metadata"), "labels", labels);
        }
    }

    fn default_orphan(&self) -> bool {
        true
    }

    fn validate(&self, new: &Value, old: Option<&Value>, verb: Verb) -> Vec<Cause> {
        let (job, mut out) = (Place::root(new), Vec::new());
        if let (Verb::UpdateSubresource(_), Some(old)) = (verb, old) {
            job_status::check(&job, old, &mut out);
            return out;
        }
        generated_selector(&job, &mut out);
        let spec = job.field("spec");
        job_spec::check(&spec, &mut out);
        let selector = spec.field("selector");
        if selector.is_set() {
            selector.label_selector(&mut out);
        } else {
            out.push(selector.required(""));
        }
        if let Ok(parsed) = LabelSelector::from_value(selector.value) {
            let template = spec.field("template");
            let metadata = template.field("metadata");
            let labels = metadata.field("labels");
            if !selector.is_set() || !parsed.matches_labels(Some(labels.value)) {
                out.push(labels.invalid("`selector` does not match template `labels`"));
            }
        }
        host_name(&job, &mut out);
        if let Some(old) = old {
            changed_spec(&spec, old, &mut out);
        }
        out
    }

    fn warn(&self, new: &Value) -> Vec<String> {
        warn_of_name(new, "Pod names and hostnames")
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

/// What of a spec stays as it is, besides completions and the template.
const FIXED: [&str; 6] =
    ["selector", "completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"];

/// A job that selects by its UID has just those labels in its template.
fn generated_selector(job: &Place, out: &mut Causes) {
    let spec = job.field("spec");
    let selector = spec.field("selector");
    if spec.field("manualSelector").is_true() || !selector.is_set() {
        return;
    }
    let (name, uid) = (job.value.str_at(&["metadata", "name"]), job.value.str_at(&["metadata", "uid"]));
    let expected = [("controller-uid", uid), ("job-name", name), (CONTROLLER_UID, uid), (JOB_NAME, name)];
    let template = spec.field("template");
    let metadata = template.field("metadata");
    let labels = metadata.field("labels");
    for (key, wanted) in expected {
        let (wanted, label) = (wanted.unwrap_or_default(), labels.key(key));
        if !label.is_set() {
            out.push(labels.required(&format!("must be '{wanted}'")));
        } else if label.text() != wanted {
            out.push(label.invalid(&format!("must be '{wanted}'")));
        }
    }
    let own: Value = expected
        .iter()
        .map(|(key, value)| ((*key).into(), value.unwrap_or_default().into()))
        .collect::<Map>()
        .into();
    if LabelSelector::from_value(selector.value).is_ok_and(|parsed| !parsed.matches_labels(Some(&own))) {
        out.push(selector.invalid("`selector` not auto-generated"));
    }
}

/// The hosts of an indexed job's pods are called after it and their index.
fn host_name(job: &Place, out: &mut Causes) {
    let spec = job.field("spec");
    let completions = spec.field("completions").int();
    let metadata = job.field("metadata");
    let name = metadata.field("name");
    if spec.field("completionMode").text() == "Indexed" && completions > 0 {
        let host = format!("{}-{}", name.text(), completions - 1);
        if !crate::names::label(&host).is_empty() {
            out.push(name.invalid(&format!("will not able to create pod with invalid DNS label: {host}")));
        }
    }
}

fn changed_spec(spec: &Place, old: &Value, out: &mut Causes) {
    let was = |field: &str| before(Some(old), &["spec", field]);
    let completions = spec.field("completions");
    if spec.field("completionMode").text() != "Indexed" {
        completions.immutable(was("completions"), out);
    } else if completions.is_set()
        && was("completions") != Some(completions.value)
        && completions.value != spec.field("parallelism").value
    {
        out.push(completions.invalid("can only be modified in tandem with spec.parallelism"));
    }
    FIXED.iter().for_each(|field| spec.field(field).immutable(was(field), out));
    let template = spec.field("template");
    let Some(was_template) = was("template") else { return };
    let is_suspended = was("suspend") == Some(&Value::Bool(true));
    let may_change = is_suspended
        && old.int_at(&["status", "active"]).unwrap_or(0) == 0
        && (old.at(&["status", "startTime"]).is_none_or(Value::is_null) || job_status::has(old, "Suspended"));
    if !may_change {
        return template.immutable(Some(was_template), out);
    }
    let mut allowed = was_template.clone();
    for path in MUTABLE_WHILE_SUSPENDED {
        restore(&mut allowed, template.value, path);
    }
    if allowed.at(&["spec", "affinity"]).is_some_and(Value::is_empty) {
        allowed.remove_at(&["spec", "affinity"]);
    }
    for list in ["containers", "initContainers"] {
        let resources: Vec<Option<Value>> =
            template.value.list_at(&["spec", list]).iter().map(|c| c.get("resources").cloned()).collect();
        if let Some(Value::List(containers)) = allowed.at_mut(&["spec", list]) {
            for (container, resources) in containers.iter_mut().zip(resources) {
                match resources {
                    Some(resources) => container.set_at(&["resources"], resources),
                    None => drop(container.remove_at(&["resources"])),
                }
            }
        }
    }
    if allowed.get("spec") != template.value.get("spec") {
        out.push(Cause::invalid("spec.template.spec", template.field("spec").value, "field is immutable"));
    }
}

/// What tells the scheduler of a job that waits may still change (KEP-2926).
const MUTABLE_WHILE_SUSPENDED: [&[&str]; 6] = [
    &["spec", "affinity", "nodeAffinity"],
    &["spec", "nodeSelector"],
    &["spec", "tolerations"],
    &["spec", "schedulingGates"],
    &["metadata", "labels"],
    &["metadata", "annotations"],
];
