//! The bytes of the log: records, and frames that hold the records of one append.
//!
//! ```text
//! record  kind u8 | key length u16 | value length u32 | revision u64 | key | value         little endian
//! frame   crc32c u32 | payload length u32 | number u64 | payload | zeros up to 8 bytes
//! ```
//! A frame's checksum covers all but itself, and begins with its segment's nonce: bytes left over from a former
//! life of the file, or chosen by a client, are never taken for a frame. Frames are numbered without gaps through
//! all segments. One frame is one append and one sync, so nothing in it is acknowledged before all of it is there.

use thiserror::Error;

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// An object was written.
    Put = 1,
    /// An object was removed; its last body is the one it had.
    Delete = 2,
    /// An object was removed; its last body is the value.
    DeleteAs = 3,
    /// An object, written at that earlier revision, is still there: a copy from a segment that goes.
    Keep = 4,
    /// History up to the revision is forgotten.
    Compact = 5,
    /// Segments were given back: what came before the revision is no longer whole.
    Floor = 6,
    /// The store was closed: the frame before this one was complete.
    Close = 7,
}

/// One record, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub kind: Kind,
    pub revision: u64,
    pub key: &'a str,
    pub value: &'a [u8],
}

/// A frame's payload does not consist of records: only other software can have written it.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("a record cannot be read")]
pub(crate) struct Malformed;

/// A frame being built. Its buffer is used again for the next one.
#[derive(Default)]
pub(crate) struct FrameBuilder {
    bytes: Vec<u8>,
}

/// What a record takes beside its key and value.
const RECORD_HEADER_BYTES: usize = 15;
/// What a frame takes beside its payload, without padding.
pub(crate) const FRAME_HEADER_BYTES: usize = 16;
/// Where frames begin: at multiples of this.
pub(crate) const ALIGN_BYTES: usize = 8;

/// What a record takes.
pub(crate) fn op_bytes(key_len: usize, value_len: usize) -> usize {
    RECORD_HEADER_BYTES + key_len + value_len
}

// === impl Kind ===

impl Kind {
    fn from_byte(byte: u8) -> Option<Kind> {
        use Kind::*;
        [Put, Delete, DeleteAs, Keep, Compact, Floor, Close].into_iter().find(|kind| *kind as u8 == byte)
    }
}

// === impl FrameBuilder ===

impl FrameBuilder {
    /// Begins a frame in `buffer`, whose contents go.
    pub fn new(mut buffer: Vec<u8>) -> FrameBuilder {
        buffer.clear();
        buffer.resize(FRAME_HEADER_BYTES, 0);
        FrameBuilder { bytes: buffer }
    }

    /// Adds a record; `value` appends its bytes.
    pub fn record(&mut self, kind: Kind, revision: u64, key: &str, value: impl FnOnce(&mut Vec<u8>)) {
        let key_len = u16::try_from(key.len()).expect("the sequencer refuses longer keys");
        self.bytes.push(kind as u8);
        self.bytes.extend_from_slice(&key_len.to_le_bytes());
        let value_len_at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&revision.to_le_bytes());
        self.bytes.extend_from_slice(key.as_bytes());
        let value_at = self.bytes.len();
        value(&mut self.bytes);
        let value_len = (self.bytes.len() - value_at) as u32;
        self.bytes[value_len_at..value_len_at + 4].copy_from_slice(&value_len.to_le_bytes());
    }

    /// How long the frame is by now, without padding.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether it has no records.
    pub fn is_empty(&self) -> bool {
        self.bytes.len() == FRAME_HEADER_BYTES
    }

    /// The frame's bytes, padded, as frame `number` of the segment with `nonce`.
    pub fn finish(mut self, nonce: u64, number: u64) -> Vec<u8> {
        let payload_len = (self.bytes.len() - FRAME_HEADER_BYTES) as u32;
        self.bytes[4..8].copy_from_slice(&payload_len.to_le_bytes());
        self.bytes[8..16].copy_from_slice(&number.to_le_bytes());
        let crc = checksum(nonce, &self.bytes[4..]);
        self.bytes[..4].copy_from_slice(&crc.to_le_bytes());
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGN_BYTES), 0);
        self.bytes
    }
}

/// The payload of frame `number`, if `bytes` begin with it, and how many bytes the frame takes.
pub(crate) fn read_frame(bytes: &[u8], nonce: u64, number: u64) -> Option<(&[u8], usize)> {
    let payload_len = u32::from_le_bytes(*bytes.get(4..8)?.first_chunk()?) as usize;
    let frame = bytes.get(..FRAME_HEADER_BYTES.checked_add(payload_len)?)?;
    let found = frame_number(frame)? == number
        && u32::from_le_bytes(*frame.first_chunk()?) == checksum(nonce, &frame[4..]);
    found.then(|| (&frame[FRAME_HEADER_BYTES..], frame.len().next_multiple_of(ALIGN_BYTES)))
}

/// The number of the frame that `bytes` would begin with.
pub(crate) fn frame_number(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(8..16)?.first_chunk()?))
}

/// The records of a frame.
pub(crate) fn records(mut payload: &[u8]) -> impl Iterator<Item = Result<Record<'_>, Malformed>> {
    std::iter::from_fn(move || {
        if payload.is_empty() {
            return None;
        }
        let read = read_record(payload);
        payload = read.map_or(&[], |(_, rest)| rest);
        Some(read.map(|(record, _)| record).ok_or(Malformed))
    })
}

fn read_record(bytes: &[u8]) -> Option<(Record<'_>, &[u8])> {
    let (header, rest) = bytes.split_at_checked(RECORD_HEADER_BYTES)?;
    let key_len = u16::from_le_bytes(*header[1..].first_chunk()?) as usize;
    let value_len = u32::from_le_bytes(*header[3..].first_chunk()?) as usize;
    let revision = u64::from_le_bytes(*header[7..].first_chunk()?);
    let (key, rest) = rest.split_at_checked(key_len)?;
    let (value, rest) = rest.split_at_checked(value_len)?;
    let (kind, key) = (Kind::from_byte(header[0])?, std::str::from_utf8(key).ok()?);
    Some((Record { kind, revision, key, value }, rest))
}

fn checksum(nonce: u64, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&nonce.to_le_bytes()), bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Vec<u8> {
        let mut frame = FrameBuilder::new(vec![1, 2, 3]);
        assert!(frame.is_empty());
        frame.record(Kind::Put, 7, "/a/b", |out| out.extend_from_slice(b"{}"));
        frame.record(Kind::Delete, 8, "/a/c", |_| {});
        assert_eq!(frame.len(), FRAME_HEADER_BYTES + op_bytes(4, 2) + op_bytes(4, 0));
        frame.finish(99, 5)
    }

    #[test]
    fn a_frame_gives_back_its_records() {
        let bytes = frame();
        let (payload, len) = read_frame(&bytes, 99, 5).expect("a frame");
        assert_eq!((len, len % ALIGN_BYTES), (bytes.len(), 0));
        let records: Vec<_> = records(payload).collect::<Result<_, _>>().expect("well formed");
        assert_eq!(records[0], Record { kind: Kind::Put, revision: 7, key: "/a/b", value: b"{}" });
        assert_eq!(records[1], Record { kind: Kind::Delete, revision: 8, key: "/a/c", value: b"" });
        assert_eq!(records.len(), 2);
        assert_eq!(read_frame(&bytes, 98, 5), None, "another segment's");
        assert_eq!(read_frame(&bytes, 99, 6), None, "another frame's");
    }

    #[test]
    fn every_flipped_bit_and_every_missing_byte_is_noticed() {
        let bytes = frame();
        let whole = FRAME_HEADER_BYTES + op_bytes(4, 2) + op_bytes(4, 0);
        for bit in 0..whole * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read_frame(&bytes, 99, 5), None, "bit {bit}");
        }
        for len in 0..whole {
            assert_eq!(read_frame(&bytes[..len], 99, 5), None, "{len} bytes");
        }
    }

    #[test]
    fn payloads_of_other_software_are_refused() {
        for payload in [&b"\x09"[..], &[1; RECORD_HEADER_BYTES], &[9; 40]] {
            assert!(records(payload).any(|record| record.is_err()), "{payload:?}");
        }
    }
}
