//! Faults of jobs' statuses: controllers that are not ours write them, too (upstream's `ValidateJobStatusUpdate`).
//! What does not change is not blamed: a spec that changed may be at odds with a status that has not followed yet.

use super::indexes;
use crate::Cause;
use crate::kinds::strategies::rules::{Causes, IMMUTABLE, Place, Seen};
use crate::value::Value;

const COUNTS: [&str; 5] = ["active", "succeeded", "failed", "ready", "terminating"];

/// Whether the condition `kind` is true.
pub fn has(job: &Value, kind: &str) -> bool {
    is(job, kind, "True")
}

fn is(job: &Value, kind: &str, state: &str) -> bool {
    let conditions = job.list_at(&["status", "conditions"]).iter();
    conditions.filter(|c| c.str_at(&["type"]) == Some(kind)).any(|c| c.str_at(&["status"]) == Some(state))
}

fn is_finished(job: &Value) -> bool {
    has(job, "Complete") || has(job, "Failed")
}

/// What became of a job.
struct Change<'v, 'p> {
    job: &'p Place<'v, 'p>,
    status: &'p Place<'v, 'p>,
    old: &'v Value,
}

/// The status of a job, and what became of it.
pub fn check(job: &Place, old: &Value, out: &mut Causes) {
    let status = job.field("status");
    COUNTS.iter().for_each(|field| status.field(field).non_negative(out));
    uncounted(&status, out);
    let change = Change { job, status: &status, old };
    change.conditions(out);
    change.times(out);
    change.counts(out);
    change.indexes(out);
}

/// Pods that have ended but are not counted yet.
fn uncounted(status: &Place, out: &mut Causes) {
    let pods = status.field("uncountedTerminatedPods");
    let mut seen = Seen::default();
    for list in ["succeeded", "failed"] {
        for uid in pods.field(list).items() {
            if uid.text().is_empty() {
                out.push(uid.invalid("must not be empty"));
            } else if seen.again(uid.text()) {
                out.push(uid.duplicate());
            }
        }
    }
}

// === impl Change ===

impl Change<'_, '_> {
    fn now(&self, condition: &str) -> bool {
        has(self.job.value, condition)
    }

    fn turned(&self, condition: &str) -> bool {
        self.now(condition) != has(self.old, condition)
    }

    fn has_finished(&self) -> bool {
        is_finished(self.job.value)
    }

    fn just_finished(&self) -> bool {
        self.has_finished() != is_finished(self.old)
    }

    fn changed(&self, field: &str) -> bool {
        let was = self.old.at(&["status", field]).unwrap_or(&Value::Null);
        let is_count = COUNTS[..3].contains(&field);
        if is_count {
            was.as_int().unwrap_or(0) != self.status.field(field).int()
        } else {
            was != self.status.field(field).value
        }
    }

    fn conditions(&self, out: &mut Causes) {
        let conditions = self.status.field("conditions");
        let mut refuse = |bad: bool, detail: &str| {
            if bad {
                let message = format!("Invalid value: {detail}");
                out.push(Cause { reason: "FieldValueInvalid".into(), message, field: conditions.path() });
            }
        };
        let (complete, failed) = (self.now("Complete"), self.now("Failed"));
        let (met, target) = (self.now("SuccessCriteriaMet"), self.now("FailureTarget"));
        let completion_turned = self.turned("Complete");
        refuse(
            complete && failed && (completion_turned || self.turned("Failed")),
            "cannot set Complete=True and Failed=true conditions",
        );
        refuse(
            complete && target && (completion_turned || self.turned("FailureTarget")),
            "cannot set Complete=True and FailureTarget=true conditions",
        );
        refuse(
            failed && !target && (self.turned("Failed") || self.changed("failedIndexes")),
            "cannot set Failed=True condition without the FailureTarget=true condition",
        );
        refuse(
            complete && !met && (completion_turned || self.turned("SuccessCriteriaMet")),
            "cannot set Complete=True condition without the SuccessCriteriaMet=true condition",
        );
        refuse(met && failed, "cannot set SuccessCriteriaMet=True and Failed=true conditions");
        refuse(met && target, "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions");
        let has_policy = self.job.field("spec").field("successPolicy").is_set();
        refuse(
            has_policy && complete && !met,
            "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True",
        );
        for kind in ["Failed", "Complete", "FailureTarget"] {
            let detail = format!("cannot disable the terminal {kind}=True condition");
            refuse(has(self.old, kind) && !self.now(kind), &detail);
        }
        let was_met = has(self.old, "SuccessCriteriaMet");
        refuse(was_met && !met, "cannot disable the SuccessCriteriaMet=True condition");
        refuse(
            has(self.old, "Complete") && !was_met && met,
            "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions",
        );
    }

    fn times(&self, out: &mut Causes) {
        let (completion, start) = (self.status.field("completionTime"), self.status.field("startTime"));
        let complete = self.now("Complete");
        if self.turned("Complete") || self.changed("completionTime") {
            if completion.is_set() && !complete {
                out.push(
                    completion.invalid("cannot set completionTime when there is no Complete=True condition"),
                );
            }
            if complete && !completion.is_set() {
                out.push(completion.required("completionTime is required for Complete jobs"));
            }
        }
        let changed = self.changed("startTime") || self.changed("completionTime");
        if changed && start.is_set() && completion.is_set() && completion.text() < start.text() {
            out.push(completion.invalid("must be equal to or after `startTime`"));
        }
        let spec = self.job.field("spec");
        let is_idle = spec.field("suspend").is_true() && spec.value.int_at(&["completions"]) == Some(0);
        let turned = self.just_finished() || self.changed("startTime");
        if turned && !is_idle && self.has_finished() && !start.is_set() {
            out.push(start.required("startTime is required for finished job"));
        }
        let was = |field: &str| self.old.at(&["status", field]).is_some_and(|was| !was.is_null());
        if completion.is_set() && was("completionTime") && self.changed("completionTime") {
            out.push(completion.invalid(IMMUTABLE));
        }
        let resumes = has(self.old, "Suspended") && is(self.job.value, "Suspended", "False");
        if was("startTime") && self.changed("startTime") && !resumes && !spec.field("suspend").is_true() {
            out.push(start.invalid("field is immutable for unsuspended job once set"));
        }
    }

    fn counts(&self, out: &mut Causes) {
        for field in ["active", "terminating"] {
            let count = self.status.field(field);
            let turned = self.just_finished() || self.changed(field);
            if turned && self.has_finished() && count.int() > 0 {
                out.push(count.invalid(&format!("{field}>0 is invalid for finished job")));
            }
        }
        let uncounted = self.status.field("uncountedTerminatedPods");
        let is_any = ["succeeded", "failed"].iter().any(|list| !uncounted.field(list).list().is_empty());
        let turned = self.just_finished() || self.changed("uncountedTerminatedPods");
        if turned && self.has_finished() && is_any {
            out.push(uncounted.invalid("must be empty for finished job"));
        }
        let ready = self.status.field("ready");
        let turned = self.changed("ready") || self.changed("active");
        if turned && ready.int() > self.status.field("active").int() {
            out.push(ready.invalid("cannot set more ready pods than active"));
        }
        let spec = self.job.field("spec");
        let is_elastic = spec.field("completionMode").text() == "Indexed"
            && spec.field("completions").value == spec.field("parallelism").value;
        for field in ["failed", "succeeded"] {
            let count = self.status.field(field);
            let is_less = count.int() < self.old.int_at(&["status", field]).unwrap_or(0);
            if is_less && !(is_elastic && field == "succeeded") {
                out.push(count.invalid_as(count.int(), &format!("cannot decrease the {field} counter")));
            }
        }
    }

    fn indexes(&self, out: &mut Causes) {
        let (completed, failed) = (self.status.field("completedIndexes"), self.status.field("failedIndexes"));
        let (changed, failed_changed) = (self.changed("completedIndexes"), self.changed("failedIndexes"));
        let spec = self.job.field("spec");
        let completions = spec.field("completions").value.as_int();
        let by_index = spec.field("backoffLimitPerIndex").is_set();
        for (list, counts) in [(&completed, changed), (&failed, failed_changed && by_index)] {
            let parsed = completions.filter(|_| counts).map(|number| indexes::parse(list.text(), number));
            if let Some(Err(why)) = parsed {
                let field =
                    if list.path() == completed.path() { "completedIndexes" } else { "failedIndexes" };
                out.push(list.invalid(&format!("error parsing {field}: {why}")));
            }
        }
        let is_indexed = spec.field("completionMode").text() == "Indexed";
        if changed && !completed.text().is_empty() && !is_indexed {
            let detail = "cannot set non-empty completedIndexes when non-indexed completion mode";
            out.push(completed.invalid(detail));
        }
        if failed_changed && failed.is_set() && !by_index {
            out.push(failed.invalid("cannot set non-null failedIndexes when backoffLimitPerIndex is null"));
        }
        let both = completions.filter(|_| changed || failed_changed);
        if let Some(at) = both.and_then(|all| indexes::overlap(completed.text(), failed.text(), all)) {
            out.push(failed.invalid(&format!("failedIndexes and completedIndexes overlap at index: {at}")));
        }
    }
}
