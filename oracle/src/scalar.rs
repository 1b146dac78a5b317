//! Random texts and numbers of the API's small languages, as clients might write them.

use crate::node::quoted;
use crate::random::Random;

const WORDS: [&str; 12] =
    ["a", "web", "app", "v1", "true", "1", "0x10", "null", "~", "kubernetes.io/x", "a.b-c_d", "Always"];
const CHARS: [char; 24] = [
    'a',
    'Z',
    '0',
    '-',
    '.',
    '/',
    ' ',
    '"',
    '\\',
    '\n',
    '\r',
    '\t',
    '\u{0}',
    '\u{1}',
    '\u{8}',
    '\u{c}',
    '\u{7f}',
    '<',
    '&',
    '\u{e9}',
    '\u{2028}',
    '\u{fffd}',
    '\u{feff}',
    '\u{1f600}',
];

/// A text of any characters.
pub fn plain(random: &mut Random) -> String {
    match random.below(4) {
        0 => (0..random.below(12)).map(|_| random.choose(&CHARS)).collect(),
        1 => (0..1 + random.below(6)).map(|_| random.choose(&['a', 'b', 'c', '-', '1'])).collect(),
        _ => random.choose(&WORDS).to_owned(),
    }
}

/// A JSON string, with escapes where they need not be.
pub fn string(random: &mut Random) -> String {
    let text = plain(random);
    if random.below(4) > 0 {
        return quoted(&text);
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        let plainest = quoted(c.encode_utf8(&mut [0; 4]));
        match random.below(4) {
            0 => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}"))),
            1 => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04X}"))),
            2 if c == '/' => out.push_str("\\/"),
            _ => out.push_str(&plainest[1..plainest.len() - 1]),
        }
    }
    if random.once_in(8) {
        // Halves of pairs, and a pair.
        out.push_str(random.pick(&["\\ud800", "\\udc00", "\\ud800a", "\\ud83d\\ude00", "\\udbff\\ud800"]));
    }
    out + "\""
}

/// A number of 32 bits.
pub fn int32(random: &mut Random) -> i64 {
    let bounds = [0, 1, -1, 80, 127, 128, 255, 256, 65_535, i32::MAX.into(), i32::MIN.into()];
    if random.once_in(4) { (random.draw() as i32).into() } else { random.choose(&bounds) }
}

/// A number of 64 bits.
pub fn int64(random: &mut Random) -> i64 {
    let bounds = [1 << 31, -(1 << 31) - 1, (1 << 53) + 1, i64::MAX, i64::MIN];
    match random.below(4) {
        0 => random.draw() as i64,
        1 => random.choose(&bounds),
        _ => int32(random),
    }
}

/// A number with or without a fraction, as JSON.
pub fn float(random: &mut Random) -> String {
    match random.below(6) {
        0 => int64(random).to_string(),
        1 => format!("{}.{}", random.below(1000), random.digits(1)),
        2 => format!("-0.{}", random.digits(3)),
        3 => format!("{}e{}", random.digits(2), random.below(300)),
        4 => format!("{}.{}E-{}", random.digits(1), random.digits(12), random.below(300)),
        _ => random
            .pick(&["0", "0.0", "1e0", "100000000000000000000", "1e21", "1e-6", "9.999999e-7", "5e-324"])
            .to_owned(),
    }
}

/// Padded base64. Not the empty text: Go keeps no bytes apart from none in protobuf, but not in JSON.
pub fn bytes(random: &mut Random) -> &'static str {
    random.pick(&["YQ==", "AAEC/w==", "eHl6", "/+8=", "YWJj\nZGVm", "YR=="])
}

/// RFC 3339 with any fraction and offset.
pub fn time(random: &mut Random) -> String {
    let year = random.choose(&[2026, 2024, 1999, 1970, 1969, 1, 9999, 0, 1900, 2000]);
    let (month, day) = (1 + random.below(12), 1 + random.below(28));
    let (month, day) =
        if random.once_in(8) { random.choose(&[(12, 31), (1, 1), (3, 1)]) } else { (month, day) };
    let (hour, minute, second) = (random.below(24), random.below(60), random.below(60));
    let fraction = match random.below(4) {
        0 => format!(".{:0>1$}", random.below(1000), 1 + random.below(12)),
        1 => random.pick(&[".0", ".999999999", ".000001", ".0000005", ".9999995"]).to_owned(),
        _ => String::new(),
    };
    let offset = match random.below(3) {
        0 => format!("{}{:02}:{:02}", random.pick(&["+", "-"]), random.below(24), random.below(60)),
        _ => "Z".to_owned(),
    };
    let time = format!("{hour:02}:{minute:02}:{second:02}{fraction}{offset}");
    if random.once_in(40) {
        "0001-01-01T00:00:00Z".to_owned()
    } else {
        format!("{year:04}-{month:02}-{day:02}T{time}")
    }
}

/// A quantity's text, in whatever form, of at most 34 digits, for we keep 38, and below a thousand exa, for beyond
/// upstream loses the suffix, and we do not.
pub fn quantity(random: &mut Random) -> String {
    let exa = |text: &str| text.contains('E') && text.ends_with('E');
    let text = any_quantity(random);
    if exa(&text) && text.trim_matches(['+', '-', 'E']).len() > 3 { "1E".to_owned() } else { text }
}

fn any_quantity(random: &mut Random) -> String {
    let whole = match random.below(8) {
        0 => String::new(),
        1 => "0".to_owned(),
        2 => {
            let count = 1 + random.below(20);
            random.digits(count)
        }
        3 => format!("{}000", random.below(100)),
        4 => format!("{}", 1u64 << random.below(64)),
        5 => format!("00{}", random.below(10)),
        _ => random.below(2000).to_string(),
    };
    let fraction = match random.below(4) {
        0 => {
            let count = 1 + random.below(14);
            format!(".{}", random.digits(count))
        }
        1 if random.once_in(4) => random.pick(&[".", ".0", ".500", ".000"]).to_owned(),
        _ => String::new(),
    };
    let fraction = if whole.is_empty() && fraction.len() < 2 { ".5".to_owned() } else { fraction };
    let suffixes =
        ["", "", "", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let suffix = match random.below(5) {
        0 => {
            let power_max = if random.once_in(8) { 40 } else { 12 };
            format!("{}{}", random.pick(&["e", "E", "e+", "e-", "E-"]), random.below(power_max))
        }
        _ => random.pick(&suffixes).to_owned(),
    };
    format!("{}{whole}{fraction}{suffix}", random.pick(&["", "", "", "", "-", "+"]))
}

/// A quantity as JSON: mostly a text, at times a number.
pub fn quantity_json(random: &mut Random) -> String {
    match random.below(8) {
        0 => random.below(100_000).to_string(),
        1 => format!("{}.{}", random.below(100), random.digits(2)),
        2 => random.pick(&["1e3", "1E3", "5e-1", "-7", "0.5e2"]).to_owned(),
        _ => quoted(&quantity(random)),
    }
}
