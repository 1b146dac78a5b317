//! Texts as Go makes and shows them.

use std::borrow::Cow;

/// The text of bytes: each that is no part of a character becomes U+FFFD.
pub(crate) fn of_bytes(bytes: &[u8]) -> Cow<'_, str> {
    // The strict check is much the faster one.
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        out.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    Cow::Owned(out)
}

/// A text in double quotes, as Go's `%q` writes it.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            _ => escape(c, &mut out),
        }
    }
    out.push('"');
    out
}

/// Writes a character as Go writes it within quotes, but for the quotes themselves.
pub(crate) fn escape(c: char, out: &mut String) {
    match c {
        '\\' => out.push_str("\\\\"),
        '\u{7}' => out.push_str("\\a"),
        '\u{8}' => out.push_str("\\b"),
        '\u{b}' => out.push_str("\\v"),
        '\u{c}' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{0}'..' ' | '\u{7f}' => out.push_str(&format!("\\x{:02x}", u32::from(c))),
        _ if is_printable(c) => out.push(c),
        '\u{0}'..='\u{ffff}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
        _ => out.push_str(&format!("\\U{:08x}", u32::from(c))),
    }
}

/// Rust escapes what Go does not print, and more at the beginning of a text.
fn is_printable(c: char) -> bool {
    let text = String::from_iter(['"', c]);
    c == '\'' || c == '"' || text.escape_debug().nth(2) == Some(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_are_replaced_one_by_one() {
        assert_eq!(of_bytes(b"a\xf0\x9f\x98b\xffc"), "a\u{fffd}\u{fffd}\u{fffd}b\u{fffd}c");
    }

    #[test]
    fn texts_are_quoted_as_go_does() {
        assert_eq!(
            quote("a'\"\\\n\u{1}\u{7f}é\u{feff}\u{301}\u{2028}😀"),
            r#""a'\"\\\n\x01\x7fé\ufeff"#.to_owned() + "\u{301}\\u2028😀\""
        );
    }
}
