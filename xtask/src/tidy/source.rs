//! A file as tidy sees it: its code without strings and comments, its comments without code, its functions.

use std::ops::RangeInclusive;

/// A file of the repository.
pub struct Source {
    /// From the root of the repository.
    pub path: String,
    /// All of it.
    pub text: String,
    /// For Rust: `text` with the contents of strings, characters and comments made blank; the same lines.
    pub code: String,
    /// For Rust: `text` with all but comments made blank; the same lines.
    pub comments: String,
    /// The lines that are compiled for tests only.
    tests: Vec<RangeInclusive<usize>>,
}

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Where `fn` is, from 1.
    pub line: usize,
    /// From `fn` to the closing brace.
    pub lines: usize,
}

/// What a character belongs to.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Code,
    Literal,
    Comment,
}

// === impl Source ===

impl Source {
    /// Reads a file's text.
    pub fn new(path: &str, text: String) -> Source {
        let (code, comments) = if path.ends_with(".rs") { split(&text) } else { Default::default() };
        let tests = test_lines(&code);
        Source { path: path.to_owned(), text, code, comments, tests }
    }

    /// Whether it is Rust.
    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether all of it is for tests.
    pub fn is_all_test(&self) -> bool {
        const FOLDERS: [&str; 3] = ["tests", "testing", "testdata"];
        const FILES: [&str; 2] = ["tests.rs", "testing.rs"];
        self.path.split('/').any(|part| FOLDERS.contains(&part) || FILES.contains(&part))
    }

    /// Whether line `line` is for tests.
    pub fn is_test(&self, line: usize) -> bool {
        self.is_all_test() || self.tests.iter().any(|lines| lines.contains(&line))
    }

    /// The functions that have a body, inner ones too.
    pub fn functions(&self) -> Vec<Function> {
        let bytes = self.code.as_bytes();
        let mut found = Vec::new();
        for (at, _) in self.code.match_indices("fn ") {
            if at > 0 && is_word(bytes[at - 1]) {
                continue;
            }
            let name: String =
                self.code[at + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let Some(end) = item_end(bytes, at).filter(|end| !name.is_empty() && bytes[*end] == b'}') else {
                continue;
            };
            let lines = self.code[at..end].matches('\n').count() + 1;
            found.push(Function { name, line: line_of(&self.code, at), lines });
        }
        found
    }
}

/// The line of `text`, from 1, in which the byte `at` is.
pub fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1
}

/// Whether a byte may be part of a name.
pub fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Where the item that begins at `at` ends: at the semicolon, or at the brace that closes the first one.
fn item_end(code: &[u8], at: usize) -> Option<usize> {
    let (mut brackets, mut braces) = (0usize, 0usize);
    for (offset, byte) in code[at..].iter().enumerate() {
        match byte {
            b'(' | b'[' => brackets += 1,
            b')' | b']' => brackets = brackets.saturating_sub(1),
            b'{' => braces += 1,
            b'}' if braces <= 1 => return Some(at + offset),
            b'}' => braces -= 1,
            b';' if braces == 0 && brackets == 0 => return Some(at + offset),
            _ => {}
        }
    }
    None
}

/// The lines of items under `#[cfg(test)]`.
fn test_lines(code: &str) -> Vec<RangeInclusive<usize>> {
    let lines = |(at, _)| Some(line_of(code, at)..=line_of(code, item_end(code.as_bytes(), at)?));
    code.match_indices("#[cfg(test)]").filter_map(lines).collect()
}

/// Code and comments of a Rust file.
fn split(text: &str) -> (String, String) {
    let chars: Vec<char> = text.chars().collect();
    let (mut code, mut comments) = (String::with_capacity(text.len()), String::with_capacity(text.len()));
    let mut at = 0;
    while at < chars.len() {
        let (part, end) = token(&chars, at);
        for (index, c) in chars[at..end].iter().enumerate() {
            // Quotes stay, so that what stands left and right of a literal does not touch.
            let edge = index == 0 || at + index + 1 == end;
            let in_code = part == Part::Code || part == Part::Literal && edge;
            code.push(if *c == '\n' || in_code { *c } else { ' ' });
            comments.push(if *c == '\n' || part == Part::Comment { *c } else { ' ' });
        }
        at = end;
    }
    (code, comments)
}

/// What begins at `at`, and where it ends.
fn token(chars: &[char], at: usize) -> (Part, usize) {
    let rest = &chars[at..];
    match rest {
        ['/', '/', ..] => (Part::Comment, at + rest.iter().position(|c| *c == '\n').unwrap_or(rest.len())),
        ['/', '*', ..] => (Part::Comment, at + block_comment(rest)),
        ['"', ..] => (Part::Literal, at + string(rest)),
        ['\'', '\\', _, after @ ..] => {
            (Part::Literal, at + 3 + after.iter().position(|c| *c == '\'').map_or(0, |end| end + 1))
        }
        ['\'', _, '\'', ..] => (Part::Literal, at + 3),
        ['r', '"' | '#', ..] if at == 0 || !is_name(chars[at - 1]) || is_prefixed(chars, at) => {
            match raw_string(rest) {
                Some(end) => (Part::Literal, at + end),
                None => (Part::Code, at + 1),
            }
        }
        _ => (Part::Code, at + 1),
    }
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether the `r` at `at` is that of `br"…"` or `cr"…"`.
fn is_prefixed(chars: &[char], at: usize) -> bool {
    matches!(chars[at - 1], 'b' | 'c') && (at < 2 || !is_name(chars[at - 2]))
}

fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0usize, 0);
    while at < rest.len() {
        match &rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn string(rest: &[char]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// The length of a raw string; none if it is a raw name such as `r#type`.
fn raw_string(rest: &[char]) -> Option<usize> {
    let hashes = rest[1..].iter().take_while(|c| **c == '#').count();
    let begin = 1 + hashes;
    if rest.get(begin) != Some(&'"') {
        return None;
    }
    let closes = |at: &usize| {
        rest[*at] == '"' && rest[at + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes
    };
    Some((begin + 1..rest.len()).find(closes).map_or(rest.len(), |at| at + 1 + hashes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_comments_come_apart() {
        let cases = [
            ("a(); // b {", "a();       ", "// b {"),
            ("let s = \"// { \\\" x\"; y", "let s = \"         \"; y", ""),
            ("r#\"a \" { \"# z", "r         # z", ""),
            ("br\"{\\\" z", "br   \" z", ""),
            ("r#type = '{'; 'a: loop", "r#type = ' '; 'a: loop", ""),
            ("'\\'' + '\\u{7b}' z", "'  ' + '      ' z", ""),
            ("/* a /* { */ b */ c", "c", "/* a /* { */ b */"),
        ];
        for (text, code, comments) in cases {
            let (got_code, got_comments) = split(text);
            assert_eq!((got_code.trim(), got_comments.trim()), (code.trim(), comments), "{text}");
            assert_eq!(got_code.chars().count(), text.chars().count(), "{text}");
        }
    }

    #[test]
    fn functions_are_measured_from_their_name_to_their_brace() {
        let text = "trait A {\n    fn declared(&self, x: [u8; 2]);\n}\nconst F: fn(u8) = g;\nfn one() {\n    if x {\n    }\n}\nfn two<F>(f: F)\nwhere\n    F: Fn(),\n{\n    let s = \"}\";\n}\n";
        let found = Source::new("a.rs", text.to_owned()).functions();
        let named = |name: &str, line, lines| Function { name: name.to_owned(), line, lines };
        assert_eq!(found, [named("one", 5, 4), named("two", 9, 6)]);
    }

    #[test]
    fn tests_are_known_by_attribute_and_by_path() {
        let source = Source::new(
            "crates/a/src/b.rs",
            "fn a() {}\n#[cfg(test)]\nmod tests;\nfn b() {}\n#[cfg(test)]\nmod more {\n}\n".into(),
        );
        let lines: Vec<bool> = (1..=7).map(|line| source.is_test(line)).collect();
        assert_eq!(lines, [false, true, true, false, true, true, true]);
        assert!(Source::new("crates/a/src/b/tests.rs", String::new()).is_test(1));
    }
}
