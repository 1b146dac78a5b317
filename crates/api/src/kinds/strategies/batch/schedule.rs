//! Schedules of CronJobs, in the words of the library by which upstream reads them (github.com/robfig/cron,
//! `ParseStandard`).

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
const DESCRIPTORS: [&str; 7] =
    ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];

/// Why `schedule` is none.
pub fn check(schedule: &str) -> Result<(), String> {
    if schedule.is_empty() {
        return Err("empty spec string".into());
    }
    let mut rest = schedule;
    if let Some(zoned) = schedule.strip_prefix("TZ=").or_else(|| schedule.strip_prefix("CRON_TZ=")) {
        let Some((_, after)) = zoned.split_once(' ') else {
            return Err("invalid schedule format: no fields".into());
        };
        rest = after.trim();
    }
    if rest.starts_with('@') {
        return descriptor(rest);
    }
    let fields: Vec<&str> = rest.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        return Err(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" ")));
    }
    fields.iter().zip(&FIELDS).try_for_each(|(text, field)| {
        text.split(',').filter(|part| !part.is_empty()).try_for_each(|part| field.check(part))
    })
}

fn descriptor(text: &str) -> Result<(), String> {
    if let Some(duration) = text.strip_prefix("@every ") {
        let unit = duration.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let good = !unit.is_empty() && unit.len() < duration.len();
        return if good {
            Ok(())
        } else {
            Err(format!("failed to parse duration {text}: time: invalid duration {duration:?}"))
        };
    }
    if DESCRIPTORS.contains(&text) { Ok(()) } else { Err(format!("unrecognized descriptor: {text}")) }
}

// === impl Field ===

impl Field {
    /// `*`, `?`, a number, a range, any of them with a step.
    fn check(&self, part: &str) -> Result<(), String> {
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
        let step = step.map_or(Ok(1), integer)?;
        let Field { min, max, .. } = self;
        match () {
            () if start < *min => Err(format!("beginning of range ({start}) below minimum ({min}): {part}")),
            () if end > *max => Err(format!("end of range ({end}) above maximum ({max}): {part}")),
            () if start > end => {
                Err(format!("beginning of range ({start}) beyond end of range ({end}): {part}"))
            }
            () if step == 0 => Err(format!("step of range should be a positive number: {part}")),
            () => Ok(()),
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
    use super::check;

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
        ] {
            assert_eq!(check(bad), Err(why.to_owned()), "{bad}");
        }
    }
}
