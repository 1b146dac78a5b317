//! Amounts of resources, as whole numbers (k8s.io/apimachinery/pkg/api/resource).

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// Amounts by the name of their resource.
pub type Resources = BTreeMap<String, Quantity>;

/// A quantity of bytes, pods or other whole things; rounded up, 0 if it is none.
pub fn value(quantity: &Quantity) -> i64 {
    scaled(&quantity.0, 1).unwrap_or(0)
}

/// A quantity in thousandths, as CPU is counted; rounded up, 0 if it is none.
pub fn milli(quantity: &Quantity) -> i64 {
    scaled(&quantity.0, 1000).unwrap_or(0)
}

/// The amount of `name` in whole units.
pub fn value_of(resources: Option<&Resources>, name: &str) -> Option<i64> {
    resources?.get(name).map(value)
}

/// The amount of `name` in thousandths.
pub fn milli_of(resources: Option<&Resources>, name: &str) -> Option<i64> {
    resources?.get(name).map(milli)
}

/// An amount of bytes, in the largest binary unit that divides it.
pub fn bytes(amount: i64) -> Quantity {
    let unit = [("Ei", 60), ("Pi", 50), ("Ti", 40), ("Gi", 30), ("Mi", 20), ("Ki", 10)];
    let fits = |(_, shift): &&(&str, u32)| amount != 0 && amount % (1i64 << shift) == 0;
    match unit.iter().find(fits) {
        Some((suffix, shift)) => Quantity(format!("{}{suffix}", amount >> shift)),
        None => Quantity(amount.to_string()),
    }
}

/// Thousandths of a core.
pub fn millis(amount: i64) -> Quantity {
    Quantity(if amount % 1000 == 0 { (amount / 1000).to_string() } else { format!("{amount}m") })
}

fn scaled(text: &str, scale: i128) -> Option<i64> {
    let end = text.find(|c: char| !matches!(c, '0'..='9' | '.' | '+' | '-')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{fraction}");
    let mantissa: i128 = digits.parse().ok()?;
    let (multiplier, divisor) = factor(suffix)?;
    let divisor = divisor.checked_mul(10i128.checked_pow(u32::try_from(fraction.len()).ok()?)?)?;
    let product = mantissa.checked_mul(multiplier)?.checked_mul(scale)?;
    let rounded = product.div_euclid(divisor) + i128::from(product.rem_euclid(divisor) != 0);
    i64::try_from(rounded).ok().or(Some(i64::MAX))
}

/// What a suffix multiplies and divides by.
fn factor(suffix: &str) -> Option<(i128, i128)> {
    Some(match suffix {
        "" => (1, 1),
        "n" => (1, 1_000_000_000),
        "u" => (1, 1_000_000),
        "m" => (1, 1000),
        "k" => (1000, 1),
        "M" => (10i128.pow(6), 1),
        "G" => (10i128.pow(9), 1),
        "T" => (10i128.pow(12), 1),
        "P" => (10i128.pow(15), 1),
        "E" => (10i128.pow(18), 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        "Ti" => (1 << 40, 1),
        "Pi" => (1 << 50, 1),
        "Ei" => (1 << 60, 1),
        _ => {
            let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            let power = 10i128.checked_pow(exponent.unsigned_abs())?;
            if exponent < 0 { (1, power) } else { (power, 1) }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_and_rounded_up() {
        let cases = [
            ("100m", 100, 1),
            ("0.5", 500, 1),
            ("2", 2000, 2),
            ("1Ki", 1_024_000, 1024),
            ("1e3", 1_000_000, 1000),
        ];
        for (text, in_milli, whole) in cases {
            let quantity = Quantity(text.to_owned());
            assert_eq!((milli(&quantity), value(&quantity)), (in_milli, whole), "{text}");
        }
        assert_eq!(
            (bytes(3 << 20).0, bytes(1500).0, millis(1500).0),
            ("3Mi".into(), "1500".into(), "1500m".into())
        );
    }
}
