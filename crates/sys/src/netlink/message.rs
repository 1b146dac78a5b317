//! Netlink's bytes: messages of attributes, each aligned to four bytes (RFC 3549, linux/netlink.h).

/// Has to be set on everything that is sent to the kernel.
pub const REQUEST: u16 = 0x1;
/// Asks for a message that says how it went.
pub const ACK: u16 = 0x4;
/// Asks for everything there is.
pub const DUMP: u16 = 0x300;
/// Replaces what is there.
pub const REPLACE: u16 = 0x100;
/// Refuses when it is there.
pub const EXCLUSIVE: u16 = 0x200;
/// Makes it when it is not there.
pub const CREATE: u16 = 0x400;
/// Puts it after what is there.
pub const APPEND: u16 = 0x800;

/// Message type: how a request went.
pub const ERROR: u16 = 2;
/// Message type: the end of a dump.
pub const DONE: u16 = 3;

/// The flag of an attribute that holds attributes.
const NESTED: u16 = 0x8000;
/// What is left of an attribute's type without its flags.
const TYPE_MASK: u16 = 0x3fff;

/// Bytes of a message's header.
const HEADER: usize = 16;
/// Bytes of an attribute's header.
const ATTRIBUTE_HEADER: usize = 4;

/// Writes messages one after another.
#[derive(Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

/// A message as it was received.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// What it is.
    pub kind: u16,
    /// The request that it answers.
    pub sequence: u32,
    /// All behind the header.
    pub payload: &'a [u8],
}

/// Iterator of [`messages`].
pub struct Messages<'a>(&'a [u8]);

/// Iterator of [`attributes`].
pub struct Attributes<'a>(&'a [u8]);

/// The messages in `bytes`; stops at the first that is cut short.
pub fn messages(bytes: &[u8]) -> Messages<'_> {
    Messages(bytes)
}

/// The attributes in `bytes`, as types and values; stops at the first that is cut short.
pub fn attributes(bytes: &[u8]) -> Attributes<'_> {
    Attributes(bytes)
}

/// The attribute of type `kind` in `bytes`.
pub fn attribute(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(k, _)| *k == kind).map(|(_, value)| value)
}

/// The attribute at the end of `path`, through attributes that hold attributes.
pub fn nested<'a>(bytes: &'a [u8], path: &[u16]) -> Option<&'a [u8]> {
    path.iter().try_fold(bytes, |bytes, kind| attribute(bytes, *kind))
}

/// A number of the machine's byte order.
pub fn u32_of(value: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(value.get(..4)?.try_into().ok()?))
}

/// A number of the network's byte order.
pub fn be16_of(value: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(value.get(..2)?.try_into().ok()?))
}

/// A text that ends with a zero byte.
pub fn text_of(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value.split(|byte| *byte == 0).next()?).ok()
}

const fn aligned(length: usize) -> usize {
    (length + 3) & !3
}

// === impl Writer ===

impl Writer {
    /// What has been written.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Writes a message: its fixed `header`, then what `body` writes.
    pub fn message(
        &mut self,
        kind: u16,
        flags: u16,
        sequence: u32,
        header: &[u8],
        body: impl FnOnce(&mut Writer),
    ) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&flags.to_ne_bytes());
        self.bytes.extend_from_slice(&sequence.to_ne_bytes());
        self.bytes.extend_from_slice(&0u32.to_ne_bytes());
        self.raw(header);
        body(self);
        let length = u32::try_from(self.bytes.len() - start).expect("no message comes near 4 GiB");
        self.bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
    }

    /// Writes bytes as they are, then up to three zeros.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.bytes.resize(aligned(self.bytes.len()), 0);
    }

    /// Writes an attribute.
    pub fn attribute(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(ATTRIBUTE_HEADER + value.len()).expect("an attribute is at most 64 KiB");
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.raw(value);
    }

    /// Writes an attribute that holds what `body` writes. All of it has to be less than 64 KiB.
    pub fn nested(&mut self, kind: u16, body: impl FnOnce(&mut Writer)) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 2]);
        self.bytes.extend_from_slice(&(kind | NESTED).to_ne_bytes());
        body(self);
        let length = u16::try_from(self.bytes.len() - start).expect("an attribute is at most 64 KiB");
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    }

    /// Writes a text with the zero that ends it.
    pub fn text(&mut self, kind: u16, text: &str) {
        let length =
            u16::try_from(ATTRIBUTE_HEADER + text.len() + 1).expect("an attribute is at most 64 KiB");
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(text.as_bytes());
        self.raw(&[0]);
    }

    /// Writes a byte.
    pub fn u8(&mut self, kind: u16, value: u8) {
        self.attribute(kind, &[value]);
    }

    /// Writes a number of the machine's byte order.
    pub fn u32(&mut self, kind: u16, value: u32) {
        self.attribute(kind, &value.to_ne_bytes());
    }

    /// Writes a number of the network's byte order.
    pub fn be32(&mut self, kind: u16, value: u32) {
        self.attribute(kind, &value.to_be_bytes());
    }

    /// Writes a number of the network's byte order.
    pub fn be64(&mut self, kind: u16, value: u64) {
        self.attribute(kind, &value.to_be_bytes());
    }
}

// === impl Messages ===

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let length = u32_of(self.0)? as usize;
        // An error that carries a large request back may have been cut; its head is enough.
        let end = length.min(self.0.len());
        let payload = self.0.get(HEADER..end)?;
        let kind = u16::from_ne_bytes(self.0.get(4..6)?.try_into().ok()?);
        let sequence = u32_of(&self.0[8..])?;
        self.0 = self.0.get(aligned(length)..).unwrap_or_default();
        Some(Message { kind, sequence, payload })
    }
}

// === impl Attributes ===

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<(u16, &'a [u8])> {
        let length = u16::from_ne_bytes(self.0.get(..2)?.try_into().ok()?) as usize;
        let kind = u16::from_ne_bytes(self.0.get(2..4)?.try_into().ok()?) & TYPE_MASK;
        let value = self.0.get(ATTRIBUTE_HEADER..length)?;
        self.0 = self.0.get(aligned(length)..).unwrap_or_default();
        Some((kind, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut writer = Writer::default();
        writer.message(7, REQUEST, 3, &[1, 2], |w| {
            w.text(1, "eth0");
            w.nested(2, |w| {
                w.u32(1, 9);
                w.be32(2, 9);
            });
        });
        writer.message(8, REQUEST, 4, &[], |_| {});
        let all: Vec<Message> = messages(writer.bytes()).collect();
        assert_eq!(all.iter().map(|m| (m.kind, m.sequence)).collect::<Vec<_>>(), [(7, 3), (8, 4)]);
        let body = &all[0].payload[4..];
        assert_eq!(attribute(body, 1).and_then(text_of), Some("eth0"));
        assert_eq!(nested(body, &[2, 1]).and_then(u32_of), Some(9));
        assert_eq!(nested(body, &[2, 2]), Some(&[0, 0, 0, 9][..]));
        assert_eq!(attribute(body, 3), None);
    }

    #[test]
    fn what_is_cut_short_ends_the_reading() {
        let mut writer = Writer::default();
        writer.message(7, 0, 1, &[], |w| w.u32(1, 9));
        for length in 0..writer.bytes().len() {
            for message in messages(&writer.bytes()[..length]) {
                assert!(attributes(message.payload).next().is_none());
            }
        }
        assert_eq!(attributes(&[0, 0, 1, 0]).count(), 0);
    }
}
