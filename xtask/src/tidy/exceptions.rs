//! The list of what was too long before: one `length path` or `length path function` a line. It only shrinks.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Excess, Problem};

/// Where the list is, from the root of the repository.
pub const FILE: &str = "xtask/tidy-exceptions.txt";

const HEAD: &str = "\
# What is longer than it may be, and how long it may be until it is split: LINES PATH [FUNCTION].
# `cargo xtask tidy --update` writes this file; it only ever gets shorter.
";

/// What may be too long, and how long.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Exceptions(BTreeMap<String, usize>);

// === impl Exceptions ===

impl Exceptions {
    /// Reads the list; there is nothing on it if it is not there.
    pub fn read(path: &Path) -> Result<Exceptions, String> {
        match std::fs::read_to_string(path) {
            Ok(text) => Exceptions::parse(&text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Exceptions::default()),
            Err(error) => Err(format!("cannot read {}: {error}", path.display())),
        }
    }

    fn parse(text: &str) -> Result<Exceptions, String> {
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let parse = |line: &str| {
            let (length, key) = line.split_once(' ')?;
            Some((key.to_owned(), length.parse().ok()?))
        };
        let entries = lines
            .map(|line| parse(line).ok_or_else(|| format!("{FILE}: not `LINES PATH [FUNCTION]`: {line}")));
        entries.collect::<Result<_, _>>().map(Exceptions)
    }

    /// Writes the list.
    pub fn write(&self, path: &Path) -> Result<(), String> {
        let lines: String = self.0.iter().map(|(key, length)| format!("{length} {key}\n")).collect();
        std::fs::write(path, format!("{HEAD}{lines}"))
            .map_err(|error| format!("cannot write {}: {error}", path.display()))
    }

    /// What has become too long, and what is on the list without need.
    pub fn problems(&self, now: &[Excess]) -> Vec<Problem> {
        let mut found: Vec<Problem> =
            longest(now).into_values().filter_map(|excess| self.growth(excess)).collect();
        let is_gone = |key: &&String| !now.iter().any(|excess| excess.key == **key);
        found.extend(self.0.keys().filter(is_gone).map(|key| Problem {
            path: FILE.to_owned(),
            line: 1,
            what: format!("`{key}` is not too long any more; run `cargo xtask tidy --update`"),
        }));
        found
    }

    fn growth(&self, excess: &Excess) -> Option<Problem> {
        let allowed = self.0.get(&excess.key).copied().unwrap_or(excess.limit);
        if excess.length <= allowed {
            return None;
        }
        let (path, function) = excess.key.split_once(' ').unwrap_or((&excess.key, "the file"));
        let what =
            format!("{function} has {} lines, {allowed} allowed; split it by what it does", excess.length);
        Some(Problem { path: path.to_owned(), line: excess.line, what })
    }

    /// The list as it should be now: never with more on it than before, unless it may `grow`.
    pub fn updated(&self, now: &[Excess], grow: bool) -> Exceptions {
        let kept = longest(now).into_iter().filter_map(|(key, excess)| match self.0.get(key) {
            Some(before) if !grow => Some((key.to_owned(), excess.length.min(*before))),
            None if !grow => None,
            _ => Some((key.to_owned(), excess.length)),
        });
        Exceptions(kept.collect())
    }
}

/// The longest of each name: functions of one file may share theirs.
fn longest(now: &[Excess]) -> BTreeMap<&str, &Excess> {
    let mut longest: BTreeMap<&str, &Excess> = BTreeMap::new();
    for excess in now {
        let entry = longest.entry(&excess.key).or_insert(excess);
        if excess.length > entry.length {
            *entry = excess;
        }
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excess(key: &str, length: usize) -> Excess {
        Excess { key: key.into(), line: 3, length, limit: 70 }
    }

    #[test]
    fn the_list_only_shrinks() {
        let list = Exceptions::parse("# head\n90 a.rs f\n80 a.rs g\n75 a.rs h\n").unwrap();
        let now = [excess("a.rs f", 91), excess("a.rs g", 79), excess("a.rs new", 71)];
        let whats: Vec<String> =
            list.problems(&now).into_iter().map(|p| format!("{}:{}: {}", p.path, p.line, p.what)).collect();
        assert_eq!(
            whats,
            [
                "a.rs:3: f has 91 lines, 90 allowed; split it by what it does",
                "a.rs:3: new has 71 lines, 70 allowed; split it by what it does",
                "xtask/tidy-exceptions.txt:1: `a.rs h` is not too long any more; run `cargo xtask tidy --update`",
            ]
        );
        assert_eq!(list.updated(&now, false), Exceptions::parse("90 a.rs f\n79 a.rs g\n").unwrap());
        assert_eq!(
            list.updated(&now, true),
            Exceptions::parse("91 a.rs f\n79 a.rs g\n71 a.rs new\n").unwrap()
        );
    }

    #[test]
    fn a_broken_list_is_refused() {
        assert!(Exceptions::parse("many a.rs\n").unwrap_err().contains("many a.rs"));
    }
}
