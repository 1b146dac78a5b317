//! A segment: one file of the log. Its name, its header, and the frames in it.
//!
//! The header stands there twice, in sectors of their own, and is durable before the file gets its name; frames
//! begin at [`FRAMES_AT`]. The file is allocated in full, so that appends move no metadata; a segment that is
//! cleaned becomes the space of a later one, which is why what is behind the last frame means nothing.

use super::record::{ALIGN_BYTES, FRAME_HEADER_BYTES, frame_number, read_frame};

/// What a segment begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Segments are numbered without gaps.
    pub number: u64,
    /// A random number that the checksums of its frames begin with.
    pub nonce: u64,
    /// The number of its first frame.
    pub first_frame: u64,
    /// The newest revision before it.
    pub revision: u64,
}

/// Reads the frames of a segment one after the other.
pub(crate) struct Frames<'a> {
    bytes: &'a [u8],
    nonce: u64,
    /// Where the next frame begins.
    pub at: usize,
    /// The number of the next frame.
    pub number: u64,
}

/// The format of the data directory; [`super::recover`] refuses others.
pub(crate) const FORMAT: u32 = 1;
/// Where the first frame begins.
pub(crate) const FRAMES_AT: usize = 1024;

const MAGIC: &[u8; 8] = b"decapod\n";
const HEADER_BYTES: usize = 48;
const HEADERS_AT: [usize; 2] = [0, 512];
/// More frames than a segment can hold.
const FRAMES_MAX: u64 = 1 << 32;

/// The file name of segment `number`.
pub(crate) fn segment_name(number: u64) -> String {
    format!("log-{number:020}")
}

/// The file name of a file allocated ahead.
pub(crate) fn spare_name(id: u64) -> String {
    format!("spare-{id:020}")
}

/// The number in a file name that [`segment_name`] or [`spare_name`] made.
pub(crate) fn numbered(name: &str, prefix: &str) -> Option<u64> {
    name.strip_prefix(prefix)?.parse().ok()
}

// === impl Header ===

impl Header {
    /// The first bytes of the file.
    pub fn write(&self) -> Vec<u8> {
        let mut header = [0; HEADER_BYTES];
        header[..8].copy_from_slice(MAGIC);
        header[12..16].copy_from_slice(&FORMAT.to_le_bytes());
        for (at, field) in [(16, self.number), (24, self.nonce), (32, self.first_frame), (40, self.revision)]
        {
            header[at..at + 8].copy_from_slice(&field.to_le_bytes());
        }
        let crc = crc32c::crc32c(&header[12..]);
        header[8..12].copy_from_slice(&crc.to_le_bytes());
        let mut bytes = vec![0; FRAMES_AT];
        for at in HEADERS_AT {
            bytes[at..at + HEADER_BYTES].copy_from_slice(&header);
        }
        bytes
    }

    /// The header of segment `number`, from either of its places.
    pub fn read(bytes: &[u8], number: u64) -> Option<Header> {
        let headers = HEADERS_AT.iter().filter_map(|at| Header::read_at(bytes.get(*at..)?));
        headers.into_iter().find(|header| header.number == number)
    }

    fn read_at(bytes: &[u8]) -> Option<Header> {
        let header: &[u8; HEADER_BYTES] = bytes.first_chunk()?;
        let u32_at = |at: usize| Some(u32::from_le_bytes(*header[at..].first_chunk()?));
        let u64_at = |at: usize| Some(u64::from_le_bytes(*header[at..].first_chunk()?));
        let valid =
            header.starts_with(MAGIC) && u32_at(8)? == crc32c::crc32c(&header[12..]) && u32_at(12)? == FORMAT;
        let header = || {
            Some(Header {
                number: u64_at(16)?,
                nonce: u64_at(24)?,
                first_frame: u64_at(32)?,
                revision: u64_at(40)?,
            })
        };
        if valid { header() } else { None }
    }

    /// The frames of the segment whose file holds `bytes`.
    pub fn frames<'a>(&self, bytes: &'a [u8]) -> Frames<'a> {
        Frames { bytes, nonce: self.nonce, at: FRAMES_AT, number: self.first_frame }
    }
}

// === impl Frames ===

impl Frames<'_> {
    /// Where a later frame stands, if there is one although the next is not to be read. As a frame is written
    /// only when those before it are durable, the gap is then damage and not a torn write.
    pub fn later(&self) -> Option<usize> {
        (self.at..self.bytes.len().saturating_sub(FRAME_HEADER_BYTES)).step_by(ALIGN_BYTES).find(|at| {
            let bytes = &self.bytes[*at..];
            frame_number(bytes)
                .filter(|number| (self.number + 1..self.number + FRAMES_MAX).contains(number))
                .is_some_and(|number| read_frame(bytes, self.nonce, number).is_some())
        })
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (payload, len) = read_frame(self.bytes.get(self.at..)?, self.nonce, self.number)?;
        self.at += len;
        self.number += 1;
        Some(payload)
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::{FrameBuilder, Kind};
    use super::*;

    const HEADER: Header = Header { number: 3, nonce: 77, first_frame: 10, revision: 4 };

    fn segment(frames: u64) -> Vec<u8> {
        let mut bytes = HEADER.write();
        for number in 10..10 + frames {
            let mut frame = FrameBuilder::new(Vec::new());
            frame.record(Kind::Put, number, "/k", |out| out.extend_from_slice(b"value"));
            bytes.extend(frame.finish(HEADER.nonce, number));
        }
        bytes.extend([0; 100]);
        bytes
    }

    #[test]
    fn one_of_the_headers_suffices() {
        let bytes = segment(0);
        assert_eq!(Header::read(&bytes, 3), Some(HEADER));
        assert_eq!(Header::read(&bytes, 4), None);
        for damaged in [[0].as_slice(), &[520], &[0, 520]] {
            let mut bytes = bytes.clone();
            damaged.iter().for_each(|at| bytes[*at] ^= 4);
            assert_eq!(Header::read(&bytes, 3).is_some(), damaged.len() == 1);
        }
    }

    #[test]
    fn a_torn_tail_is_told_from_damage() {
        let bytes = segment(3);
        let mut frames = HEADER.frames(&bytes);
        assert_eq!(frames.by_ref().count(), 3);
        assert_eq!((frames.number, frames.later()), (13, None));
        let frame_bytes = (frames.at - FRAMES_AT) / 3;

        let mut torn = bytes.clone();
        torn[FRAMES_AT + 2 * frame_bytes + 20] ^= 1;
        let mut frames = HEADER.frames(&torn);
        assert_eq!((frames.by_ref().count(), frames.later()), (2, None));

        let mut damaged = bytes;
        damaged[FRAMES_AT + frame_bytes + 20] ^= 1;
        let mut frames = HEADER.frames(&damaged);
        assert_eq!((frames.by_ref().count(), frames.later()), (1, Some(FRAMES_AT + 2 * frame_bytes)));
    }
}
