//! Texts that name indexes of a job: `1,3-5`.

use std::ops::RangeInclusive;

/// The indexes that `text` names, all below `completions`, in order.
pub fn parse(text: &str, completions: i64) -> Result<Vec<RangeInclusive<i64>>, String> {
    let mut intervals: Vec<RangeInclusive<i64>> = Vec::new();
    for part in text.split(',').filter(|_| !text.is_empty()) {
        let next = interval(part, completions)?;
        if let Some(last) = intervals.last().filter(|last| last.end() >= next.start()) {
            return Err(out_of_order(*last.end(), *next.start()));
        }
        intervals.push(next);
    }
    Ok(intervals)
}

/// How many indexes there are.
pub fn count(intervals: &[RangeInclusive<i64>]) -> i64 {
    intervals.iter().map(|interval| interval.end() - interval.start() + 1).sum()
}

/// The first index that both texts name, whatever else is wrong with them.
pub fn overlap(a: &str, b: &str, completions: i64) -> Option<i64> {
    let sound = |text: &str| -> Vec<RangeInclusive<i64>> {
        text.split(',').filter_map(|part| interval(part, completions).ok()).collect()
    };
    let (a, b) = (sound(a), sound(b));
    let pairs = a.iter().flat_map(|a| b.iter().map(move |b| (a, b)));
    pairs
        .filter(|(a, b)| a.start() <= b.end() && b.start() <= a.end())
        .map(|(a, b)| *a.start().max(b.start()))
        .min()
}

fn out_of_order(previous: i64, current: i64) -> String {
    format!("non-increasing order, previous: {previous}, current: {current}")
}

fn interval(text: &str, completions: i64) -> Result<RangeInclusive<i64>, String> {
    let number = |text: &str| -> Result<i64, String> {
        let number = text
            .parse::<i64>()
            .map_err(|_| format!("cannot convert string to integer for index: {text:?}"))?;
        if number >= completions {
            return Err(format!("too large index: {text:?}"));
        }
        Ok(number)
    };
    match text.split('-').collect::<Vec<_>>().as_slice() {
        [one] => number(one).map(|one| one..=one),
        [first, last] => {
            let (first, last) = (number(first)?, number(last)?);
            if first >= last { Err(out_of_order(first, last)) } else { Ok(first..=last) }
        }
        _ => Err(format!(
            "the fragment {text:?} violates the requirement that an index interval can have at most two parts separated by '-'"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_are_read_and_counted() {
        assert_eq!(parse("0,2-4", 5).map(|intervals| count(&intervals)), Ok(4));
        assert_eq!(parse("", 5), Ok(vec![]));
        for (text, why) in [
            ("3,1", "non-increasing order, previous: 3, current: 1"),
            ("5", "too large index: \"5\""),
            ("a", "cannot convert string to integer for index: \"a\""),
            ("3-3", "non-increasing order, previous: 3, current: 3"),
        ] {
            assert_eq!(parse(text, 5), Err(why.to_owned()));
        }
        assert!(parse("1-2-3", 5).is_err());
        assert_eq!(overlap("0-2,4", "2-3", 5), Some(2));
        assert_eq!(overlap("0", "x,1", 5), None);
    }
}
