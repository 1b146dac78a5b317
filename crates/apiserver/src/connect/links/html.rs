//! Finds the links in HTML as it passes by (upstream's `rewriteHTML`; golang.org/x/net/html for what is a tag and what
//! is text, of which this knows as much as that needs).
//!
//! Every byte goes out as it came in, but for the values of attributes that hold links: these wait until they are whole.

use std::io::{self, Write};

use super::site::Site;

/// Longest value that waits; a longer one goes out as it is.
const VALUE_BYTES_MAX: usize = 8 * 1024;
/// Longest name of a tag or an attribute that is of interest, and one more.
const NAME_BYTES_MAX: usize = 12;

/// Which attributes of which elements hold links.
const LINKS: [(&str, &[&str]); 25] = [
    ("a", &["href"]),
    ("applet", &["codebase"]),
    ("area", &["href"]),
    ("audio", &["src"]),
    ("base", &["href"]),
    ("blockquote", &["cite"]),
    ("body", &["background"]),
    ("button", &["formaction"]),
    ("command", &["icon"]),
    ("del", &["cite"]),
    ("embed", &["src"]),
    ("form", &["action"]),
    ("frame", &["longdesc", "src"]),
    ("head", &["profile"]),
    ("html", &["manifest"]),
    ("iframe", &["longdesc", "src"]),
    ("img", &["longdesc", "src", "usemap"]),
    ("input", &["src", "usemap", "formaction"]),
    ("ins", &["cite"]),
    ("link", &["href"]),
    ("object", &["classid", "codebase", "data", "usemap"]),
    ("q", &["cite"]),
    ("script", &["src"]),
    ("source", &["src"]),
    ("video", &["poster", "src"]),
];

/// Elements whose content is text up to their end tag, whatever stands in it.
const RAW: [&str; 10] =
    ["iframe", "noembed", "noframes", "noscript", "plaintext", "script", "style", "textarea", "title", "xmp"];

/// Writes HTML on to `W` with its links changed as the site has it.
pub struct Links<W> {
    out: W,
    site: Site,
    state: State,
    /// The name of the tag that is being read, in lower case.
    tag: Vec<u8>,
    is_end: bool,
    /// The name of its attribute, likewise.
    attribute: Vec<u8>,
    /// The attribute's value, while it waits.
    value: Vec<u8>,
    /// Bytes to go out at the end of this write.
    ready: Vec<u8>,
}

/// Where in the page it is.
#[derive(Clone, Debug)]
enum State {
    Text,
    /// After `<`.
    Open,
    /// After `</`.
    OpenEnd,
    TagName,
    /// Before an attribute or the end of the tag.
    Between,
    AttributeName,
    /// After the name and white space.
    AttributeNamed,
    /// After `=`.
    BeforeValue,
    /// In a value: what ends it (`None`: white space), and whether it waits.
    Value {
        quote: Option<u8>,
        waits: bool,
    },
    /// After `<!` and so many dashes.
    Markup {
        dashes: u8,
    },
    /// In a comment, after so many dashes, and maybe an exclamation mark.
    Comment {
        dashes: u8,
        bang: bool,
    },
    /// Up to `>`.
    Bogus,
    Raw(Raw),
}

/// Within an element whose content is text.
#[derive(Clone, Debug)]
struct Raw {
    name: &'static str,
    /// What was read since the last `<`, in lower case.
    tail: Vec<u8>,
    /// Scripts may hide their end in a comment.
    hidden: Hidden,
    dashes: u8,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Hidden {
    No,
    /// Within `<!--`.
    Comment,
    /// Within `<script>` in it.
    Script,
}

// === impl Links ===

impl<W: Write> Links<W> {
    /// Starts with a page's first byte.
    pub fn new(out: W, site: Site) -> Links<W> {
        Links {
            out,
            site,
            state: State::Text,
            tag: Vec::new(),
            is_end: false,
            attribute: Vec::new(),
            value: Vec::new(),
            ready: Vec::new(),
        }
    }

    /// Where it writes to.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.out
    }

    /// The page has ended.
    pub fn finish(mut self) -> io::Result<W> {
        self.ready.append(&mut self.value);
        self.out.write_all(&self.ready)?;
        Ok(self.out)
    }

    fn byte(&mut self, byte: u8) {
        let is_space = matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | 0x0c);
        match &mut self.state {
            State::Value { quote, waits } => {
                let (quote, waits) = (*quote, *waits);
                return self.in_value(byte, is_space, quote, waits);
            }
            State::Raw(raw) => {
                if let Some(next) = raw.byte(byte, is_space) {
                    (self.tag, self.is_end, self.state) = (Vec::new(), true, next);
                }
            }
            State::Comment { dashes, bang } => match byte {
                b'>' if *dashes >= 2 || *bang => self.state = State::Text,
                b'-' => (*dashes, *bang) = (dashes.saturating_add(1), false),
                b'!' if *dashes >= 2 => (*dashes, *bang) = (0, true),
                _ => (*dashes, *bang) = (0, false),
            },
            State::Markup { dashes } => match (byte, *dashes) {
                // As if two dashes had come before: `<!-->` is a comment, too.
                (b'-', 1) => self.state = State::Comment { dashes: 2, bang: false },
                (b'-', _) => *dashes += 1,
                (b'>', _) => self.state = State::Text,
                _ => self.state = State::Bogus,
            },
            State::Bogus | State::Text => match (byte, &self.state) {
                (b'>', State::Bogus) => self.state = State::Text,
                (b'<', State::Text) => self.state = State::Open,
                _ => {}
            },
            State::Open => self.opened(byte),
            State::OpenEnd => match byte {
                b'a'..=b'z' | b'A'..=b'Z' => self.tag_named(byte, true),
                b'>' => self.state = State::Text,
                _ => self.state = State::Bogus,
            },
            _ => return self.in_tag(byte, is_space),
        }
        self.ready.push(byte);
    }

    fn opened(&mut self, byte: u8) {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => self.tag_named(byte, false),
            b'/' => self.state = State::OpenEnd,
            b'!' => self.state = State::Markup { dashes: 0 },
            b'?' => self.state = State::Bogus,
            b'<' => {}
            _ => self.state = State::Text,
        }
    }

    fn tag_named(&mut self, first: u8, is_end: bool) {
        self.is_end = is_end;
        self.tag.clear();
        self.tag.push(first.to_ascii_lowercase());
        self.state = State::TagName;
    }

    /// Between the name of a tag and its end, outside of values.
    fn in_tag(&mut self, byte: u8, is_space: bool) {
        match (byte, &self.state) {
            (b'>', _) => self.end_tag(),
            (_, State::BeforeValue) if !is_space => return self.begin_value(byte),
            (b'/', _) => self.state = State::Between,
            (b'=', State::AttributeName | State::AttributeNamed) => self.state = State::BeforeValue,
            (_, State::TagName) if is_space => self.state = State::Between,
            (_, State::AttributeName) if is_space => self.state = State::AttributeNamed,
            _ if is_space => {}
            (_, State::TagName) => push_name(&mut self.tag, byte),
            (_, State::AttributeName) => push_name(&mut self.attribute, byte),
            _ => {
                self.attribute.clear();
                push_name(&mut self.attribute, byte);
                self.state = State::AttributeName;
            }
        }
        self.ready.push(byte);
    }

    fn begin_value(&mut self, byte: u8) {
        let waits = !self.is_end && holds_link(&self.tag, &self.attribute);
        let quote = matches!(byte, b'"' | b'\'').then_some(byte);
        self.state = State::Value { quote, waits };
        match quote {
            Some(quote) => self.ready.push(quote),
            None => self.in_value(byte, false, None, waits),
        }
    }

    fn in_value(&mut self, byte: u8, is_space: bool, quote: Option<u8>, waits: bool) {
        let ends = match quote {
            Some(quote) => byte == quote,
            None => is_space || byte == b'>',
        };
        if !ends {
            let to = if waits { &mut self.value } else { &mut self.ready };
            to.push(byte);
            if self.value.len() > VALUE_BYTES_MAX {
                self.ready.append(&mut self.value);
                self.state = State::Value { quote, waits: false };
            }
            return;
        }
        if waits {
            self.end_value();
        }
        self.ready.push(byte);
        self.state = State::Between;
        if quote.is_none() && byte == b'>' {
            self.end_tag();
        }
    }

    fn end_value(&mut self) {
        let value = std::mem::take(&mut self.value);
        let changed = std::str::from_utf8(&value).ok().and_then(|text| {
            // What is no link stays as it is.
            self.site.link(&unescaped(text)).ok().flatten()
        });
        match changed {
            Some(link) => self.ready.extend_from_slice(escaped(&link).as_bytes()),
            None => self.ready.extend_from_slice(&value),
        }
    }

    fn end_tag(&mut self) {
        let raw = RAW.iter().find(|name| !self.is_end && name.as_bytes() == self.tag.as_slice());
        self.state = match raw {
            Some(name) => State::Raw(Raw { name, tail: Vec::new(), hidden: Hidden::No, dashes: 0 }),
            None => State::Text,
        };
    }
}

impl<W: Write> Write for Links<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for byte in bytes {
            self.byte(*byte);
        }
        self.out.write_all(&self.ready)?;
        self.ready.clear();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

// === impl Raw ===

impl Raw {
    /// Reads on; the state after it, if the element ends here.
    fn byte(&mut self, byte: u8, is_space: bool) -> Option<State> {
        if is_space || matches!(byte, b'/' | b'>') {
            let tail = std::mem::take(&mut self.tail);
            let closes = tail.strip_prefix(b"</").is_some_and(|name| name == self.name.as_bytes());
            match (closes, self.hidden) {
                (true, Hidden::Script) => self.hidden = Hidden::Comment,
                (true, _) if self.name != "plaintext" => {
                    return Some(if byte == b'>' { State::Text } else { State::Between });
                }
                (false, Hidden::Comment) if tail == b"<script" => self.hidden = Hidden::Script,
                _ => {}
            }
            if byte == b'/' && tail == b"<" {
                self.tail = b"</".to_vec();
            }
        } else if byte == b'<' {
            self.tail = vec![b'<'];
        } else if !self.tail.is_empty() {
            self.tail.push(byte.to_ascii_lowercase());
            if self.tail.len() > NAME_BYTES_MAX {
                self.tail.clear();
            }
        }
        self.hide(byte);
        None
    }

    fn hide(&mut self, byte: u8) {
        match byte {
            b'-' => self.dashes = self.dashes.saturating_add(1),
            b'>' if self.dashes >= 2 => (self.hidden, self.dashes) = (Hidden::No, 0),
            _ => self.dashes = 0,
        }
        if self.tail == b"<!--" && self.hidden == Hidden::No && self.name == "script" {
            (self.hidden, self.dashes) = (Hidden::Comment, 2);
            self.tail.clear();
        }
    }
}

fn push_name(name: &mut Vec<u8>, byte: u8) {
    if name.len() < NAME_BYTES_MAX {
        name.push(byte.to_ascii_lowercase());
    }
}

fn holds_link(tag: &[u8], attribute: &[u8]) -> bool {
    let found = LINKS.iter().find(|(name, _)| name.as_bytes() == tag);
    found.is_some_and(|(_, attributes)| attributes.iter().any(|name| name.as_bytes() == attribute))
}

/// A value with its references to printable ASCII resolved, but for ampersands: whatever else begins with one stays a
/// reference, so that it goes out as it came in.
fn unescaped(value: &str) -> String {
    let mut plain = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = rest.find('&') {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        let whole = rest.find(';').filter(|end| *end <= NAME_BYTES_MAX);
        let resolved = whole.and_then(|end| Some((end + 1, reference(&rest[1..end])?)));
        match resolved {
            Some((length, '&')) => {
                plain.push_str("&amp;");
                rest = &rest[length..];
            }
            Some((length, character)) => {
                plain.push(character);
                rest = &rest[length..];
            }
            None => {
                plain.push('&');
                rest = &rest[1..];
            }
        }
    }
    plain.push_str(rest);
    plain
}

fn reference(name: &str) -> Option<char> {
    let number = match name.strip_prefix('#') {
        Some(digits) => match digits.strip_prefix(['x', 'X']) {
            Some(digits) => u32::from_str_radix(digits, 16).ok()?,
            None => digits.parse().ok()?,
        },
        None => match name {
            "amp" => return Some('&'),
            "lt" => return Some('<'),
            "gt" => return Some('>'),
            "quot" => return Some('"'),
            "apos" => return Some('\''),
            "sol" => return Some('/'),
            "colon" => return Some(':'),
            _ => return None,
        },
    };
    char::from_u32(number).filter(char::is_ascii_graphic)
}

fn escaped(link: &str) -> String {
    let mut whole = String::with_capacity(link.len());
    for character in link.chars() {
        match character {
            '"' => whole.push_str("&#34;"),
            '\'' => whole.push_str("&#39;"),
            '<' => whole.push_str("&lt;"),
            '>' => whole.push_str("&gt;"),
            other => whole.push(other),
        }
    }
    whole
}
