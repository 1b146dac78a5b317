//! One line of a log.

use jiff::Timestamp;

/// Where a container wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Its standard output.
    Stdout,
    /// Its standard error.
    Stderr,
}

/// One line, or a part of one.
#[derive(Clone, Debug, PartialEq)]
pub struct Line<'a> {
    /// When it was written, as the runtime says it.
    pub time: &'a str,
    /// Where.
    pub stream: Stream,
    /// Whether the rest of the line follows.
    pub partial: bool,
    /// What, without the newline.
    pub content: &'a [u8],
}

// === impl Line ===

impl<'a> Line<'a> {
    /// Reads one line of the file; `None` if it is broken.
    pub fn parse(raw: &'a [u8]) -> Option<Line<'a>> {
        let raw = raw.strip_suffix(b"\n")?;
        let mut parts = raw.splitn(4, |byte| *byte == b' ');
        let time = std::str::from_utf8(parts.next()?).ok()?;
        let stream = match parts.next()? {
            b"stdout" => Stream::Stdout,
            b"stderr" => Stream::Stderr,
            _ => return None,
        };
        let partial = parts.next()?.split(|byte| *byte == b':').next() == Some(b"P");
        Some(Line { time, stream, partial, content: parts.next().unwrap_or_default() })
    }

    /// What was written, with its newline if that was written as well.
    pub fn text(&self) -> Vec<u8> {
        let mut text = self.content.to_vec();
        if !self.partial {
            text.push(b'\n');
        }
        text
    }

    /// When it was written.
    pub fn timestamp(&self) -> Option<Timestamp> {
        self.time.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let line = Line::parse(b"2026-01-01T00:00:00.123456789Z stderr P a b \n").unwrap();
        assert_eq!((line.stream, line.partial, line.content), (Stream::Stderr, true, &b"a b "[..]));
        assert!(line.timestamp().is_some());
        assert_eq!(Line::parse(b"2026-01-01T00:00:00Z stdout F \n").unwrap().text(), b"\n");
        assert_eq!(Line::parse(b"2026-01-01T00:00:00Z stdout F half"), None);
    }
}
