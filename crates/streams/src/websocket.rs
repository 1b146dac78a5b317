//! WebSocket frames (RFC 6455), both sides. Messages are handed on in parts, as they arrive; none is held whole.

use bytes::{Buf, BufMut, BytesMut};
use decapod_sys::Env;

/// What kind of frame it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

/// What a peer has sent.
#[derive(Debug, PartialEq)]
pub(crate) enum Item {
    /// A part of a message: whether it is the first, whether the last.
    Part { bytes: BytesMut, first: bool, last: bool },
    /// To be answered with the same bytes.
    Ping(BytesMut),
    /// An answer to ours.
    Pong,
    /// Goodbye, mostly with a code.
    Close(Option<u16>),
}

/// Which side we are. A client masks what it sends, with masks that nobody can foretell.
pub(crate) enum Side {
    Server,
    Client(Env),
}

/// Reads the frames of one direction.
pub(crate) struct Decoder {
    /// Whether what the peer sends is masked: a client's always is, a server's never.
    masked: bool,
    max_message_bytes: u64,
    frame: Option<Open>,
    /// The bytes of the message so far, if one has begun and not ended.
    message: Option<u64>,
}

/// A data frame that is being read.
struct Open {
    remaining: u64,
    mask: Option<[u8; 4]>,
    last: bool,
    first: bool,
}

/// A frame's head.
struct Head {
    opcode: Opcode,
    last: bool,
    length: u64,
    mask: Option<[u8; 4]>,
    bytes: usize,
}

/// Why a peer's bytes make no sense. Nothing after it can be read.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(crate) enum Error {
    #[error("reserved bits or opcode {0:#04x}")]
    Reserved(u8),
    #[error("control frame in parts or of more than 125 bytes")]
    Control,
    #[error("continuation of nothing, or a message within a message")]
    Continuation,
    #[error("message of more than {0} bytes")]
    TooLong(u64),
    #[error("{}", if *.0 { "masked frame from a server" } else { "frame without mask from a client" })]
    Mask(bool),
}

/// Closing codes.
pub(crate) const CLOSE_NORMAL: u16 = 1000;
pub(crate) const CLOSE_PROTOCOL_ERROR: u16 = 1002;

const MAX_CONTROL_BYTES: u64 = 125;

// === impl Decoder ===

impl Decoder {
    /// Reads what the peer of `side` sends.
    pub fn new(side: &Side, max_message_bytes: u64) -> Decoder {
        Decoder { masked: matches!(side, Side::Server), max_message_bytes, frame: None, message: None }
    }

    /// Takes the next item out of `input`; `None` when it needs more: never more than one control frame.
    pub fn next(&mut self, input: &mut BytesMut) -> Result<Option<Item>, Error> {
        if self.frame.is_none() {
            let Some(head) = head(input)? else { return Ok(None) };
            if head.mask.is_some() != self.masked {
                return Err(Error::Mask(head.mask.is_some()));
            }
            match head.opcode {
                Opcode::Close | Opcode::Ping | Opcode::Pong => return control(&head, input),
                _ => self.begin(&head)?,
            }
            input.advance(head.bytes);
        }
        Ok(self.part(input))
    }

    fn begin(&mut self, head: &Head) -> Result<(), Error> {
        let first = head.opcode != Opcode::Continuation;
        if first == self.message.is_some() {
            return Err(Error::Continuation);
        }
        let length = self.message.unwrap_or(0).saturating_add(head.length);
        if length > self.max_message_bytes {
            return Err(Error::TooLong(self.max_message_bytes));
        }
        self.message = if head.last { None } else { Some(length) };
        self.frame = Some(Open { remaining: head.length, mask: head.mask, last: head.last, first });
        Ok(())
    }

    /// The part of a data frame that is there, unmasked.
    fn part(&mut self, input: &mut BytesMut) -> Option<Item> {
        let frame = self.frame.as_mut().filter(|frame| frame.remaining == 0 || !input.is_empty())?;
        let count = usize::try_from(frame.remaining).unwrap_or(usize::MAX).min(input.len());
        let mut bytes = input.split_to(count);
        if let Some(mask) = &mut frame.mask {
            apply(*mask, &mut bytes);
            mask.rotate_left(count % 4);
        }
        frame.remaining -= count as u64;
        let first = std::mem::take(&mut frame.first);
        let whole = frame.remaining == 0;
        let last = whole && frame.last;
        if whole {
            self.frame = None;
        }
        Some(Item::Part { bytes, first, last })
    }
}

/// Reads a frame's head, if it is there; leaves it in `input`.
fn head(input: &[u8]) -> Result<Option<Head>, Error> {
    let [first, second, ..] = *input else { return Ok(None) };
    let opcode = match first & 0x7f {
        0 => Opcode::Continuation,
        1 => Opcode::Text,
        2 => Opcode::Binary,
        8 => Opcode::Close,
        9 => Opcode::Ping,
        10 => Opcode::Pong,
        // Among them the reserved bits, which only extensions use, and none is agreed.
        other => return Err(Error::Reserved(other)),
    };
    let (last, short) = (first & 0x80 != 0, u64::from(second & 0x7f));
    let control = matches!(opcode, Opcode::Close | Opcode::Ping | Opcode::Pong);
    if control && (!last || short > MAX_CONTROL_BYTES) {
        return Err(Error::Control);
    }
    let mut rest = &input[2..];
    let length = match short {
        126 => rest.try_get_u16().map(u64::from),
        127 => rest.try_get_u64(),
        short => Ok(short),
    };
    let mask =
        if second & 0x80 == 0 { Ok(None) } else { rest.try_get_u32().map(|mask| Some(mask.to_be_bytes())) };
    Ok(match (length, mask) {
        (Ok(length), Ok(mask)) => Some(Head { opcode, last, length, mask, bytes: input.len() - rest.len() }),
        _ => None,
    })
}

/// Takes a control frame, once it is whole.
fn control(head: &Head, input: &mut BytesMut) -> Result<Option<Item>, Error> {
    let length = head.length as usize;
    if input.len() < head.bytes + length {
        return Ok(None);
    }
    input.advance(head.bytes);
    let mut bytes = input.split_to(length);
    if let Some(mask) = head.mask {
        apply(mask, &mut bytes);
    }
    Ok(Some(match head.opcode {
        Opcode::Ping => Item::Ping(bytes),
        Opcode::Pong => Item::Pong,
        _ => Item::Close(bytes.try_get_u16().ok()),
    }))
}

fn apply(mask: [u8; 4], bytes: &mut [u8]) {
    let (words, rest) = bytes.as_chunks_mut::<4>();
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ u32::from_ne_bytes(mask)).to_ne_bytes();
    }
    rest.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
}

// === impl Side ===

impl Side {
    /// Writes a frame, the last (mostly the only one) of its message, of these parts together.
    pub fn write(&self, opcode: Opcode, parts: &[&[u8]], out: &mut BytesMut) {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        out.reserve(length + 14);
        out.put_u8(0x80 | opcode.code());
        let masked = if matches!(self, Side::Client(_)) { 0x80 } else { 0 };
        match length {
            0..=125 => out.put_u8(masked | length as u8),
            126..=0xffff => {
                out.put_u8(masked | 126);
                out.put_u16(length as u16);
            }
            _ => {
                out.put_u8(masked | 127);
                out.put_u64(length as u64);
            }
        }
        let mut mask = [0; 4];
        if let Side::Client(env) = self {
            env.fill(&mut mask);
            out.put_slice(&mask);
        }
        let start = out.len();
        parts.iter().for_each(|part| out.put_slice(part));
        if masked != 0 {
            apply(mask, &mut out[start..]);
        }
    }

    /// Writes goodbye.
    pub fn close(&self, code: u16, out: &mut BytesMut) {
        self.write(Opcode::Close, &[&code.to_be_bytes()], out);
    }
}

impl Opcode {
    fn code(self) -> u8 {
        match self {
            Opcode::Continuation => 0,
            Opcode::Text => 1,
            Opcode::Binary => 2,
            Opcode::Close => 8,
            Opcode::Ping => 9,
            Opcode::Pong => 10,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(side: &Side, bytes: &[u8]) -> String {
        let (mut decoder, mut input) = (Decoder::new(side, 1 << 20), BytesMut::from(bytes));
        let mut lines = Vec::new();
        loop {
            match decoder.next(&mut input) {
                Ok(Some(item)) => lines.push(format!("{item:?}")),
                Ok(None) => return lines.join("; "),
                Err(error) => {
                    lines.push(format!("error: {error}"));
                    return lines.join("; ");
                }
            }
        }
    }

    #[tokio::test]
    async fn frames() {
        let client = Side::Client(Env::simulated(1));
        // Mostly the examples of RFC 6455, section 5.7.
        let from_server: [(&[u8], &str); 9] = [
            (b"\x81\x05Hello", r#"Part { bytes: b"Hello", first: true, last: true }"#),
            (
                b"\x01\x03Hel\x80\x02lo",
                r#"Part { bytes: b"Hel", first: true, last: false }; Part { bytes: b"lo", first: false, last: true }"#,
            ),
            (b"\x89\x05Hello\x8a\x05Hello", r#"Ping(b"Hello"); Pong"#),
            (b"\x88\x02\x03\xe8\x88\x00", "Close(Some(1000)); Close(None)"),
            (b"\x82\x00", r#"Part { bytes: b"", first: true, last: true }"#),
            (b"\x82\xfe\x00", ""),
            (b"\xc2\x00", "error: reserved bits or opcode 0x42"),
            (b"\x09\x00", "error: control frame in parts or of more than 125 bytes"),
            (b"\x80\x00", "error: continuation of nothing, or a message within a message"),
        ];
        for (bytes, items) in from_server {
            assert_eq!(read(&client, bytes), items, "{bytes:x?}");
        }
        let from_client: [(&[u8], &str); 3] = [
            (
                b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58",
                r#"Part { bytes: b"Hello", first: true, last: true }"#,
            ),
            (b"\x81\x05Hello", "error: frame without mask from a client"),
            (
                b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0",
                "error: message of more than 1048576 bytes",
            ),
        ];
        for (bytes, items) in from_client {
            assert_eq!(read(&Side::Server, bytes), items, "{bytes:x?}");
        }
        assert_eq!(read(&client, b"\x82\x80\0\0\0\0"), "error: masked frame from a server");
    }

    proptest! {
        #[test]
        fn messages_survive_any_cut(
            lengths in proptest::collection::vec(prop_oneof![0usize..200, 65_000usize..66_000], 1..5),
            cut in 1usize..5000,
            seed: u64,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let _guard = runtime.enter();
            let side = Side::Client(Env::simulated(seed));
            let messages: Vec<Vec<u8>> = lengths.iter().map(|n| (0..*n).map(|i| (i * 7) as u8).collect()).collect();
            let mut wire = BytesMut::new();
            for message in &messages {
                let (a, b) = message.split_at(message.len() / 3);
                side.write(Opcode::Binary, &[a, b], &mut wire);
            }
            let (mut decoder, mut input) = (Decoder::new(&Side::Server, 1 << 20), BytesMut::new());
            let (mut read, mut message) = (Vec::new(), Vec::new());
            for part in wire.chunks(cut) {
                input.extend_from_slice(part);
                while let Some(item) = decoder.next(&mut input).unwrap() {
                    let Item::Part { bytes, last, .. } = item else { panic!("{item:?}") };
                    message.extend_from_slice(&bytes);
                    if last {
                        read.push(std::mem::take(&mut message));
                    }
                }
            }
            prop_assert_eq!(read, messages);
        }
    }
}
