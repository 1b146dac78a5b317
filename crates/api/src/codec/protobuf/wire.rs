//! The wire format: a reader of fields, and a writer that fills its buffer from the end, as gogo-proto does,
//! so that the length of a message is known when it is written.

use std::borrow::Cow;

use crate::codec::{DecodeError, text};

/// The value of a field as the wire carries it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32,
}

/// A message that is being read.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

/// A message that is being written, last field first.
pub(super) struct Writer {
    buffer: Vec<u8>,
    /// What has been written is `buffer[at..]`.
    at: usize,
}

/// How many bytes the varint of `value` has.
pub(super) fn varint_bytes(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Text that may hold bytes which are none.
pub(super) fn text(bytes: &[u8]) -> Cow<'_, str> {
    text::of_bytes(bytes)
}

// === impl Reader ===

impl<'a> Reader<'a> {
    pub(super) fn new(message: &'a [u8]) -> Reader<'a> {
        Reader { rest: message }
    }

    /// The next field's number and value; `None` at the end.
    pub(super) fn field(&mut self) -> Result<Option<(u32, Wire<'a>)>, DecodeError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok().filter(|number| *number > 0);
        let number = number.ok_or_else(|| wrong(&format!("illegal tag {}", (tag >> 3) as i32)))?;
        Ok(Some((number, self.value(tag & 7)?)))
    }

    /// The value of a wire type.
    pub(super) fn value(&mut self, wire: u64) -> Result<Wire<'a>, DecodeError> {
        Ok(match wire {
            0 => Wire::Varint(self.varint()?),
            1 => Wire::Fixed64(self.fixed64()?),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| wrong("integer overflow"))?;
                Wire::Bytes(self.take(length)?)
            }
            5 => {
                self.take(4)?;
                Wire::Fixed32
            }
            other => return Err(wrong(&format!("illegal wireType {other}"))),
        })
    }

    /// The next varint, also of a packed list; an error at the end.
    pub(super) fn varint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.rest.split_first().ok_or_else(|| wrong("unexpected EOF"))?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(wrong("integer overflow"))
    }

    pub(super) fn fixed64(&mut self) -> Result<u64, DecodeError> {
        let bytes = self.take(8)?;
        Ok(bytes.iter().rev().fold(0, |n, byte| n << 8 | u64::from(*byte)))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(|| wrong("unexpected EOF"))?;
        self.rest = rest;
        Ok(taken)
    }
}

pub(super) fn wrong(why: &str) -> DecodeError {
    DecodeError::Protobuf(why.to_owned())
}

// === impl Writer ===

impl Writer {
    pub(super) fn with_capacity(bytes: usize) -> Writer {
        Writer { buffer: vec![0; bytes], at: bytes }
    }

    /// How much has been written.
    pub(super) fn len(&self) -> usize {
        self.buffer.len() - self.at
    }

    /// Puts `bytes` in front of what has been written.
    pub(super) fn prepend(&mut self, bytes: &[u8]) {
        if self.at < bytes.len() {
            self.grow(bytes.len());
        }
        let start = self.at - bytes.len();
        self.buffer[start..self.at].copy_from_slice(bytes);
        self.at = start;
    }

    #[cold]
    fn grow(&mut self, more: usize) {
        let written = self.len();
        let size = (self.buffer.len() * 2).max(written + more + 64);
        let mut buffer = vec![0; size];
        buffer[size - written..].copy_from_slice(&self.buffer[self.at..]);
        self.at = size - written;
        self.buffer = buffer;
    }

    pub(super) fn raw_varint(&mut self, mut value: u64) {
        let mut bytes = [0; 10];
        let mut length = 0;
        while value >= 0x80 {
            bytes[length] = value as u8 | 0x80;
            value >>= 7;
            length += 1;
        }
        bytes[length] = value as u8;
        self.prepend(&bytes[..=length]);
    }

    pub(super) fn tag(&mut self, number: u32, wire: u64) {
        self.raw_varint(u64::from(number) << 3 | wire);
    }

    pub(super) fn varint(&mut self, number: u32, value: u64) {
        self.raw_varint(value);
        self.tag(number, 0);
    }

    pub(super) fn fixed64(&mut self, number: u32, value: u64) {
        self.prepend(&value.to_le_bytes());
        self.tag(number, 1);
    }

    pub(super) fn bytes(&mut self, number: u32, bytes: &[u8]) {
        self.prepend(bytes);
        self.raw_varint(bytes.len() as u64);
        self.tag(number, 2);
    }

    /// Makes what has been written since the length was `since` the message `number`.
    pub(super) fn close(&mut self, number: u32, since: usize) {
        self.raw_varint((self.len() - since) as u64);
        self.tag(number, 2);
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.buffer.drain(..self.at);
        self.buffer
    }
}
