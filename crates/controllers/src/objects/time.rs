//! Times and waits.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// How long it is from `now` until `seconds` after `since`; zero if that has passed.
pub fn until(since: Timestamp, seconds: i64, now: Timestamp) -> Duration {
    let due = since.as_second().saturating_add(seconds);
    let left_ms =
        due.saturating_mul(1000).saturating_add(i64::from(since.subsec_millisecond())) - now.as_millisecond();
    Duration::from_millis(left_ms.max(0).unsigned_abs())
}

/// `time` as objects carry it, to the second.
pub fn seconds(time: Timestamp) -> Time {
    Time(Timestamp::from_second(time.as_second()).unwrap_or(time))
}
