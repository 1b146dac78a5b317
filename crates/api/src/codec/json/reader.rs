//! The tokens of a JSON text. Errors are in the words of Go's scanner.

use std::borrow::Cow;

use crate::codec::{DecodeError, scan, text};

/// A JSON text and where its reader stands.
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
}

type Read<T> = Result<T, DecodeError>;

/// A character in single quotes, as Go writes it.
fn quoted(c: char) -> String {
    let mut out = String::from("'");
    match c {
        '\'' => out.push_str(r"\'"),
        _ => text::escape(c, &mut out),
    }
    out + "'"
}

// === impl Reader ===

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Reader<'a> {
        Reader { text, at: 0 }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.byte(), Some(b' ' | b'\n' | b'\t' | b'\r')) {
            self.at += 1;
        }
    }

    /// The error for what stands here.
    fn unexpected<T>(&self, context: &str) -> Read<T> {
        // Go's scanner takes the end for a space, and minds it only where none may stand.
        let ends = ["looking for", "after object", "after array", "after top", "in string literal"];
        Err(DecodeError::Syntax(match self.text[self.at..].chars().next() {
            None if ends.iter().any(|end| context.starts_with(end)) => {
                "unexpected end of JSON input".to_owned()
            }
            found => format!("invalid character {} {context}", quoted(found.unwrap_or(' '))),
        }))
    }

    /// The first byte of the next value.
    pub(super) fn peek(&mut self) -> Read<u8> {
        self.skip_space();
        match self.byte() {
            Some(b @ (b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n')) => Ok(b),
            _ => self.unexpected("looking for beginning of value"),
        }
    }

    /// That nothing but white space is left.
    pub(super) fn end(&mut self) -> Read<()> {
        self.skip_space();
        if self.at == self.text.len() { Ok(()) } else { self.unexpected("after top-level value") }
    }

    /// Past the opening brace or bracket that `peek` saw.
    pub(super) fn open(&mut self) {
        self.at += 1;
    }

    /// The next key of an object and its colon; `None` past the closing brace.
    pub(super) fn key(&mut self, first: bool) -> Read<Option<Cow<'a, str>>> {
        self.skip_space();
        match (self.byte(), first) {
            (Some(b'}'), _) => {
                self.at += 1;
                return Ok(None);
            }
            (_, true) => {}
            (Some(b','), false) => {
                self.at += 1;
                self.skip_space();
            }
            _ => return self.unexpected("after object key:value pair"),
        }
        if self.byte() != Some(b'"') {
            return self.unexpected("looking for beginning of object key string");
        }
        let key = self.string()?;
        self.skip_space();
        if self.byte() != Some(b':') {
            return self.unexpected("after object key");
        }
        self.at += 1;
        Ok(Some(key))
    }

    /// Whether another item of a list follows; if not, past the closing bracket.
    pub(super) fn item(&mut self, first: bool) -> Read<bool> {
        self.skip_space();
        match (self.byte(), first) {
            (Some(b']'), _) => {
                self.at += 1;
                Ok(false)
            }
            (_, true) => Ok(true),
            (Some(b','), false) => {
                self.at += 1;
                Ok(true)
            }
            _ => self.unexpected("after array element"),
        }
    }

    /// The word `true`, `false` or `null` that `peek` saw the beginning of.
    pub(super) fn word(&mut self, word: &'static str) -> Read<()> {
        for expected in word.chars() {
            if self.byte() != Some(expected as u8) {
                return self.unexpected(&format!("in literal {word} (expecting '{expected}')"));
            }
            self.at += 1;
        }
        Ok(())
    }

    /// The number that `peek` saw the beginning of, as it is written.
    pub(super) fn number(&mut self) -> Read<&'a str> {
        let start = self.at;
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        match self.byte() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return self.unexpected("in numeric literal"),
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            if !self.byte().is_some_and(|b| b.is_ascii_digit()) {
                return self.unexpected("after decimal point in numeric literal");
            }
            self.digits();
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.byte(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if !self.byte().is_some_and(|b| b.is_ascii_digit()) {
                return self.unexpected("in exponent of numeric literal");
            }
            self.digits();
        }
        Ok(&self.text[start..self.at])
    }

    fn digits(&mut self) {
        while self.byte().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
    }

    /// The string that begins here, unescaped.
    pub(super) fn string(&mut self) -> Read<Cow<'a, str>> {
        let start = self.at + 1;
        let bytes = self.text.as_bytes();
        let length = scan::find(&bytes[start..], [b'"', b'\\']);
        self.at = length.map_or(bytes.len(), |n| start + n);
        match self.byte() {
            Some(b'"') => {
                self.at += 1;
                Ok(Cow::Borrowed(&self.text[start..self.at - 1]))
            }
            Some(b'\\') => self.escaped(start).map(Cow::Owned),
            _ => self.unexpected("in string literal"),
        }
    }

    /// The rest of a string with escapes, the first of which is here.
    fn escaped(&mut self, start: usize) -> Read<String> {
        let mut text = String::from(&self.text[start..self.at]);
        loop {
            match self.byte() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => {
                    self.at += 1;
                    text.push(self.escape()?);
                }
                Some(0x20..) => {
                    let rest = &self.text.as_bytes()[self.at..];
                    let end = self.at + scan::find(rest, [b'"', b'\\']).unwrap_or(rest.len());
                    text.push_str(&self.text[self.at..end]);
                    self.at = end;
                }
                _ => return self.unexpected("in string literal"),
            }
        }
    }

    /// The character that an escape stands for, its backslash read. Lone surrogates become U+FFFD, as in Go.
    fn escape(&mut self) -> Read<char> {
        let char = match self.byte() {
            Some(b @ (b'"' | b'\\' | b'/')) => b as char,
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode();
            }
            _ => return self.unexpected("in string escape code"),
        };
        self.at += 1;
        Ok(char)
    }

    fn unicode(&mut self) -> Read<char> {
        let first = self.hex()?;
        if (0xd800..0xdc00).contains(&first) && self.text[self.at..].starts_with("\\u") {
            let back = self.at;
            self.at += 2;
            let second = self.hex()?;
            if (0xdc00..0xe000).contains(&second) {
                let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = back;
        }
        Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex(&mut self) -> Read<u32> {
        let mut code = 0;
        for _ in 0..4 {
            let Some(digit) = self.byte().and_then(|b| (b as char).to_digit(16)) else {
                return self.unexpected("in \\u hexadecimal character escape");
            };
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }
}
