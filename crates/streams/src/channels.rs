//! Channels in WebSocket messages: the first byte says which (k8s.io/streaming/pkg/httpstream/wsstream), so a
//! connection has a fixed set of streams. From v5 on a client ends a channel by the message 255, channel.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::BytesMut;

use crate::Limits;
use crate::mux::{Error, Event, Farewell, Wire};
use crate::spdy::Headers;
use crate::websocket::{CLOSE_NORMAL, CLOSE_PROTOCOL_ERROR, Decoder, Item, Opcode, Side};

/// The channel that says that another one ends.
const CLOSE_CHANNEL: u32 = 255;

/// One side of a WebSocket with channels in it.
pub(crate) struct Channels {
    side: Side,
    decoder: Decoder,
    format: Format,
    /// Of the message that is being read.
    message: Message,
    closed: bool,
}

/// How messages are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Format {
    /// Text messages: the channel's digit, then base64. Else binary ones.
    pub base64: bool,
    /// Whether channels can be ended one by one.
    pub half_close: bool,
}

/// Where we are in a message.
enum Message {
    Start,
    Within {
        channel: u32,
        /// Base64 digits that are not four yet.
        digits: Vec<u8>,
    },
    /// Nobody wants the rest.
    Skipped,
}

// === impl Channels ===

impl Channels {
    /// This side, with messages in `format`.
    pub fn new(side: Side, format: Format, limits: &Limits) -> Channels {
        let decoder = Decoder::new(&side, limits.max_message_bytes);
        Channels { side, decoder, format, message: Message::Start, closed: false }
    }

    /// What a part of a message means; `None` when it is only a part of something.
    fn part(&mut self, mut bytes: BytesMut, first: bool, last: bool) -> Result<Option<Event>, Error> {
        if first {
            self.message = Message::Start;
        }
        if matches!(self.message, Message::Start) && !bytes.is_empty() {
            let channel = bytes.split_to(1)[0];
            let channel = u32::from(if self.format.base64 { channel.wrapping_sub(b'0') } else { channel });
            self.message = Message::Within { channel, digits: Vec::new() };
        }
        let Message::Within { channel, digits } = &mut self.message else { return Ok(None) };
        let id = *channel;
        if self.format.half_close && id == CLOSE_CHANNEL {
            digits.extend_from_slice(&bytes[..bytes.len().min(2)]);
            return match (last, digits.as_slice()) {
                (true, [closed]) => {
                    Ok(Some(Event::Data { id: u32::from(*closed), bytes: BytesMut::new(), finished: true }))
                }
                (false, [] | [_]) => Ok(None),
                _ => Err(Error::Channel("a close that does not name one channel")),
            };
        }
        if self.format.base64 {
            match decode(digits, &bytes, last) {
                Some(plain) => bytes = plain,
                None => {
                    // Upstream logs it and goes on with the next message.
                    self.message = Message::Skipped;
                    return Ok(None);
                }
            }
        }
        Ok((!bytes.is_empty()).then_some(Event::Data { id, bytes, finished: false }))
    }
}

/// Decodes what of `digits` and `bytes` together comes in fours, and all of it at the last.
fn decode(digits: &mut Vec<u8>, bytes: &[u8], last: bool) -> Option<BytesMut> {
    digits.extend_from_slice(bytes);
    let whole = if last { digits.len() } else { digits.len() / 4 * 4 };
    let plain = BASE64.decode(&digits[..whole]).ok()?;
    digits.drain(..whole);
    Some(plain.as_slice().into())
}

impl Wire for Channels {
    fn next(&mut self, input: &mut BytesMut, out: &mut BytesMut) -> Result<Option<Event>, Error> {
        while let Some(item) = self.decoder.next(input)? {
            match item {
                Item::Part { bytes, first, last } => {
                    if let Some(event) = self.part(bytes, first, last)? {
                        return Ok(Some(event));
                    }
                }
                Item::Ping(bytes) => self.side.write(Opcode::Pong, &[&bytes], out),
                Item::Pong => {}
                Item::Close(code) => {
                    self.farewell(Farewell::Done, out);
                    return Ok(Some(Event::Ended { clean: code.is_none_or(|code| code == CLOSE_NORMAL) }));
                }
            }
        }
        Ok(None)
    }

    fn open(&mut self, _headers: &Headers, _out: &mut BytesMut) -> Result<u32, Error> {
        Err(Error::NoMoreStreams)
    }

    fn data(&mut self, id: u32, bytes: &[u8], finished: bool, out: &mut BytesMut) {
        let channel = id as u8;
        if finished && bytes.is_empty() {
            // Only clients say so: upstream's do not know the message.
            if self.format.half_close && matches!(self.side, Side::Client(_)) {
                self.side.write(Opcode::Binary, &[&[CLOSE_CHANNEL as u8, channel]], out);
            }
        } else if self.format.base64 {
            self.side.write(Opcode::Text, &[&[channel + b'0'], BASE64.encode(bytes).as_bytes()], out);
        } else {
            self.side.write(Opcode::Binary, &[&[channel], bytes], out);
        }
    }

    fn alive(&mut self, out: &mut BytesMut) {
        self.side.write(Opcode::Pong, &[], out);
    }

    fn farewell(&mut self, farewell: Farewell, out: &mut BytesMut) {
        if !std::mem::replace(&mut self.closed, true) {
            self.side
                .close(if farewell == Farewell::Done { CLOSE_NORMAL } else { CLOSE_PROTOCOL_ERROR }, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V5: Format = Format { base64: false, half_close: true };
    const V4: Format = Format { base64: false, half_close: false };
    const V4_BASE64: Format = Format { base64: true, half_close: false };

    /// What a client hears of these frames, given one byte at a time.
    async fn heard(format: Format, frames: &[&[u8]]) -> String {
        let side = Side::Client(decapod_sys::Env::simulated(1));
        let mut channels = Channels::new(side, format, &Limits::default());
        let (mut input, mut out, mut lines) = (BytesMut::new(), BytesMut::new(), Vec::new());
        for byte in frames.concat() {
            input.extend_from_slice(&[byte]);
            loop {
                match channels.next(&mut input, &mut out) {
                    Ok(Some(Event::Data { id, bytes, finished })) => {
                        lines.push(format!("{id}{bytes:?}{}", if finished { "." } else { "" }));
                    }
                    Ok(Some(event)) => lines.push(format!("{event:?}")),
                    Ok(None) => break,
                    Err(error) => {
                        lines.push(format!("error: {error}"));
                        return lines.join(" ");
                    }
                }
            }
        }
        lines.join(" ")
    }

    #[tokio::test]
    async fn messages() {
        let table: [(Format, &[&[u8]], &str); 8] = [
            (V5, &[b"\x82\x03\x01ab", b"\x82\x01\x01", b"\x82\x00"], r#"1b"a" 1b"b""#),
            (V5, &[b"\x82\x02\xff\x00"], r#"0b""."#),
            (V5, &[b"\x82\x01\xff"], "error: channel message: a close that does not name one channel"),
            (
                V5,
                &[b"\x82\x03\xff\x00\x01"],
                "error: channel message: a close that does not name one channel",
            ),
            (V4, &[b"\x82\x02\xff\x00"], r#"255b"\0""#),
            (V4_BASE64, &[b"\x81\x091YWJjZA==", b"\x81\x012"], r#"1b"abc" 1b"d""#),
            (V4_BASE64, &[b"\x81\x051!!!!", b"\x81\x051YWJj"], r#"1b"abc""#),
            (V4, &[b"\x88\x02\x03\xe8"], "Ended { clean: true }"),
        ];
        for (format, frames, events) in table {
            assert_eq!(heard(format, frames).await, events, "{frames:x?}");
        }
    }

    #[test]
    fn a_server_writes() {
        let table: [(Format, &[u8]); 2] =
            [(V5, b"\x82\x03\x01hi\x82\x02\x03\x00"), (V4_BASE64, b"\x81\x051aGk=\x81\x053AA==")];
        for (format, written) in table {
            let mut channels = Channels::new(Side::Server, format, &Limits::default());
            let mut out = BytesMut::new();
            channels.data(1, b"hi", false, &mut out);
            channels.data(3, b"\0", false, &mut out);
            channels.data(1, b"", true, &mut out);
            assert_eq!(&out[..], written);
        }
    }
}
