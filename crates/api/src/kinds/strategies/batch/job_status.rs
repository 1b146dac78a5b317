//! Faults of jobs' statuses: controllers that are not ours write them, too (upstream's `ValidateJobStatusUpdate`).

use crate::Cause;
use crate::kinds::strategies::rules::{Causes, IMMUTABLE, Place};
use crate::value::Value;

const COUNTS: [&str; 5] = ["active", "succeeded", "failed", "ready", "terminating"];

/// Whether the condition `kind` is true.
pub fn has(job: &Value, kind: &str) -> bool {
    let conditions = job.list_at(&["status", "conditions"]).iter();
    conditions.filter(|c| c.str_at(&["type"]) == Some(kind)).any(|c| c.str_at(&["status"]) == Some("True"))
}

/// The status of a job, and what became of it.
pub fn check(job: &Place, old: &Value, out: &mut Causes) {
    let status = job.field("status");
    COUNTS.iter().for_each(|field| status.field(field).non_negative(out));
    let now = |kind: &str| has(job.value, kind);
    let is_finished = now("Complete") || now("Failed");
    let conditions = status.field("conditions");
    let refuse = |detail: &str| Cause {
        reason: "FieldValueInvalid".into(),
        message: format!("Invalid value: {detail}"),
        field: conditions.path(),
    };
    for (bad, detail) in [
        (
            now("Failed") && !now("FailureTarget"),
            "cannot set Failed=True condition without the FailureTarget=true condition",
        ),
        (
            now("Complete") && !now("SuccessCriteriaMet"),
            "cannot set Complete=True condition without the SuccessCriteriaMet=true condition",
        ),
        (now("Complete") && now("Failed"), "cannot set Complete=True and Failed=true conditions"),
        (
            now("Complete") && now("FailureTarget"),
            "cannot set Complete=True and FailureTarget=true conditions",
        ),
        (
            now("SuccessCriteriaMet") && now("Failed"),
            "cannot set SuccessCriteriaMet=True and Failed=true conditions",
        ),
        (
            now("SuccessCriteriaMet") && now("FailureTarget"),
            "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions",
        ),
    ] {
        if bad {
            out.push(refuse(detail));
        }
    }
    for kind in ["Failed", "Complete", "FailureTarget"] {
        if has(old, kind) && !now(kind) {
            out.push(refuse(&format!("cannot disable the terminal {kind}=True condition")));
        }
    }
    if has(old, "SuccessCriteriaMet") && !now("SuccessCriteriaMet") {
        out.push(refuse("cannot disable the SuccessCriteriaMet=True condition"));
    }
    let active = status.field("active");
    if is_finished && active.int() > 0 {
        out.push(active.invalid("active>0 is invalid for finished job"));
    }
    if is_finished && status.field("terminating").int() > 0 {
        out.push(status.field("terminating").invalid("terminating>0 is invalid for finished job"));
    }
    if status.field("ready").int() > active.int() {
        out.push(status.field("ready").invalid("cannot set more ready pods than active"));
    }
    for field in ["failed", "succeeded"] {
        let is_elastic = field == "succeeded"
            && job.value.str_at(&["spec", "completionMode"]) == Some("Indexed")
            && job.value.at(&["spec", "completions"]) == job.value.at(&["spec", "parallelism"]);
        let count = status.field(field);
        if !is_elastic && count.int() < old.int_at(&["status", field]).unwrap_or(0) {
            out.push(count.invalid_as(count.int(), &format!("cannot decrease the {field} counter")));
        }
    }
    times(&status, old, now("Complete"), out);
}

fn times(status: &Place, old: &Value, is_complete: bool, out: &mut Causes) {
    let (completion, start) = (status.field("completionTime"), status.field("startTime"));
    let was = old.at(&["status", "completionTime"]).filter(|was| !was.is_null());
    if completion.is_set() && was.is_some_and(|was| was != completion.value) {
        out.push(completion.invalid(IMMUTABLE));
    }
    match (is_complete, completion.is_set()) {
        (true, false) => out.push(completion.required("completionTime is required for Complete jobs")),
        (false, true) => out
            .push(completion.invalid("completionTime cannot be set for a job without a Complete condition")),
        _ => {}
    }
    if start.is_set() && completion.is_set() && completion.text() < start.text() {
        out.push(completion.invalid("completionTime cannot be set before startTime"));
    }
}
