//! Reads schedules.

use jiff::tz::TimeZone;

use super::{Fields, STAR, Schedule, Times, time_zone};

/// A field: its bounds, and the names of its numbers.
struct Field {
    min: i64,
    max: i64,
    names: &'static [&'static str],
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const FIELDS: [Field; 5] = [
    Field { min: 0, max: 59, names: &[] },
    Field { min: 0, max: 23, names: &[] },
    Field { min: 1, max: 31, names: &[] },
    Field { min: 1, max: 12, names: &MONTHS },
    Field { min: 0, max: 6, names: &DAYS },
];
// === impl Schedule ===

impl Schedule {
    /// Reads `text`; without a zone of its own it is in `zone`. Why it is no schedule is said in upstream's words.
    pub fn parse(text: &str, zone: TimeZone) -> Result<Schedule, String> {
        if text.is_empty() {
            return Err("empty spec string".into());
        }
        let (mut zone, mut rest) = (zone, text);
        if let Some(zoned) = text.strip_prefix("TZ=").or_else(|| text.strip_prefix("CRON_TZ=")) {
            let Some((name, after)) = zoned.split_once(' ') else {
                return Err("invalid schedule format: no fields".into());
            };
            zone = time_zone(name)
                .ok_or_else(|| format!("provided bad location {name}: unknown time zone {name}"))?;
            rest = after.trim();
        }
        if rest.starts_with('@') {
            return Ok(Schedule { zone, times: descriptor(rest)? });
        }
        let fields: Vec<&str> = rest.split_whitespace().collect();
        if fields.len() != FIELDS.len() {
            return Err(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" ")));
        }
        let mut bits = [0; FIELDS.len()];
        for ((text, field), bits) in fields.iter().zip(&FIELDS).zip(&mut bits) {
            for part in text.split(',').filter(|part| !part.is_empty()) {
                *bits |= field.read(part)?;
            }
        }
        let [minute, hour, day, month, weekday] = bits;
        Ok(Schedule { zone, times: Times::At(Fields { minute, hour, day, month, weekday }) })
    }
}

fn descriptor(text: &str) -> Result<Times, String> {
    if let Some(duration) = text.strip_prefix("@every ") {
        let why = |why| format!("failed to parse duration {text}: {why}");
        let nanoseconds = go_duration(duration).map_err(why)?;
        // At least a second, and whole ones.
        return Ok(Times::Every((nanoseconds / 1_000_000_000).max(1) as i64));
    }
    let standard = match text {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        _ => return Err(format!("unrecognized descriptor: {text}")),
    };
    Schedule::parse(standard, TimeZone::UTC).map(|schedule| schedule.times)
}

/// A duration as Go writes it, such as `1h30m` or `1.5s`, in nanoseconds (Go's `time.ParseDuration`).
fn go_duration(text: &str) -> Result<i128, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = 0i128;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') || whole.len() > 18 {
            return Err(invalid());
        }
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let scale: i128 = match unit {
            "" => return Err(format!("time: missing unit in duration {text:?}")),
            "ns" => 1,
            "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return Err(format!("time: unknown unit {unit:?} in duration {text:?}")),
        };
        let digits = &fraction[..fraction.len().min(18)];
        let part = digits.parse::<i128>().unwrap_or(0) * scale / 10i128.pow(digits.len() as u32);
        total += whole.parse::<i128>().unwrap_or(0) * scale + part;
        if total > i128::from(i64::MAX) {
            return Err(invalid());
        }
        rest = after;
    }
    Ok(sign * total)
}

// === impl Field ===

impl Field {
    /// `*`, `?`, a number, a range, any of them with a step.
    fn read(&self, part: &str) -> Result<u64, String> {
        let (range, step) = match part.split('/').collect::<Vec<_>>()[..] {
            [range] => (range, None),
            [range, step] => (range, Some(step)),
            _ => return Err(format!("too many slashes: {part}")),
        };
        let (start, end) = match range.split('-').collect::<Vec<_>>()[..] {
            ["*" | "?"] => (self.min, self.max),
            [one] => {
                let number = self.number(one)?;
                (number, if step.is_some() { self.max } else { number })
            }
            [from, to] => (self.number(from)?, self.number(to)?),
            _ => return Err(format!("too many hyphens: {part}")),
        };
        let is_open = matches!(range.split('-').next(), Some("*" | "?"));
        let step = step.map_or(Ok(1), integer)?;
        let Field { min, max, .. } = self;
        match () {
            () if start < *min => Err(format!("beginning of range ({start}) below minimum ({min}): {part}")),
            () if end > *max => Err(format!("end of range ({end}) above maximum ({max}): {part}")),
            () if start > end => {
                Err(format!("beginning of range ({start}) beyond end of range ({end}): {part}"))
            }
            () if step == 0 => Err(format!("step of range should be a positive number: {part}")),
            () => {
                let bits = (start..=end).step_by(step as usize).fold(0, |bits, at| bits | 1 << at);
                Ok(if is_open && step == 1 { bits | STAR } else { bits })
            }
        }
    }

    fn number(&self, text: &str) -> Result<i64, String> {
        let lower = text.to_lowercase();
        match self.names.iter().position(|name| *name == lower) {
            Some(at) => Ok(self.min + at as i64),
            None => integer(text),
        }
    }
}

fn integer(text: &str) -> Result<i64, String> {
    match text.parse::<i64>() {
        Ok(number) if number < 0 => Err(format!("negative number ({number}) not allowed: {text}")),
        Ok(number) => Ok(number),
        Err(_) => {
            Err(format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: invalid syntax"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<(), String> {
        Schedule::parse(text, TimeZone::UTC).map(drop)
    }

    #[test]
    fn schedules_are_good_or_not() {
        for good in ["* * * * *", "*/5 0-3,7 1 jan-MAR ?", "@daily", "@every 1h30m", "TZ=UTC 0 0 * * *"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for (bad, why) in [
            ("", "empty spec string"),
            ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
            ("60 * * * *", "end of range (60) above maximum (59): 60"),
            ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
            ("a * * * *", "failed to parse int from a: strconv.Atoi: parsing \"a\": invalid syntax"),
            ("5-3 * * * *", "beginning of range (5) beyond end of range (3): 5-3"),
            ("*/0 * * * *", "step of range should be a positive number: */0"),
            ("1/2/3 * * * *", "too many slashes: 1/2/3"),
            ("@often", "unrecognized descriptor: @often"),
            ("TZ=Nowhere * * * * *", "provided bad location Nowhere: unknown time zone Nowhere"),
            ("@every 1", "failed to parse duration @every 1: time: missing unit in duration \"1\""),
            ("@every 1y", "failed to parse duration @every 1y: time: unknown unit \"y\" in duration \"1y\""),
            ("@every x", "failed to parse duration @every x: time: invalid duration \"x\""),
        ] {
            assert_eq!(check(bad), Err(why.to_owned()), "{bad}");
        }
    }

    #[test]
    fn the_next_time_is_found() {
        // From upstream's library, by running it.
        let table = [
            ("*/15 * * * *", "2012-07-09T14:45:00Z", "2012-07-09T15:00:00Z"),
            ("*/15 * * * *", "2012-07-09T14:59:59Z", "2012-07-09T15:00:00Z"),
            ("20-35/15 * * * *", "2012-07-09T15:45:00Z", "2012-07-09T16:20:00Z"),
            ("0 0 9 Apr-Oct ?", "2012-07-09T23:35:00Z", "2012-08-09T00:00:00Z"),
            ("0 0 29 2 ?", "2012-07-09T23:35:00Z", "2016-02-29T00:00:00Z"),
            ("0 0 31 2 ?", "2012-07-09T23:35:00Z", ""),
            ("0 0 1 * Mon", "2012-07-03T00:00:00Z", "2012-07-09T00:00:00Z"),
            ("0 0 */10 * Sun", "2012-07-01T00:00:00Z", "2012-07-08T00:00:00Z"),
            ("59 23 31 12 *", "2012-12-31T23:59:00Z", "2013-12-31T23:59:00Z"),
            ("0 0 * * ?", "2012-12-31T23:59:45Z", "2013-01-01T00:00:00Z"),
            ("@every 90s", "2012-07-09T14:59:59.5Z", "2012-07-09T15:01:29Z"),
            ("@every 10ms", "2012-07-09T14:59:59Z", "2012-07-09T15:00:00Z"),
            ("@weekly", "2012-07-09T14:59:59Z", "2012-07-15T00:00:00Z"),
            // The clock is put on: 02:30 does not come; and back: each hour is counted.
            ("TZ=America/New_York 30 2 11 Mar ?", "2012-03-11T05:00:00Z", "2013-03-11T06:30:00Z"),
            ("TZ=America/New_York 0 * * * ?", "2012-03-11T05:00:00Z", "2012-03-11T06:00:00Z"),
            ("TZ=America/New_York 0 1 * * ?", "2012-11-04T05:00:00Z", "2012-11-04T06:00:00Z"),
            ("TZ=America/New_York 0 0 * * ?", "2012-03-11T04:00:00Z", "2012-03-11T05:00:00Z"),
            // There is no midnight on that day.
            ("TZ=America/Sao_Paulo 0 9 10 Oct ?", "2013-10-01T00:00:00Z", "2013-10-10T12:00:00Z"),
            ("TZ=America/Sao_Paulo 30 1 * * ?", "2018-11-03T12:00:00Z", "2018-11-04T03:30:00Z"),
            ("CRON_TZ=Asia/Kolkata 30 9 * * *", "2024-01-01T04:00:00Z", "2024-01-02T04:00:00Z"),
        ];
        for (text, after, expected) in table {
            let schedule = Schedule::parse(text, TimeZone::UTC).unwrap();
            let next = schedule.next(after.parse().unwrap()).map(|next| next.to_string());
            assert_eq!(next.unwrap_or_default(), expected, "{text} after {after}");
        }
    }
}
