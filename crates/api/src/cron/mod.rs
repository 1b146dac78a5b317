//! Schedules of CronJobs, in the words and with the rules of the library by which upstream reads them
//! (github.com/robfig/cron, `ParseStandard`).

mod next;
mod parse;
mod zone;

use jiff::tz::TimeZone;

pub use zone::time_zone;

/// When something is to happen again and again.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// In which zone its clock is.
    zone: TimeZone,
    times: Times,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Times {
    /// So many seconds apart.
    Every(i64),
    At(Fields),
}

/// Which minutes, hours, days of the month, months and days of the week, as sets of bits.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fields {
    minute: u64,
    hour: u64,
    day: u64,
    month: u64,
    weekday: u64,
}

/// Set in a field that leaves its value open.
const STAR: u64 = 1 << 63;
