//! Domain names as they travel: length-prefixed labels, at most 255 bytes, compared without regard to case.

use std::sync::Arc;

/// A domain name, in lower case. Cloning shares it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<[u8]>);

/// A name that is being put together.
struct Builder {
    bytes: [u8; MAX],
    len: usize,
}

/// The length of the longest name.
pub const MAX: usize = 255;
/// The length of the longest label.
const MAX_LABEL: usize = 63;
/// How often a name may point elsewhere; what is longer goes in circles.
const MAX_POINTERS: usize = 16;

// === impl Name ===

impl Name {
    /// The root.
    pub fn root() -> Name {
        Builder::new().finish()
    }

    /// Reads the name at `at` in `packet`, following compression pointers; returns where it ends in the packet.
    pub fn read(packet: &[u8], at: usize) -> Option<(Name, usize)> {
        let (mut name, mut at, mut end, mut pointers) = (Builder::new(), at, None, 0);
        loop {
            let length = usize::from(*packet.get(at)?);
            match length {
                0 => return Some((name.finish(), end.unwrap_or(at + 1))),
                1..=MAX_LABEL => {
                    name.push(packet.get(at + 1..at + 1 + length)?)?;
                    at += 1 + length;
                }
                0xc0.. => {
                    let low = usize::from(*packet.get(at + 1)?);
                    end = end.or(Some(at + 2));
                    pointers += 1;
                    let to = (length & 0x3f) << 8 | low;
                    // Only backwards, and not for ever.
                    if to >= at || pointers > MAX_POINTERS {
                        return None;
                    }
                    at = to;
                }
                _ => return None,
            }
        }
    }

    /// From text, such as `web.default.svc.cluster.local`, with or without a dot at the end.
    pub fn parse(text: &str) -> Option<Name> {
        let mut name = Builder::new();
        for label in
            text.strip_suffix('.').unwrap_or(text).split('.').filter(|_| !text.is_empty() && text != ".")
        {
            name.push(label.as_bytes())?;
        }
        Some(name.finish())
    }

    /// `label.self`.
    pub fn under(&self, label: &str) -> Option<Name> {
        let mut name = Builder::new();
        name.push(label.as_bytes())?;
        self.labels().try_for_each(|label| name.push(label))?;
        Some(name.finish())
    }

    /// As it is written on the wire.
    pub fn wire(&self) -> &[u8] {
        &self.0
    }

    /// The labels from the left.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.wire();
        std::iter::from_fn(move || {
            let (length, tail) = rest.split_first().filter(|(length, _)| **length > 0)?;
            let (label, tail) = tail.split_at(usize::from(*length));
            rest = tail;
            Some(label)
        })
    }

    /// The length of what stands before `zone`; `None` if this name is not within it.
    pub fn within(&self, zone: &Name) -> Option<usize> {
        let start = self.wire().len().checked_sub(zone.wire().len())?;
        let mut at = 0;
        while at < start {
            at += 1 + usize::from(self.0[at]);
        }
        (at == start && self.wire()[start..] == *zone.wire()).then_some(start)
    }

    /// The labels that stand before `zone`, from the left; `None` if this name is not within it. A label that is no
    /// text reads as an empty one, which nothing is called.
    pub fn labels_before(&self, zone: &Name) -> Option<Vec<&str>> {
        let mut left = self.within(zone)?;
        let before = self.labels().take_while(|label| {
            let within = left > 0;
            left = left.saturating_sub(1 + label.len());
            within
        });
        Some(before.map(|label| std::str::from_utf8(label).unwrap_or_default()).collect())
    }
}

// === impl Builder ===

impl Builder {
    fn new() -> Builder {
        Builder { bytes: [0; MAX], len: 0 }
    }

    /// Puts `label` behind the others. There is always room left for the root.
    fn push(&mut self, label: &[u8]) -> Option<()> {
        let end = self.len + 1 + label.len();
        if label.is_empty() || label.len() > MAX_LABEL || end >= MAX {
            return None;
        }
        self.bytes[self.len] = label.len() as u8;
        self.bytes[self.len + 1..end].copy_from_slice(label);
        self.bytes[self.len + 1..end].make_ascii_lowercase();
        self.len = end;
        Some(())
    }

    fn finish(self) -> Name {
        Name(self.bytes[..=self.len].into())
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        if self.wire().len() == 1 {
            return f.write_str(".");
        }
        self.labels().try_for_each(|label| write!(f, "{}.", label.escape_ascii()))
    }
}

impl std::fmt::Debug for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    #[test]
    fn texts() {
        assert_eq!(name("A.b.C").to_string(), "a.b.c.");
        assert_eq!(name("a.b."), name("a.b"));
        assert_eq!((name("."), name("")), (Name::root(), Name::root()));
        assert_eq!(Name::parse("a..b"), None);
        assert_eq!(Name::parse(&"a".repeat(64)), None);
        assert_eq!(Name::parse(&["a"; 127].join(".")).map(|name| name.wire().len()), Some(255));
        assert_eq!(Name::parse(&["a"; 128].join(".")), None);
        assert_eq!(name("b.c").under("a"), Some(name("a.b.c")));
    }

    #[test]
    fn zones() {
        let zone = name("cluster.local");
        assert_eq!(name("a.b.cluster.local").labels_before(&zone), Some(vec!["a", "b"]));
        assert_eq!(name("Cluster.LOCAL").labels_before(&zone), Some(vec![]));
        assert_eq!(name("xcluster.local").labels_before(&zone), None);
        assert_eq!(name("local").labels_before(&zone), None);
        assert_eq!(name("a.b").labels_before(&Name::root()), Some(vec!["a", "b"]));
    }

    #[test]
    fn pointers_go_backwards_and_end() {
        let packet = b"\x01a\x00\x01b\xc0\x00\xc0\x07\xc0\x0b\x01c\xff";
        assert_eq!(Name::read(packet, 3), Some((name("b.a"), 7)));
        assert_eq!(Name::read(packet, 7), None, "to itself");
        assert_eq!(Name::read(packet, 9), None, "forwards");
        assert_eq!(Name::read(packet, 11), None, "cut off");
        assert_eq!(Name::read(packet, 99), None);
    }
}
