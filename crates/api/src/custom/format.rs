//! Formats of texts and widths of numbers that schemas name (k8s.io/kube-openapi/pkg/validation/strfmt). Formats that
//! are not known say nothing.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::schema::Kind;
use crate::names;

/// A format that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Of numbers: `int32`, `int64`, `float`, `double`.
    Width(&'static str),
    /// Of texts, by its name without dashes.
    Text(&'static str),
}

const WIDTHS: [&str; 4] = ["int32", "int64", "float", "double"];

const TEXTS: [&str; 27] = [
    "bsonobjectid",
    "uri",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "cidr",
    "mac",
    "uuid",
    "uuid3",
    "uuid4",
    "uuid5",
    "isbn",
    "isbn10",
    "isbn13",
    "creditcard",
    "ssn",
    "hexcolor",
    "rgbcolor",
    "byte",
    "password",
    "date",
    "duration",
    "datetime",
    "k8sshortname",
    "k8slongname",
    "",
];

// === impl Format ===

impl Format {
    /// The format of this name for values of this type.
    pub fn of(kind: Option<Kind>, name: &str) -> Option<Format> {
        if name.is_empty() {
            return None;
        }
        let width = |from: usize| WIDTHS[from..from + 2].iter().find(|known| **known == name).copied();
        match kind {
            Some(Kind::Integer) => width(0).map(Format::Width),
            Some(Kind::Number) => width(2).map(Format::Width),
            None | Some(Kind::String) => {
                let plain = name.replace('-', "");
                TEXTS.into_iter().find(|known| *known == plain && !plain.is_empty()).map(Format::Text)
            }
            _ => None,
        }
    }

    /// Whether a text has this format.
    pub fn holds(self, text: &str) -> bool {
        let Format::Text(name) = self else { return true };
        match name {
            "bsonobjectid" => text.len() == 24 && is_hex(text),
            "uri" => is_request_uri(text),
            "email" => is_email(text),
            "hostname" => is_hostname(text),
            "ipv4" => text.contains('.') && is_ipv4(text),
            "ipv6" => text.contains(':') && text.parse::<Ipv6Addr>().is_ok(),
            "cidr" => is_cidr(text),
            "mac" => is_mac(text),
            "uuid" => is_uuid(text, None),
            "uuid3" => is_uuid(text, Some('3')),
            "uuid4" => is_uuid(text, Some('4')),
            "uuid5" => is_uuid(text, Some('5')),
            "isbn" => is_isbn10(text) || is_isbn13(text),
            "isbn10" => is_isbn10(text),
            "isbn13" => is_isbn13(text),
            "creditcard" => is_credit_card(text),
            "ssn" => is_ssn(text),
            "hexcolor" => {
                let digits = text.strip_prefix('#').unwrap_or(text);
                matches!(digits.len(), 3 | 6) && is_hex(digits)
            }
            "rgbcolor" => is_rgb(text),
            "byte" => is_base64(text),
            "date" => text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok(),
            "datetime" => is_date_time(text),
            "duration" => is_duration(text),
            "k8sshortname" => names::label(text).is_empty(),
            "k8slongname" => text.len() <= 253 && text.split('.').all(is_name_part),
            _ => true,
        }
    }
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Go's `url.ParseRequestURI`: an absolute address, or an absolute path.
fn is_request_uri(text: &str) -> bool {
    if text.is_empty() || text.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
        return false;
    }
    if text.starts_with('/') {
        return true;
    }
    let Some((scheme, _)) = text.split_once(':') else { return false };
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(letters)
        && !text.contains(' ')
}

/// An address as mail programs take it, with or without a name.
fn is_email(text: &str) -> bool {
    let address = match text.trim().strip_suffix('>') {
        Some(rest) => match rest.rsplit_once('<') {
            Some((_, address)) => address,
            None => return false,
        },
        None => text.trim(),
    };
    let Some((local, domain)) = address.rsplit_once('@') else { return false };
    let atom = |c: char| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    let dotted = |text: &str| text.split('.').all(|part| !part.is_empty() && part.chars().all(atom));
    let quoted = local.len() > 1 && local.starts_with('"') && local.ends_with('"');
    let literal = domain.starts_with('[') && domain.ends_with(']');
    (quoted || dotted(local)) && (literal || dotted(domain))
}

fn is_hostname(text: &str) -> bool {
    let part = |part: &str| {
        let inner = |c: char| c.is_alphanumeric() || c == '-';
        !part.is_empty()
            && part.len() <= 63
            && part.chars().all(inner)
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    let text = text.strip_suffix('.').unwrap_or(text);
    text.len() <= 255 && text.split('.').all(part)
}

/// Zeros in front are no harm, as in Go before 1.17.
fn is_ipv4(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    let part = |part: &&str| {
        is_digits(part) && part.trim_start_matches('0').len() <= 3 && {
            part.parse::<u32>().is_ok_and(|number| number <= 255)
        }
    };
    match text.rsplit_once(':') {
        // IPv6 with an IPv4 address at its end.
        Some(_) => text.parse::<Ipv6Addr>().is_ok(),
        None => text.parse::<Ipv4Addr>().is_ok() || parts.len() == 4 && parts.iter().all(part),
    }
}

fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let most = if address.contains(':') { 128 } else { 32 };
    let is_address = if most == 32 { is_ipv4(address) } else { address.parse::<Ipv6Addr>().is_ok() };
    is_address && is_digits(bits) && bits.parse::<u32>().is_ok_and(|bits| bits <= most)
}

/// 6, 8 or 20 bytes in one of the three forms that Go reads.
fn is_mac(text: &str) -> bool {
    let (separator, digits) = match text {
        _ if text.contains(':') => (':', 2),
        _ if text.contains('-') => ('-', 2),
        _ => ('.', 4),
    };
    let parts: Vec<&str> = text.split(separator).collect();
    let bytes = parts.len() * digits / 2;
    matches!(bytes, 6 | 8 | 20) && parts.iter().all(|part| part.len() == digits && is_hex(part))
}

fn is_uuid(text: &str, version: Option<char>) -> bool {
    let (mut digits, mut rest) = (String::with_capacity(32), text);
    for length in [8, 4, 4, 4, 12] {
        let Some((part, after)) = rest.split_at_checked(length) else { return false };
        digits.push_str(part);
        rest = after.strip_prefix('-').unwrap_or(after);
    }
    let at = |index: usize| digits.chars().nth(index).unwrap_or_default().to_ascii_lowercase();
    let variant = |version: char| version == '3' || matches!(at(16), '8' | '9' | 'a' | 'b');
    !text.ends_with('-')
        && rest.is_empty()
        && is_hex(&digits)
        && version.is_none_or(|version| at(12) == version && variant(version))
}

fn is_isbn10(text: &str) -> bool {
    let digits: Vec<char> = text.chars().filter(|c| !matches!(c, '-' | ' ')).collect();
    let Some((last, front)) = digits.split_last().filter(|(_, front)| front.len() == 9) else { return false };
    let Some(front) = front.iter().map(|c| c.to_digit(10)).collect::<Option<Vec<_>>>() else { return false };
    let last = if *last == 'X' { Some(10) } else { last.to_digit(10) };
    let sum: u32 = front.iter().zip(1..).map(|(digit, weight)| digit * weight).sum();
    last.is_some_and(|last| (sum + 10 * last).is_multiple_of(11))
}

fn is_isbn13(text: &str) -> bool {
    let digits: Option<Vec<u32>> =
        text.chars().filter(|c| !matches!(c, '-' | ' ')).map(|c| c.to_digit(10)).collect();
    let sum =
        |digits: &[u32]| -> u32 { digits.iter().zip([1, 3].into_iter().cycle()).map(|(d, w)| d * w).sum() };
    digits.is_some_and(|digits| digits.len() == 13 && sum(&digits).is_multiple_of(10))
}

/// The prefixes and lengths of the known issuers, and the digit that checks the others (Luhn).
fn is_credit_card(text: &str) -> bool {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(10)).collect();
    let shown: String = digits.iter().map(u32::to_string).collect();
    let prefix = |length: usize| shown.get(..length).and_then(|text| text.parse::<u32>().ok()).unwrap_or(0);
    let known = match digits.len() {
        13 => prefix(1) == 4,
        14 => matches!(prefix(3), 300..=305) || matches!(prefix(2), 36 | 38),
        15 => matches!(prefix(2), 34 | 37) || matches!(prefix(4), 2131 | 1800),
        16 => {
            prefix(1) == 4
                || matches!(prefix(2), 51..=55 | 35 | 65)
                || prefix(4) == 6011
                || matches!(prefix(4), 2221..=2720)
        }
        _ => false,
    };
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| if at % 2 == 0 { *digit } else { digit * 2 / 10 + digit * 2 % 10 })
        .sum();
    known && sum.is_multiple_of(10)
}

fn is_ssn(text: &str) -> bool {
    let digits: String = text.chars().filter(|c| !matches!(c, '-' | ' ')).collect();
    text.len() >= 9 && digits.len() == 9 && is_digits(&digits)
}

fn is_rgb(text: &str) -> bool {
    let inside = text.strip_prefix("rgb(").and_then(|rest| rest.strip_suffix(')'));
    let parts: Vec<&str> = inside.unwrap_or_default().split(',').map(str::trim).collect();
    parts.len() == 3
        && parts.iter().all(|part| is_digits(part) && part.parse::<u32>().is_ok_and(|n| n <= 255))
}

fn is_base64(text: &str) -> bool {
    let unpadded = text.trim_end_matches('=');
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    !text.is_empty()
        && text.len().is_multiple_of(4)
        && text.len() - unpadded.len() <= 2
        && unpadded.bytes().all(letter)
}

fn is_date_time(text: &str) -> bool {
    // RFC 3339; a blank may stand for the T, and seconds may be left out.
    let text = text.to_ascii_uppercase();
    let has_zone =
        text.ends_with('Z') || text.len() > 6 && matches!(text.as_bytes()[text.len() - 6], b'+' | b'-');
    let time = text.len() >= 20 && matches!(text.as_bytes()[10], b'T' | b' ');
    time && has_zone && text.replacen(' ', "T", 1).parse::<jiff::Timestamp>().is_ok()
}

/// As Go reads durations, or a number and the name of a unit.
fn is_duration(text: &str) -> bool {
    const UNITS: [&str; 26] = [
        "ns",
        "nano",
        "nanos",
        "nanosecond",
        "nanoseconds",
        "us",
        "µs",
        "micro",
        "micros",
        "microsecond",
        "microseconds",
        "ms",
        "milli",
        "millis",
        "millisecond",
        "milliseconds",
        "s",
        "sec",
        "secs",
        "second",
        "seconds",
        "m",
        "h",
        "hr",
        "d",
        "w",
    ];
    const LONG: [&str; 10] =
        ["min", "mins", "minute", "minutes", "hour", "hours", "day", "days", "week", "weeks"];
    let mut rest = text.trim().trim_start_matches(['-', '+']).trim_start();
    if rest == "0" {
        return true;
    }
    let mut any = false;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (digits, after) = rest.split_at(number);
        let after = after.trim_start();
        let unit = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        if digits.parse::<f64>().is_err() || !(UNITS.contains(&unit) || LONG.contains(&unit)) {
            return false;
        }
        (any, rest) = (true, after.trim_start());
    }
    any
}

fn is_name_part(part: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !part.is_empty() && part.bytes().all(inner) && !part.starts_with('-') && !part.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_have_the_formats_they_have_upstream() {
        let table = [
            ("date", "2026-01-31", "2026-02-30"),
            ("date-time", "2014-12-15T19:30:20.000Z", "2014-12-15"),
            ("ipv4", "10.0.0.1", "10.0.0.256"),
            ("ipv6", "::1", "10.0.0.1"),
            ("cidr", "10.0.0.0/8", "10.0.0.0/33"),
            ("mac", "01:23:45:67:89:ab", "01:23:45"),
            ("uuid", "123E4567-e89b-12d3-a456-426655440000", "123e4567-e89b-12d3-a456"),
            ("uuid4", "57b73598-8764-4ad0-a76a-679bb6640eb1", "57b73598-8764-1ad0-a76a-679bb6640eb1"),
            ("email", "a@b.com", "a.b.com"),
            ("hostname", "a.b-c.d", "a_b"),
            ("uri", "https://example.com/a", "example"),
            ("byte", "aGk=", "aGk"),
            ("duration", "22 ns", "22"),
            ("isbn", "978-0321751041", "978-0321751042"),
            ("isbn10", "0321751043", "0321751044"),
            ("hexcolor", "#FFFFFF", "#FFFF"),
            ("rgbcolor", "rgb(255,255,255)", "rgb(256,0,0)"),
            ("ssn", "111-11-1111", "11-11"),
            ("k8s-short-name", "a-b", "A"),
        ];
        for (name, good, bad) in table {
            let format = Format::of(Some(Kind::String), name).unwrap_or_else(|| panic!("{name}"));
            assert!(format.holds(good), "{name} {good}");
            assert!(!format.holds(bad), "{name} {bad}");
        }
        assert_eq!(Format::of(Some(Kind::String), "no-such"), None);
        assert_eq!(Format::of(Some(Kind::Integer), "int32"), Some(Format::Width("int32")));
        assert_eq!(Format::of(Some(Kind::Integer), "double"), None);
    }
}
