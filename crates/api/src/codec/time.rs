//! Times as the API writes them: RFC 3339 in UTC, in whole seconds or in microseconds
//! (k8s.io/apimachinery/pkg/apis/meta/v1, Time and MicroTime).

/// An instant, as protobuf carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant {
    /// Seconds since 1970.
    pub seconds: i64,
    /// Nanoseconds within the second, below 10⁹.
    pub nanos: u32,
}

/// The first second of year 1, which is Go's zero time.
pub const ZERO_SECONDS: i64 = -62_135_596_800;

const DAY_SECONDS: i64 = 86_400;

/// The canonical text of a `Time`: `2026-01-02T03:04:05Z`.
pub fn seconds_text(instant: Instant) -> String {
    let (days, second) = (instant.seconds.div_euclid(DAY_SECONDS), instant.seconds.rem_euclid(DAY_SECONDS));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The canonical text of a `MicroTime`: `2026-01-02T03:04:05.000006Z`.
pub fn micros_text(instant: Instant) -> String {
    let mut text = seconds_text(instant);
    text.pop();
    text + &format!(".{:06}Z", instant.nanos / 1000)
}

/// Reads RFC 3339 with any offset and fraction; the error is in Go's words.
pub fn parse(text: &str) -> Result<Instant, String> {
    let refuse = |why: &str| format!("parsing time {text:?}{why}");
    let malformed = || refuse(" as \"2006-01-02T15:04:05Z07:00\": cannot parse");
    let bytes = text.as_bytes();
    let number = |range: std::ops::Range<usize>| -> Option<i64> {
        let digits = bytes.get(range)?;
        digits.iter().try_fold(0, |n, b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')))
    };
    let mark = |at: usize, mark: u8| bytes.get(at) == Some(&mark);
    if !(mark(4, b'-') && mark(7, b'-') && mark(10, b'T') && mark(13, b':') && mark(16, b':')) {
        return Err(malformed());
    }
    let read = || {
        Some((
            number(0..4)?,
            number(5..7)?,
            number(8..10)?,
            number(11..13)?,
            number(14..16)?,
            number(17..19)?,
        ))
    };
    let (year, month, day, hour, minute, second) = read().ok_or_else(malformed)?;
    let ranges = [
        (1..=12, month, ": month out of range"),
        (1..=days_in(year, month), day, ": day out of range"),
        (0..=23, hour, ": hour out of range"),
        (0..=59, minute, ": minute out of range"),
        (0..=59, second, ": second out of range"),
    ];
    if let Some((_, _, why)) = ranges.into_iter().find(|(range, n, _)| !range.contains(n)) {
        return Err(refuse(why));
    }
    let (nanos, zone_at) = fraction(bytes, 19).ok_or_else(malformed)?;
    let offset_seconds = match &bytes[zone_at..] {
        [b'Z'] => 0,
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let hours = number(zone_at + 1..zone_at + 3).filter(|n| *n < 24).ok_or_else(malformed)?;
            let minutes = number(zone_at + 4..zone_at + 6).filter(|n| *n < 60).ok_or_else(malformed)?;
            (hours * 60 + minutes) * if *sign == b'+' { 60 } else { -60 }
        }
        _ => return Err(malformed()),
    };
    let seconds = days_from_civil(year, month, day) * DAY_SECONDS + hour * 3600 + minute * 60 + second;
    Ok(Instant { seconds: seconds - offset_seconds, nanos })
}

/// Whether `text` is a `Time` in canonical form.
pub fn is_canonical(text: &str) -> bool {
    text.len() == 20 && text.ends_with('Z') && parse(text).is_ok()
}

/// The nanoseconds of the fraction at `at`, if there is one, and where it ends.
fn fraction(bytes: &[u8], at: usize) -> Option<(u32, usize)> {
    if bytes.get(at) != Some(&b'.') {
        return Some((0, at));
    }
    let digits = bytes[at + 1..].iter().take_while(|b| b.is_ascii_digit()).count();
    let nanos =
        (0..9).fold(0, |n, i| n * 10 + if i < digits { u32::from(bytes[at + 1 + i] - b'0') } else { 0 });
    (digits > 0).then_some((nanos, at + 1 + digits))
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01. Years are counted from March, so that a leap day is their last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The reverse of [`days_from_civil`].
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_any_offset_and_written_in_utc() {
        let cases = [
            ("1970-01-01T00:00:00Z", 0, "1970-01-01T00:00:00Z"),
            ("2024-02-29T23:59:59.999999999Z", 1_709_251_199, "2024-02-29T23:59:59Z"),
            ("2026-01-01T01:30:00+02:00", 1_767_223_800, "2025-12-31T23:30:00Z"),
            ("1969-12-31T23:59:59-00:00", -1, "1969-12-31T23:59:59Z"),
            ("0001-01-01T00:00:00Z", ZERO_SECONDS, "0001-01-01T00:00:00Z"),
        ];
        for (text, seconds, canonical) in cases {
            let instant = parse(text).unwrap();
            assert_eq!((instant.seconds, seconds_text(instant).as_str()), (seconds, canonical), "{text}");
        }
        let micro = parse("2026-01-02T03:04:05.6000074Z").unwrap();
        assert_eq!(micros_text(micro), "2026-01-02T03:04:05.600007Z");
    }

    #[test]
    fn what_go_refuses_is_refused() {
        let refused = [
            "",
            "2026",
            "2026-01-01 00:00:00Z",
            "2026-01-01T00:00:00",
            "2026-13-01T00:00:00Z",
            "2025-02-29T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:60Z",
            "2026-01-01t00:00:00z",
            "2026-01-01T00:00:00+0200",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00Z ",
        ];
        for text in refused {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
