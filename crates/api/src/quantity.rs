//! Amounts of resources: `100m`, `1.5Gi`, `1e3` (k8s.io/apimachinery/pkg/api/resource, Quantity).

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

/// An amount, exact down to the nano and up to 38 decimal digits.
///
/// Equality and order are of the amount; the [`Format`] only says how it is written.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    /// In units of 10 to the power of `scale`; at most 38 digits.
    mantissa: i128,
    scale: i32,
    format: Format,
}

/// How a quantity is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Format {
    /// `12e6`.
    DecimalExponent,
    /// `12Mi`.
    BinarySi,
    /// `12M`.
    #[default]
    DecimalSi,
}

/// A text that is no quantity, in upstream's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Not of the form of a quantity.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    /// A number that is none.
    #[error("unable to parse numeric part of quantity")]
    Numeric,
    /// No such suffix.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

const NANO: i32 = -9;
/// What binary quantities are capped at: upstream's largest.
const MAX_BINARY: i128 = i64::MAX as i128;
/// The most digits that a mantissa keeps.
const MAX_DIGITS: u32 = 38;
const SUFFIXES: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];
const BINARY_SUFFIXES: [(&str, u32); 6] =
    [("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];

/// The parts of a text.
struct Parts<'t> {
    negative: bool,
    /// Digits before the point, without leading zeros; at least one.
    whole: &'t str,
    fraction: &'t str,
    suffix: &'t str,
    /// Whether there is no digit at all before the suffix.
    blank: bool,
}

/// What a suffix multiplies with.
enum Factor {
    Decimal(i32, Format),
    Binary(u32),
}

// === impl Quantity ===

impl Quantity {
    /// Nothing, written as `0`.
    pub const ZERO: Quantity = Quantity { mantissa: 0, scale: 0, format: Format::DecimalSi };

    /// `value` whole units.
    pub fn new(value: i64, format: Format) -> Quantity {
        Quantity { mantissa: value.into(), scale: 0, format }
    }

    /// `value` thousandths.
    pub fn from_milli(value: i64, format: Format) -> Quantity {
        Quantity { mantissa: value.into(), scale: -3, format }
    }

    /// Reads a quantity. What is finer than a nano is rounded up, away from zero.
    pub fn parse(text: &str) -> Result<Quantity, QuantityError> {
        parse(text).map(|(quantity, _)| quantity)
    }

    /// The text that upstream writes after reading `text`: mostly the canonical form, but a text that is nearly
    /// canonical is kept as it is (`0001`, `+1`, `1.500`).
    pub fn canonical(text: &str) -> Result<Cow<'_, str>, QuantityError> {
        let (quantity, keep) = parse(text)?;
        Ok(if keep { Cow::Borrowed(text) } else { Cow::Owned(quantity.to_string()) })
    }

    /// How it is written.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Whether it is nothing.
    pub fn is_zero(&self) -> bool {
        self.mantissa == 0
    }

    /// Whether it is less than nothing.
    pub fn is_negative(&self) -> bool {
        self.mantissa < 0
    }

    /// In whole units, rounded away from zero; at most what an `i64` holds.
    pub fn value(&self) -> i64 {
        self.scaled(0)
    }

    /// In thousandths, rounded away from zero; at most what an `i64` holds.
    pub fn milli_value(&self) -> i64 {
        self.scaled(-3)
    }

    /// In units of 10 to the power of `scale`, rounded away from zero; at most what an `i64` holds.
    pub fn scaled(&self, scale: i32) -> i64 {
        let (mantissa, _) = self.rescaled(scale);
        mantissa.clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }

    /// As a float, as near as that comes.
    pub fn as_f64(&self) -> f64 {
        self.mantissa as f64 * 10f64.powi(self.scale)
    }

    /// The negative of it.
    pub fn negated(self) -> Quantity {
        Quantity { mantissa: -self.mantissa, ..self }
    }

    /// The sum, written as `self` is, or as `other` if `self` is nothing.
    pub fn plus(self, other: Quantity) -> Quantity {
        if other.is_zero() || self.is_zero() {
            let format = if self.is_zero() { other.format } else { self.format };
            return Quantity { format, ..if self.is_zero() { other } else { self } };
        }
        let mut scale = self.scale.min(other.scale);
        loop {
            // Too far apart for 38 digits: the smaller one is rounded up until the sum fits.
            let (a, _) = self.rescaled(scale);
            let (b, _) = other.rescaled(scale);
            match a.checked_add(b).filter(|sum| sum.unsigned_abs() < LIMIT) {
                Some(mantissa) => return Quantity { mantissa, scale, format: self.format },
                None => scale += 1,
            }
        }
    }

    /// The difference, written as [`plus`](Self::plus) would.
    pub fn minus(self, other: Quantity) -> Quantity {
        self.plus(other.negated())
    }

    /// The mantissa at `scale`, rounded away from zero, and whether that is exact. Saturates.
    fn rescaled(&self, scale: i32) -> (i128, bool) {
        let shift = self.scale.abs_diff(scale);
        let saturated = if self.mantissa < 0 { i128::MIN + 1 } else { i128::MAX };
        let power = (shift <= MAX_DIGITS).then(|| 10i128.pow(shift));
        match (self.mantissa, self.scale >= scale, power) {
            (0, _, _) => (0, true),
            (mantissa, true, Some(power)) => match mantissa.checked_mul(power) {
                Some(mantissa) => (mantissa, true),
                None => (saturated, false),
            },
            (_, true, None) => (saturated, false),
            (mantissa, false, Some(power)) => divided_up(mantissa, power),
            (mantissa, false, None) => (mantissa.signum(), false),
        }
    }

    /// Without trailing zeros, the exponent a multiple of three.
    fn reduced(&self) -> (i128, i32) {
        let (mut mantissa, mut exponent) = (self.mantissa, self.scale);
        while mantissa != 0 && mantissa % 10 == 0 {
            mantissa /= 10;
            exponent += 1;
        }
        while exponent.rem_euclid(3) != 0 && mantissa.unsigned_abs() < LIMIT {
            mantissa *= 10;
            exponent -= 1;
        }
        (mantissa, exponent)
    }

    fn write_binary(&self, mut mantissa: i128, f: &mut fmt::Formatter) -> fmt::Result {
        let mut times = 0;
        while mantissa.unsigned_abs() >= 1024 && mantissa % 1024 == 0 && times < BINARY_SUFFIXES.len() {
            mantissa /= 1024;
            times += 1;
        }
        let suffix = if times == 0 { "" } else { BINARY_SUFFIXES[times - 1].0 };
        write!(f, "{mantissa}{suffix}")
    }
}

/// Mantissas stay below it, so that one more digit still fits.
const LIMIT: u128 = 10u128.pow(MAX_DIGITS - 1);

/// As upstream writes it: no fraction, the largest suffix that keeps it exact.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if self.mantissa == 0 {
            return f.write_str("0");
        }
        let mut format = self.format;
        if format == Format::BinarySi {
            let (whole, exact) = self.rescaled(0);
            if exact && whole.unsigned_abs() >= 1024 {
                return self.write_binary(whole, f);
            }
            // Small or broken amounts are clearer, and exact, in decimals.
            format = Format::DecimalSi;
        }
        let (mut mantissa, mut exponent) = self.reduced();
        if format == Format::DecimalExponent {
            return if exponent == 0 { write!(f, "{mantissa}") } else { write!(f, "{mantissa}e{exponent}") };
        }
        // Upstream loses the suffix of what is larger than exa; we spell it out.
        while exponent > 18 {
            match mantissa.checked_mul(10) {
                Some(more) => mantissa = more,
                None => return write!(f, "{mantissa}e{exponent}"),
            }
            exponent -= 1;
        }
        let suffix = SUFFIXES.iter().find(|(_, power)| *power == exponent).map_or("", |(suffix, _)| suffix);
        write!(f, "{mantissa}{suffix}")
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Quantity) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Quantity) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Quantity) -> Ordering {
        let by_sign = self.mantissa.signum().cmp(&other.mantissa.signum());
        if by_sign != Ordering::Equal || self.mantissa == 0 {
            return by_sign;
        }
        // The place of the first digit decides; if it is the same, both fit one scale.
        let place = |q: &Quantity| i64::from(q.mantissa.unsigned_abs().ilog10()) + i64::from(q.scale);
        let by_size = place(self).cmp(&place(other)).then_with(|| {
            let scale = self.scale.min(other.scale);
            self.rescaled(scale).0.unsigned_abs().cmp(&other.rescaled(scale).0.unsigned_abs())
        });
        if self.mantissa < 0 { by_size.reverse() } else { by_size }
    }
}

// === parsing ===

/// The quantity, and whether upstream would keep its text.
fn parse(text: &str) -> Result<(Quantity, bool), QuantityError> {
    if text.is_empty() {
        return Err(QuantityError::Format);
    }
    let parts = split(text)?;
    let factor = factor(parts.suffix)?;
    let sign = if parts.negative { -1 } else { 1 };
    let digits = (parts.whole.len() + parts.fraction.len()) as i32;
    let fraction = parts.fraction.len() as i32;
    match factor {
        Factor::Decimal(exponent, format) => {
            let scale = exponent.saturating_sub(fraction);
            let (mantissa, dropped) = parts.number();
            if digits <= 18 && scale >= NANO {
                // The text is kept where it seems canonical.
                let shifted = || parts.whole.bytes().chain(parts.fraction.bytes());
                let thousands = digits >= 3 && shifted().skip(digits as usize - 3).all(|b| b == b'0');
                let keep = scale % 3 == 0 && !thousands && shifted().next() != Some(b'0');
                return Ok((Quantity { mantissa: sign * mantissa, scale, format }, keep));
            }
            parts.not_blank()?;
            let scale = scale.saturating_add(dropped);
            let quantity = Quantity { mantissa: sign * mantissa, scale, format };
            Ok((quantity.rounded_to_nano(), false))
        }
        Factor::Binary(shift) => {
            let (mut mantissa, dropped) = parts.number();
            let mut scale = dropped - fraction;
            // As upstream, whose fast path has fewer digits the larger the suffix.
            if fraction == 0 && 15 - digits - (shift as f32 * 3.0 / 10.0) as i32 > 0 {
                let quantity =
                    Quantity { mantissa: sign * (mantissa << shift), scale, format: Format::BinarySi };
                return Ok((quantity, mantissa & 7 != 0));
            }
            parts.not_blank()?;
            while mantissa.unsigned_abs() >= LIMIT >> shift && scale < 0 {
                mantissa = divided_up(mantissa, 10).0;
                scale += 1;
            }
            if mantissa.unsigned_abs() >= LIMIT >> shift {
                mantissa = 1 << 63;
            }
            let mantissa = sign * (mantissa << shift);
            let quantity = Quantity { mantissa, scale, format: Format::BinarySi };
            Ok((quantity.rounded_to_nano().capped(), false))
        }
    }
}

impl Quantity {
    fn rounded_to_nano(self) -> Quantity {
        if self.scale >= NANO {
            return self;
        }
        Quantity { mantissa: self.rescaled(NANO).0, scale: NANO, ..self }
    }

    /// Within what upstream allows in binary; fractions of one are written in decimals.
    fn capped(self) -> Quantity {
        let size = Quantity { mantissa: self.mantissa.abs(), ..self };
        if size > Quantity::new(i64::MAX, Format::BinarySi) {
            return Quantity { mantissa: self.mantissa.signum() * MAX_BINARY, scale: 0, ..self };
        }
        if !self.is_zero() && size < Quantity::new(1, Format::BinarySi) {
            return Quantity { format: Format::DecimalSi, ..self };
        }
        self
    }
}

fn split(text: &str) -> Result<Parts<'_>, QuantityError> {
    let (negative, rest) = match text.as_bytes()[0] {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let rest = rest.trim_start_matches('0');
    let digits_of = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let (whole, rest) = rest.split_at(digits_of(rest));
    let (fraction, suffix) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(digits_of(rest)),
        None => ("", rest),
    };
    let letters = suffix.bytes().take_while(|b| b"eEinumkKMGTP".contains(b)).count();
    let exponent = suffix[letters..].strip_prefix(['-', '+']).unwrap_or(&suffix[letters..]);
    if digits_of(exponent) != exponent.len() {
        return Err(QuantityError::Format);
    }
    let blank = !text[..text.len() - suffix.len()].contains(|c: char| c.is_ascii_digit());
    Ok(Parts { negative, whole: if whole.is_empty() { "0" } else { whole }, fraction, suffix, blank })
}

impl Parts<'_> {
    /// The digits as a number, and how many had to be dropped (rounding up) to stay within a mantissa.
    fn number(&self) -> (i128, i32) {
        let (mut mantissa, mut dropped, mut inexact) = (0i128, 0, false);
        for digit in self.whole.bytes().chain(self.fraction.bytes()).map(|b| i128::from(b - b'0')) {
            if mantissa.unsigned_abs() < LIMIT / 10 {
                mantissa = mantissa * 10 + digit;
            } else {
                inexact |= digit != 0;
                dropped += 1;
            }
        }
        (mantissa + i128::from(inexact), dropped)
    }

    /// Upstream minds the lack of digits where its fast path ends, and only there.
    fn not_blank(&self) -> Result<(), QuantityError> {
        if self.blank { Err(QuantityError::Numeric) } else { Ok(()) }
    }
}

fn factor(suffix: &str) -> Result<Factor, QuantityError> {
    if let Some((_, power)) = SUFFIXES.iter().find(|(known, _)| *known == suffix) {
        return Ok(Factor::Decimal(*power, Format::DecimalSi));
    }
    if let Some((_, power)) = BINARY_SUFFIXES.iter().find(|(known, _)| *known == suffix) {
        return Ok(Factor::Binary(*power));
    }
    let exponent = suffix.strip_prefix(['e', 'E']).ok_or(QuantityError::Suffix)?;
    let exponent: i32 = exponent.parse().map_err(|_| QuantityError::Suffix)?;
    Ok(Factor::Decimal(exponent, Format::DecimalExponent))
}

fn divided_up(mantissa: i128, power: i128) -> (i128, bool) {
    let (quotient, rest) = (mantissa / power, mantissa % power);
    (quotient + if rest == 0 { 0 } else { mantissa.signum() }, rest == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> String {
        Quantity::canonical(text).unwrap().into_owned()
    }

    #[test]
    fn texts_become_canonical() {
        let cases = [
            ("0", "0"),
            ("0n", "0"),
            ("0Ki", "0"),
            ("0.0", "0"),
            ("-0", "0"),
            ("+", "0"),
            (".", "0"),
            ("1", "1"),
            ("100m", "100m"),
            ("0.1", "100m"),
            ("1000m", "1"),
            ("1500m", "1500m"),
            ("0.5", "500m"),
            ("1.5", "1500m"),
            ("1.500", "1.500"),
            ("+1", "+1"),
            ("01", "01"),
            ("100000", "100k"),
            ("1000", "1k"),
            ("1024", "1024"),
            ("12Ki", "12Ki"),
            ("1024Ki", "1Mi"),
            ("8Ki", "8Ki"),
            ("1.5Gi", "1536Mi"),
            ("0.5Ki", "512"),
            ("0.5Gi", "512Mi"),
            ("1.1Ki", "1126400m"),
            ("1e3", "1e3"),
            ("1000e3", "1e6"),
            ("1E3", "1E3"),
            ("1e-3", "1e-3"),
            ("12E", "12E"),
            ("1n", "1n"),
            ("0.1n", "1n"),
            ("0.0000000001", "1n"),
            ("1.1n", "2n"),
            ("-1.1n", "-2n"),
            ("9223372036854775807", "9223372036854775807"),
            ("100Ei", "9223372036854775807"),
            ("100000000Ti", "9223372036854775807"),
            ("-5Mi", "-5Mi"),
            ("128974848", "128974848"),
            ("129e6", "129e6"),
            ("129M", "129M"),
            ("123Mi", "123Mi"),
            ("1.2", "1200m"),
            ("1.0005", "1000500u"),
            ("512Ki", "512Ki"),
            ("0.00000000000000000000000000000000000001Ki", "1n"),
            ("123456789012345678901234567890123456789012Mi", "9223372036854775807"),
        ];
        for (text, wanted) in cases {
            assert_eq!(canonical(text), wanted, "{text}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        let cases = [
            ("", QuantityError::Format),
            ("1.1.1", QuantityError::Format),
            ("a", QuantityError::Format),
            ("1 ", QuantityError::Format),
            ("1B", QuantityError::Format),
            ("1Kib", QuantityError::Format),
            ("1KB", QuantityError::Format),
            ("1K", QuantityError::Suffix),
            ("1ki", QuantityError::Suffix),
            ("1e", QuantityError::Suffix),
            ("1e99999999999", QuantityError::Suffix),
            ("1mm", QuantityError::Suffix),
            ("--1", QuantityError::Suffix),
            ("1e3e", QuantityError::Format),
            ("Ei", QuantityError::Numeric),
            ("+e-12", QuantityError::Numeric),
        ];
        for (text, wanted) in cases {
            assert_eq!(Quantity::parse(text).unwrap_err(), wanted, "{text}");
        }
    }

    #[test]
    fn amounts_are_ordered_and_added() {
        let q = |text: &str| Quantity::parse(text).unwrap();
        let ordered = ["-1Gi", "-1n", "0", "1n", "999m", "1", "1001m", "1k", "1Ki", "1e30", "1e1000000"];
        for pair in ordered.windows(2) {
            assert!(q(pair[0]) < q(pair[1]), "{pair:?}");
            assert!(q(pair[1]) > q(pair[0]), "{pair:?}");
        }
        assert_eq!(q("1000m"), q("1"));
        assert_eq!(q("1Ki"), q("1024"));
        let sums = [
            ("100m", "900m", "1"),
            ("1Gi", "1Mi", "1025Mi"),
            ("0", "1Ki", "1Ki"),
            ("1Ki", "1", "1025"),
            ("1", "-1", "0"),
        ];
        for (a, b, sum) in sums {
            assert_eq!(q(a).plus(q(b)).to_string(), sum, "{a} + {b}");
        }
        assert_eq!(q("1e1000").plus(q("1n")).as_f64(), f64::INFINITY);
        assert_eq!(q("2").minus(q("500m")).to_string(), "1500m");
    }

    #[test]
    fn values_are_rounded_away_from_zero() {
        let q = |text: &str| Quantity::parse(text).unwrap();
        assert_eq!((q("1n").value(), q("1n").milli_value()), (1, 1));
        assert_eq!((q("1500m").value(), q("1500m").milli_value()), (2, 1500));
        assert_eq!((q("-1500m").value(), q("1Ki").milli_value()), (-2, 1_024_000));
        assert_eq!(q("1e30").value(), i64::MAX);
        assert_eq!(Quantity::from_milli(250, Format::DecimalSi).to_string(), "250m");
        assert_eq!(Quantity::new(1 << 30, Format::BinarySi).to_string(), "1Gi");
    }
}
