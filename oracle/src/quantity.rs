//! Quantities: what is read, how it is written, rounded, ordered, added and subtracted.

use std::cmp::Ordering;

use decapod_api::quantity::{Format, Quantity, QuantityError};

use crate::pipe::{Parts, question};
use crate::random::Random;
use crate::report::unequal_parts;
use crate::run::Subject;
use crate::scalar;

/// Pairs of quantities.
pub struct Quantities;

impl Subject for Quantities {
    type Input = [String; 2];

    fn name(&self) -> &'static str {
        "quantity"
    }

    fn generate(&self, _: u64, random: &mut Random) -> [String; 2] {
        let first = text(random);
        let second = match random.below(4) {
            0 => format!("{first}0"),
            1 => first.replace(['k', 'M', 'i'], ""),
            _ => text(random),
        };
        [first, second]
    }

    fn questions(&self, input: &[String; 2]) -> Vec<Parts> {
        vec![question("quantity", &[input[0].as_bytes(), input[1].as_bytes()])]
    }

    fn difference(&self, input: &[String; 2], answers: &[Parts]) -> Option<String> {
        if input.iter().any(|text| is_beyond(text)) {
            return None;
        }
        let ours = ours(input).unwrap_or_else(|error| vec!["error".to_owned(), error.to_string()]);
        let mut theirs = answers[0].clone();
        // Upstream rounds negative decimals wrongly, and lets thousandths overflow.
        let is_loose = |mine: &str| mine.starts_with('-') || mine == i64::MAX.to_string();
        for at in [4, 5, 10, 11] {
            if let (Some(mine), Some(other)) =
                (ours.get(at).filter(|mine| is_loose(mine)), theirs.get_mut(at))
            {
                *other = mine.clone().into_bytes();
            }
        }
        unequal_parts(&ours, &theirs)
    }

    fn smaller(&self, input: &[String; 2]) -> Vec<[String; 2]> {
        let shorter = |text: &str| -> Vec<String> {
            let places = text.char_indices().map(|(at, c)| (at, at + c.len_utf8()));
            places.map(|(from, to)| format!("{}{}", &text[..from], &text[to..])).collect()
        };
        let firsts = shorter(&input[0]).into_iter().map(|first| [first, input[1].clone()]);
        let seconds = shorter(&input[1]).into_iter().map(|second| [input[0].clone(), second]);
        firsts.chain(seconds).collect()
    }

    fn show(&self, input: &[String; 2]) -> String {
        format!("{input:?}")
    }
}

/// A quantity's text, at times a broken one.
fn text(random: &mut Random) -> String {
    let mut text = scalar::quantity(random);
    if random.once_in(8) {
        let at = random.below(text.len() + 1);
        text.insert_str(at, random.pick(&["-", "+", ".", "e", "E", "i", "x", " ", "K", "0", "µ", "n", "é"]));
    }
    text
}

/// Amounts of a thousand exa and more lose their suffix upstream (`1000E` becomes `1`), so ours are written otherwise; and
/// exponents beyond what anybody means are capped otherwise.
fn is_beyond(text: &str) -> bool {
    Quantity::parse(text).is_ok_and(|quantity| quantity.as_f64().abs() >= 1e20)
}

fn ours(input: &[String; 2]) -> Result<Vec<String>, QuantityError> {
    let mut answer = vec!["ok".to_owned()];
    let [a, b] = [Quantity::parse(&input[0])?, Quantity::parse(&input[1])?];
    for (quantity, text) in [a, b].into_iter().zip(input) {
        let format = match quantity.format() {
            Format::DecimalExponent => "DecimalExponent",
            Format::BinarySi => "BinarySI",
            Format::DecimalSi => "DecimalSI",
        };
        let sign = match (quantity.is_zero(), quantity.is_negative()) {
            (true, _) => "0",
            (_, true) => "-1",
            _ => "1",
        };
        answer.extend([
            format!("\"{}\"", Quantity::canonical(text)?),
            format.to_owned(),
            sign.to_owned(),
            quantity.value().to_string(),
            quantity.milli_value().to_string(),
            exponential(quantity.as_f64()),
        ]);
    }
    let order = match a.cmp(&b) {
        Ordering::Less => "-1",
        Ordering::Equal => "0",
        Ordering::Greater => "1",
    };
    answer.extend([order.to_owned(), a.plus(b).to_string(), a.minus(b).to_string()]);
    Ok(answer)
}

/// As Go's `%.8e`.
fn exponential(float: f64) -> String {
    let text = format!("{float:.8e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}
