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

/// What a draft holds for Go's zero time, which JSON writes as null: as a `Time`.
pub const ZERO_TEXT: &str = "0001-01-01T00:00:00Z";
/// The same of a `MicroTime`.
pub const ZERO_MICROS_TEXT: &str = "0001-01-01T00:00:00.000000Z";

/// Whether this is Go's zero time.
pub fn is_zero_text(text: &str) -> bool {
    matches!(text, ZERO_TEXT | ZERO_MICROS_TEXT)
}

const DAY_SECONDS: i64 = 86_400;

/// Why a time is refused that has no text in the API's form. Upstream writes a text that nobody can read.
pub const UNWRITABLE: &str = "year outside of range [0,9999]";

// === impl Instant ===

impl Instant {
    /// Whether its year, in UTC, has four digits.
    pub fn is_writable(&self) -> bool {
        (-62_167_219_200..253_402_300_800).contains(&self.seconds)
    }
}

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
    Parser { text, rest: text, layout: "2006-01-02T15:04:05Z07:00" }.parse(false)
}

/// The same with exactly six digits of a fraction, which upstream's `MicroTime` wants.
pub fn parse_micros(text: &str) -> Result<Instant, String> {
    Parser { text, rest: text, layout: "2006-01-02T15:04:05.000000Z07:00" }.parse(true)
}

/// Whether `text` is a `Time` in canonical form.
pub fn is_canonical(text: &str) -> bool {
    text.len() == 20 && text.ends_with('Z') && parse(text).is_ok()
}

/// Reads as Go's `time.Parse` does, with its freedoms: an hour of one digit, a comma before the fraction.
struct Parser<'t> {
    text: &'t str,
    rest: &'t str,
    layout: &'static str,
}

/// Why an element was refused: it is none, or it is out of range.
enum Refused {
    Form,
    Range(&'static str),
}

// === impl Parser ===

impl Parser<'_> {
    fn parse(mut self, micros: bool) -> Result<Instant, String> {
        let year = self.element("2006", Parser::year)?;
        self.mark("-")?;
        let month = self.number("01", true, 1..=12, "month")?;
        self.mark("-")?;
        let day = self.number("02", true, 0..=99, "day")?;
        self.mark("T")?;
        let hour = self.number("15", false, 0..=23, "hour")?;
        self.mark(":")?;
        let minute = self.number("04", true, 0..=59, "minute")?;
        self.mark(":")?;
        let second = self.number("05", true, 0..=59, "second")?;
        let nanos = match micros {
            true => self.element(".000000", |parser| parser.fraction(7))?,
            false => self.element("05", Parser::any_fraction)?,
        };
        let offset_seconds = self.element("Z07:00", Parser::offset)?;
        if !self.rest.is_empty() {
            return Err(self.range(&format!(": extra text: {}", quote(self.rest))));
        }
        if !(1..=days_in(year, month)).contains(&day) {
            return Err(self.range(": day out of range"));
        }
        let seconds = days_from_civil(year, month, day) * DAY_SECONDS + hour * 3600 + minute * 60 + second;
        let instant = Instant { seconds: seconds - offset_seconds, nanos: nanos as u32 };
        if instant.is_writable() { Ok(instant) } else { Err(UNWRITABLE.to_owned()) }
    }

    fn range(&self, why: &str) -> String {
        format!("parsing time {}{why}", quote(self.text))
    }

    fn malformed(&self, found: &str, element: &str) -> String {
        let (text, layout) = (quote(self.text), quote(self.layout));
        format!("parsing time {text} as {layout}: cannot parse {} as {}", quote(found), quote(element))
    }

    fn mark(&mut self, mark: &'static str) -> Result<(), String> {
        self.rest = self.rest.strip_prefix(mark).ok_or_else(|| self.malformed(self.rest, mark))?;
        Ok(())
    }

    /// One element of the layout.
    fn element(
        &mut self,
        element: &'static str,
        read: impl Fn(&mut Self) -> Result<i64, Refused>,
    ) -> Result<i64, String> {
        let before = self.rest;
        read(self).map_err(|refused| match refused {
            Refused::Form => self.malformed(before, element),
            Refused::Range(what) => self.range(&format!(": {what} out of range")),
        })
    }

    fn number(
        &mut self,
        element: &'static str,
        two_digits: bool,
        range: std::ops::RangeInclusive<i64>,
        what: &'static str,
    ) -> Result<i64, String> {
        self.element(element, |parser| {
            let number = parser.digits(two_digits)?;
            if range.contains(&number) { Ok(number) } else { Err(Refused::Range(what)) }
        })
    }

    /// A number of two digits, or of one where that is allowed.
    fn digits(&mut self, two: bool) -> Result<i64, Refused> {
        let digit = |at: usize| self.rest.as_bytes().get(at).filter(|b| b.is_ascii_digit());
        let length = match (digit(0), digit(1)) {
            (Some(_), Some(_)) => 2,
            (Some(_), None) if !two => 1,
            _ => return Err(Refused::Form),
        };
        self.take(length)
    }

    /// The next `length` bytes as a number, which may have a sign.
    fn take(&mut self, length: usize) -> Result<i64, Refused> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Refused::Form)?;
        let number = taken.parse().map_err(|_| Refused::Form)?;
        self.rest = rest;
        Ok(number)
    }

    fn year(&mut self) -> Result<i64, Refused> {
        let digit = self.rest.starts_with(|c: char| c.is_ascii_digit());
        if digit { self.take(4) } else { Err(Refused::Form) }
    }

    /// A fraction of as many digits as there are, if there is one.
    fn any_fraction(&mut self) -> Result<i64, Refused> {
        match self.rest.strip_prefix(['.', ',']) {
            Some(rest) if rest.starts_with(|c: char| c.is_ascii_digit()) => {
                self.fraction(1 + rest.bytes().take_while(u8::is_ascii_digit).count())
            }
            _ => Ok(0),
        }
    }

    /// The nanoseconds of a fraction of `bytes` bytes, its point included; what is finer is dropped.
    fn fraction(&mut self, bytes: usize) -> Result<i64, Refused> {
        let (fraction, rest) = self.rest.split_at_checked(bytes).ok_or(Refused::Form)?;
        let digits = fraction.strip_prefix(['.', ',']).ok_or(Refused::Form)?;
        let digits = &digits[..digits.len().min(9)];
        let number: i64 = digits.parse().map_err(|_| Refused::Form)?;
        if number < 0 {
            return Err(Refused::Range("fractional second"));
        }
        self.rest = rest;
        Ok(number * 10i64.pow(9 - digits.len() as u32))
    }

    /// The seconds that the clock of the offset is ahead.
    fn offset(&mut self) -> Result<i64, Refused> {
        if let Some(rest) = self.rest.strip_prefix('Z') {
            self.rest = rest;
            return Ok(0);
        }
        let bytes = self.rest.as_bytes();
        if bytes.len() < 6 || bytes[3] != b':' {
            return Err(Refused::Form);
        }
        let two = |at: usize| -> Result<i64, Refused> {
            let mut digits = bytes[at..at + 2].iter();
            let number =
                digits.try_fold(0, |n, b| Some(n * 10 + i64::from(b.is_ascii_digit().then(|| b - b'0')?)));
            number.ok_or(Refused::Form)
        };
        let (hours, minutes) = (two(1)?, two(4)?);
        if hours > 24 {
            return Err(Refused::Range("time zone offset hour"));
        }
        if minutes > 60 {
            return Err(Refused::Range("time zone offset minute"));
        }
        let sign = match bytes[0] {
            b'+' => 1,
            b'-' => -1,
            _ => return Err(Refused::Form),
        };
        self.rest = self.rest.get(6..).ok_or(Refused::Form)?;
        Ok(sign * (hours * 60 + minutes) * 60)
    }
}

/// As Go's package `time` quotes: bytes outside of ASCII in hexadecimal.
fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend(['\\', char::from(byte)]),
            0x20..0x80 => out.push(char::from(byte)),
            _ => out.push_str(&format!("\\x{byte:02x}")),
        }
    }
    out + "\""
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
        assert_eq!(
            parse_micros("2026-01-02T03:04:05.600007Z").unwrap(),
            Instant { nanos: 600_007_000, ..micro }
        );
        assert_eq!(
            parse_micros("2026-01-02T03:04:05Z").unwrap_err(),
            "parsing time \"2026-01-02T03:04:05Z\" as \"2006-01-02T15:04:05.000000Z07:00\": cannot parse \"Z\" as \".000000\""
        );
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
            "2026-1-01T00:00:00Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00Z ",
        ];
        for text in refused {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
