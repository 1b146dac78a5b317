//! Which time of a schedule is due.

use std::time::Duration;

use decapod_api::cron::Schedule;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::CronJob;

/// From how many missed times on people are told.
const MISSED_MAX: i64 = 100;
/// How much later than due a Job is made, for clocks that differ.
const LATER: Duration = Duration::from_millis(100);

/// The last time that a Job should have been made.
pub(super) struct Due {
    pub at: Timestamp,
    pub has_missed_many: bool,
}

struct Recent {
    /// From when on times count.
    from: Timestamp,
    /// The last time that is not after now.
    last: Option<Timestamp>,
    missed: i64,
}

/// The last time that is due; why there is none, if the schedule makes no sense.
pub(super) fn due(cron: &CronJob, schedule: &Schedule, now: Timestamp) -> Result<Option<Due>, String> {
    let recent = recent(cron, schedule, now, true)?;
    Ok(recent.last.map(|at| Due { at, has_missed_many: recent.missed > MISSED_MAX }))
}

/// How long it is until the next time.
pub(super) fn next_in(cron: &CronJob, schedule: &Schedule, now: Timestamp) -> Option<Duration> {
    let after = match recent(cron, schedule, now, false) {
        Ok(Recent { last: Some(last), .. }) => last,
        Ok(Recent { from, missed: 0, .. }) => from,
        _ => now,
    };
    let left = schedule.next(after)?.duration_since(now);
    Some(Duration::try_from(left).unwrap_or_default() + LATER)
}

fn recent(
    cron: &CronJob,
    schedule: &Schedule,
    now: Timestamp,
    within_deadline: bool,
) -> Result<Recent, String> {
    let created = cron.metadata.creation_timestamp.as_ref();
    let last = cron.status.as_ref().and_then(|status| status.last_schedule_time.as_ref());
    let mut from = last.or(created).map_or(now, |time| time.0);
    let deadline = cron.spec.starting_deadline_seconds;
    if let Some(deadline) = deadline.filter(|_| within_deadline) {
        from = from.max(now.saturating_sub(SignedDuration::from_secs(deadline)).unwrap_or(from));
    }
    let senseless = || "time difference between two schedules is less than 1 second".to_owned();
    let first = schedule.next(from).ok_or_else(senseless)?;
    if now < first {
        return Ok(Recent { from, last: None, missed: 0 });
    }
    let second = schedule.next(first).ok_or_else(senseless)?;
    if now < second {
        return Ok(Recent { from, last: Some(first), missed: 0 });
    }
    // Roughly how many there were: as if all were as far apart as the first two.
    let apart = second.duration_since(first).as_secs();
    let missed = now.duration_since(first).as_secs() / apart.max(1) + 1;
    let start = SignedDuration::from_secs((missed - 2) * apart);
    let mut at = schedule.next(first.saturating_add(start).unwrap_or(first));
    let mut last = None;
    while let Some(time) = at.filter(|time| *time <= now) {
        last = Some(time);
        at = schedule.next(time);
    }
    Ok(Recent { from, last, missed })
}
