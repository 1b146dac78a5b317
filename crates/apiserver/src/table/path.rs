//! The part of JSONPath that columns use (k8s.io/client-go/util/jsonpath): `.a.b`, `['a.b']`, `[0]`, `[-1]`, `[*]` and
//! `[?(@.a=="b")]`.

use super::cell::Row;
use super::json::Json;

/// A path into an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Path(Vec<Step>);

#[derive(Clone, Debug, PartialEq)]
enum Step {
    /// A field.
    Key(String),
    /// An item; from the end, if it is negative.
    Index(i64),
    /// All items, or the values of all fields.
    All,
    /// The items where the value at the path is, or is not, this.
    Where(Path, bool, String),
}

/// Why a path cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum PathError {
    /// It begins with neither `.` nor `[`.
    #[error("a step begins with a dot or a bracket")]
    Step,
    /// A bracket is not closed, or a name is missing.
    #[error("a bracket or a name is not finished")]
    Unfinished,
    /// What is between the brackets.
    #[error("between brackets only an index, *, a quoted name or a comparison is known")]
    Bracket,
}

// === impl Path ===

impl Path {
    /// Reads a path such as `.status.conditions[?(@.type=="Ready")].status`.
    pub fn parse(text: &str) -> Result<Path, PathError> {
        let (mut steps, mut rest) = (Vec::new(), text.trim());
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('[') {
                let (inside, after) = bracket(after)?;
                steps.push(Step::bracketed(inside.trim())?);
                rest = after;
            } else if let Some(after) = rest.strip_prefix('.') {
                let (name, after) = name(after);
                match name.as_str() {
                    "" if after.starts_with('[') => {}
                    "" => return Err(PathError::Unfinished),
                    "*" => steps.push(Step::All),
                    _ => steps.push(Step::Key(name)),
                }
                rest = after;
            } else {
                return Err(PathError::Step);
            }
        }
        Ok(Path(steps))
    }

    /// The first value that the path leads to.
    pub fn first<'a>(&self, row: &Row<'a>) -> Json<'a> {
        let (start, steps) = self.start(row);
        first(steps, start)
    }

    /// All values that the path leads to.
    pub fn all<'a>(&self, row: &Row<'a>) -> Vec<Json<'a>> {
        let (start, steps) = self.start(row);
        walk(steps, start)
    }

    /// The field of the object where the path begins, and the steps from there. There is no way but through fields.
    fn start<'a>(&self, row: &Row<'a>) -> (Json<'a>, &[Step]) {
        match self.0.split_first() {
            Some((Step::Key(name), steps)) => (row.key(name), steps),
            _ => (Json::new(None), &[]),
        }
    }
}

fn first<'a>(steps: &[Step], from: Json<'a>) -> Json<'a> {
    let mut at = from;
    for (i, step) in steps.iter().enumerate() {
        match step {
            Step::Key(name) => at = at.key(name),
            _ => return walk(&steps[i..], at).into_iter().next().unwrap_or(Json::new(None)),
        }
    }
    at
}

fn walk<'a>(steps: &[Step], from: Json<'a>) -> Vec<Json<'a>> {
    let mut at = vec![from];
    for step in steps {
        at = at.into_iter().flat_map(|value| step.apply(value)).collect();
    }
    at
}

/// What is between brackets, and what follows them; brackets in quotes do not count.
fn bracket(text: &str) -> Result<(&str, &str), PathError> {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (None, ']') => return Ok((&text[..at], &text[at + 1..])),
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
    }
    Err(PathError::Unfinished)
}

/// A name, in which a backslash takes a dot for a letter, and what follows.
fn name(text: &str) -> (String, &str) {
    let (mut name, mut chars) = (String::new(), text.char_indices());
    while let Some((at, c)) = chars.next() {
        match c {
            '.' | '[' => return (name, &text[at..]),
            '\\' => name.extend(chars.next().map(|(_, c)| c)),
            _ => name.push(c),
        }
    }
    (name, "")
}

// === impl Step ===

impl Step {
    fn bracketed(text: &str) -> Result<Step, PathError> {
        if text == "*" {
            return Ok(Step::All);
        }
        if let Some(name) = unquoted(text) {
            return Ok(Step::Key(name.to_owned()));
        }
        if let Some(test) = text.strip_prefix("?(").and_then(|rest| rest.strip_suffix(')')) {
            let test = test.trim().strip_prefix('@').ok_or(PathError::Bracket)?;
            let (path, is, value) = match (test.split_once("=="), test.split_once("!=")) {
                (Some((path, value)), _) => (path, true, value),
                (None, Some((path, value))) => (path, false, value),
                (None, None) => return Err(PathError::Bracket),
            };
            let value = value.trim();
            return Ok(Step::Where(Path::parse(path)?, is, unquoted(value).unwrap_or(value).to_owned()));
        }
        text.parse().map(Step::Index).map_err(|_| PathError::Bracket)
    }

    fn apply<'a>(&self, value: Json<'a>) -> Vec<Json<'a>> {
        match self {
            Step::Key(name) => Some(value.key(name)).filter(|found| found.exists()).into_iter().collect(),
            Step::Index(index) => {
                let from_end = |back: i64| value.items().count().checked_sub(usize::try_from(back).ok()?);
                let at = usize::try_from(*index).ok().or_else(|| from_end(index.checked_neg()?));
                at.and_then(|at| value.items().nth(at)).into_iter().collect()
            }
            Step::All => value.items().chain(value.fields().map(|(_, value)| value)).collect(),
            Step::Where(path, is, wanted) => {
                let holds = |item: &Json| {
                    first(&path.0, *item).shown().is_some_and(|shown| (shown == wanted.as_str()) == *is)
                };
                value.items().filter(holds).collect()
            }
        }
    }
}

fn unquoted(text: &str) -> Option<&str> {
    ['\'', '"'].into_iter().find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn paths_find_what_they_name() {
        let json = br#"{"a":{"b.c":[{"type":"X","n":1},{"type":"Y","n":2},{"n":3}],"d":{"e":"f"}},"n":null}"#;
        let table = [
            (".a.d.e", "f"),
            (".a['b.c'][0].n", "1"),
            (r".a.b\.c[-1].n", "3"),
            (".a['b.c'][*].n", "1 2 3"),
            (r#".a.b\.c[?(@.type=="Y")].n"#, "2"),
            (".a.b\\.c[?(@.type != 'Y')].n", "1"),
            (".a.d.*", "f"),
            (".a['b.c'][7].n", ""),
            (".a['b.c'][-7].n", ""),
            (".n", ""),
        ];
        for (text, expected) in table {
            let path = Path::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            let object = Row::new(json, Timestamp::UNIX_EPOCH);
            let found: Vec<_> = path.all(&object).into_iter().filter_map(Json::shown).collect();
            assert_eq!(found.join(" "), expected, "{text}");
            assert_eq!(path.first(&object).shown(), found.first().cloned(), "{text}");
        }
    }

    #[test]
    fn other_paths_are_refused() {
        let table = [
            ("a", PathError::Step),
            (".a..b", PathError::Unfinished),
            (".a[0", PathError::Unfinished),
            (".a[0:2]", PathError::Bracket),
            (".a[?(@.b)]", PathError::Bracket),
        ];
        for (text, error) in table {
            assert_eq!(Path::parse(text), Err(error), "{text}");
        }
    }
}
