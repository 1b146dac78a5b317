//! The next time of a schedule.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp, Zoned};

use super::{Fields, STAR, Schedule, Times};

/// In how many years there has to be a next time, or there is none.
const YEARS_MAX: i16 = 5;

// === impl Schedule ===

impl Schedule {
    /// The first time after `after`, in whole seconds; `None` if there is none for five years, as on a 31st of February.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let second = Timestamp::from_second(after.as_nanosecond().div_euclid(1_000_000_000) as i64).ok()?;
        match &self.times {
            Times::Every(seconds) => second.checked_add(SignedDuration::from_secs(*seconds)).ok(),
            Times::At(fields) => {
                let from = second.checked_add(SignedDuration::from_secs(1)).ok()?;
                fields.next(from.to_zoned(self.zone.clone()), &self.zone).map(|at| at.timestamp())
            }
        }
    }
}

// === impl Fields ===

impl Fields {
    /// The first matching time from `at` on. Each field moves on until it matches; when one wraps around, all those
    /// above it are looked at again. Hours and minutes move on by time passed, not by the clock, so that an hour that
    /// a clock change leaves out is passed over, and one that comes twice counts twice where each hour does.
    fn next(&self, mut at: Zoned, zone: &TimeZone) -> Option<Zoned> {
        let last_year = at.year().checked_add(YEARS_MAX)?;
        // Whether something has moved on, and all below it is at its beginning.
        let mut moved = false;
        'wrap: loop {
            if at.year() > last_year {
                return None;
            }
            while !has(self.month, at.month()) {
                if !std::mem::replace(&mut moved, true) {
                    at = on(at.date().first_of_month().at(0, 0, 0, 0), zone)?;
                }
                // Days that the next month has not are the first of the one after, as Go has it.
                let next = at.date().last_of_month().tomorrow().ok()?;
                let next = next.checked_add(Span::new().days(at.day() - 1)).ok()?;
                at = on(next.to_datetime(at.time()), zone)?;
                if at.month() == 1 {
                    continue 'wrap;
                }
            }
            while !self.has_day(at.date()) {
                if !std::mem::replace(&mut moved, true) {
                    at = on(at.date().at(0, 0, 0, 0), zone)?;
                }
                at = on(at.datetime().checked_add(Span::new().days(1)).ok()?, zone)?;
                // A clock that is put on at midnight has none on that day.
                match at.hour() {
                    0 => {}
                    hour if hour > 12 => at = later(&at, i64::from(24 - hour) * 3600)?,
                    hour => at = later(&at, -i64::from(hour) * 3600)?,
                }
                if at.day() == 1 {
                    continue 'wrap;
                }
            }
            while !has(self.hour, at.hour()) {
                if !std::mem::replace(&mut moved, true) {
                    at = on(at.date().at(at.hour(), 0, 0, 0), zone)?;
                }
                at = later(&at, 3600)?;
                if at.hour() == 0 {
                    continue 'wrap;
                }
            }
            while !has(self.minute, at.minute()) {
                moved = true;
                at = later(&at, 60 - i64::from(at.second()))?;
                if at.minute() == 0 {
                    continue 'wrap;
                }
            }
            if at.second() == 0 {
                return Some(at);
            }
            moved = true;
            at = later(&at, 60 - i64::from(at.second()))?;
        }
    }

    /// A day of the month, and one of the week; or either, when both are said.
    fn has_day(&self, date: Date) -> bool {
        let day = has(self.day, date.day());
        let weekday = has(self.weekday, date.weekday().to_sunday_zero_offset());
        if (self.day | self.weekday) & STAR != 0 { day && weekday } else { day || weekday }
    }
}

fn has(bits: u64, value: i8) -> bool {
    bits & (1 << value) != 0
}

/// When the clocks of `zone` show `clock`; of what they show twice or never, what Go's `time.Date` takes.
fn on(clock: DateTime, zone: &TimeZone) -> Option<Zoned> {
    let seconds = clock.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second();
    let by = |offset: i32| Timestamp::from_second(seconds - i64::from(offset)).ok();
    let offset = zone.to_offset(by(0)?).seconds();
    let offset = zone.to_offset(by(offset)?).seconds();
    Some(by(offset)?.to_zoned(zone.clone()))
}

fn later(at: &Zoned, seconds: i64) -> Option<Zoned> {
    at.checked_add(SignedDuration::from_secs(seconds)).ok()
}
