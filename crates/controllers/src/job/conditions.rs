//! A Job's conditions.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{JobCondition, JobStatus};

use crate::objects::time;

pub(super) const COMPLETE: &str = "Complete";
pub(super) const FAILED: &str = "Failed";
pub(super) const FAILURE_TARGET: &str = "FailureTarget";
pub(super) const SUCCESS_CRITERIA: &str = "SuccessCriteriaMet";
pub(super) const SUSPENDED: &str = "Suspended";

/// The condition `kind`, if it holds.
pub(super) fn holding<'a>(status: &'a JobStatus, kind: &str) -> Option<&'a JobCondition> {
    status.conditions.iter().flatten().find(|condition| condition.type_ == kind && condition.status == "True")
}

/// Whether the Job has ended, well or not.
pub(crate) fn is_finished(status: &JobStatus) -> bool {
    holding(status, COMPLETE).or_else(|| holding(status, FAILED)).is_some()
}

/// How it ended: `Complete` or `Failed`; `None` if it has not.
pub(crate) fn ended_as(status: &JobStatus) -> Option<&'static str> {
    [COMPLETE, FAILED].into_iter().find(|kind| holding(status, kind).is_some())
}

/// When it ended.
pub(crate) fn finished_at(status: &JobStatus) -> Option<Timestamp> {
    let condition = holding(status, COMPLETE).or_else(|| holding(status, FAILED))?;
    condition.last_transition_time.as_ref().map(|time| time.0)
}

pub(super) fn make(kind: &str, value: &str, reason: &str, message: &str, now: Timestamp) -> JobCondition {
    JobCondition {
        type_: kind.to_owned(),
        status: value.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_probe_time: Some(time::seconds(now)),
        last_transition_time: Some(time::seconds(now)),
    }
}

/// Sets `new`, unless it says nothing new; a condition that never held is not said not to. Whether that is a change.
pub(super) fn set(status: &mut JobStatus, new: JobCondition) -> bool {
    let conditions = status.conditions.get_or_insert_default();
    let Some(old) = conditions.iter_mut().find(|condition| condition.type_ == new.type_) else {
        let holds = new.status != "False";
        if holds {
            conditions.push(new);
        }
        return holds;
    };
    if old.status == new.status && old.reason == new.reason && old.message == new.message {
        return false;
    }
    *old = new;
    true
}
