//! Sets of completion indexes, as a Job's status writes them: `1,3-5,7`.

use std::collections::BTreeSet;

/// A set of indexes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Indexes(pub BTreeSet<i32>);

impl Indexes {
    /// The set that `text` says, up to `completions`; what makes no sense is passed over.
    pub(super) fn parse(text: &str, completions: i32) -> Indexes {
        let mut indexes = BTreeSet::new();
        for interval in text.split(',') {
            let (first, last) = interval.split_once('-').unwrap_or((interval, interval));
            if let (Ok(first), Ok(last)) = (first.parse::<i32>(), last.parse::<i32>()) {
                indexes.extend(first.max(0)..=last.min(completions - 1));
            }
        }
        Indexes(indexes)
    }

    /// How many there are.
    pub(super) fn total(&self) -> i32 {
        self.0.len() as i32
    }

    pub(super) fn has(&self, index: i32) -> bool {
        self.0.contains(&index)
    }
}

impl std::fmt::Display for Indexes {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let mut rest = self.0.iter().copied().peekable();
        let mut separator = "";
        while let Some(first) = rest.next() {
            let mut last = first;
            while let Some(next) = rest.next_if(|next| *next == last + 1) {
                last = next;
            }
            match last - first {
                0 => write!(f, "{separator}{first}")?,
                1 => write!(f, "{separator}{first},{last}")?,
                _ => write!(f, "{separator}{first}-{last}")?,
            }
            separator = ",";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_read_and_written() {
        for (text, written) in
            [("", ""), ("0", "0"), ("1,3-5,7", "1,3-5,7"), ("0-1", "0,1"), ("1,2,3", "1-3"), ("8-20", "8,9")]
        {
            assert_eq!(Indexes::parse(text, 10).to_string(), written);
        }
        assert_eq!(Indexes::parse("1,3-5", 10).total(), 4);
    }
}
