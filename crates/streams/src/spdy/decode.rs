//! From bytes to frames. What is not a whole frame yet stays in the caller's buffer, which it bounds by what
//! [`Decoder::next`] asks for: never more than one control frame.

use bytes::{Buf, BytesMut};

use super::headers::Inflater;
use super::{Error, FLAG_FIN, FRAME_HEADER_BYTES, Frame, Headers, SETTING_INITIAL_WINDOW, kind};
use crate::Limits;

/// Reads the frames of one direction of a connection.
pub(crate) struct Decoder {
    inflater: Inflater,
    max_control_bytes: usize,
    data: Option<Data>,
}

/// A data frame that is being read.
struct Data {
    id: u32,
    remaining: usize,
    finished: bool,
}

// === impl Decoder ===

impl Decoder {
    /// Reads within `limits`.
    pub fn new(limits: &Limits) -> Decoder {
        Decoder {
            inflater: Inflater::new(limits.max_header_bytes),
            max_control_bytes: limits.max_control_bytes,
            data: None,
        }
    }

    /// Takes the next frame out of `input`; `None` when it needs more. Frames of unknown types are skipped.
    pub fn next(&mut self, input: &mut BytesMut) -> Result<Option<Frame>, Error> {
        loop {
            if let Some(frame) = self.next_data(input) {
                return Ok(Some(frame));
            }
            if self.data.is_some() || input.len() < FRAME_HEADER_BYTES {
                return Ok(None);
            }
            let word = u32::from_be_bytes([input[0], input[1], input[2], input[3]]);
            let (flags, length) = (input[4], u32::from_be_bytes([0, input[5], input[6], input[7]]) as usize);
            if word >> 31 == 0 {
                input.advance(FRAME_HEADER_BYTES);
                let id = stream(word)?;
                self.data = Some(Data { id, remaining: length, finished: flags & FLAG_FIN != 0 });
                if length == 0 {
                    self.data = None;
                    return Ok(Some(Frame::Data {
                        id,
                        bytes: BytesMut::new(),
                        finished: flags & FLAG_FIN != 0,
                    }));
                }
                continue;
            }
            let (version, kind) = ((word >> 16) as u16 & 0x7fff, word as u16);
            if version != 3 {
                return Err(Error::Version(version));
            }
            if length > self.max_control_bytes {
                return Err(Error::ControlTooLong { bytes: length, max: self.max_control_bytes });
            }
            if input.len() < FRAME_HEADER_BYTES + length {
                return Ok(None);
            }
            input.advance(FRAME_HEADER_BYTES);
            let payload = input.split_to(length);
            if let Some(frame) = self.control(kind, flags & FLAG_FIN != 0, &payload)? {
                return Ok(Some(frame));
            }
        }
    }

    /// The part of a data frame that is there.
    fn next_data(&mut self, input: &mut BytesMut) -> Option<Frame> {
        let data = self.data.as_mut().filter(|_| !input.is_empty())?;
        let bytes = input.split_to(data.remaining.min(input.len()));
        data.remaining -= bytes.len();
        let (id, whole) = (data.id, data.remaining == 0);
        let finished = whole && data.finished;
        if whole {
            self.data = None;
        }
        Some(Frame::Data { id, bytes, finished })
    }

    fn control(&mut self, kind: u16, finished: bool, payload: &[u8]) -> Result<Option<Frame>, Error> {
        let fixed =
            |length: usize| if payload.len() == length { Ok(()) } else { Err(Error::ControlLength(kind)) };
        let mut rest = payload;
        let mut word = || rest.try_get_u32().map_err(|_| Error::ControlLength(kind));
        Ok(Some(match kind {
            kind::SYN_STREAM => {
                let id = stream(word()?)?;
                // After it: the associated stream, a priority and a slot, none of which we use.
                let block = payload.get(10..).ok_or(Error::ControlLength(kind))?;
                Frame::SynStream { id, finished, headers: self.headers(block)? }
            }
            kind::SYN_REPLY | kind::HEADERS => {
                let id = stream(word()?)?;
                let block = payload.get(4..).ok_or(Error::ControlLength(kind))?;
                self.headers(block)?;
                match kind {
                    kind::SYN_REPLY => Frame::SynReply { id, finished },
                    _ => Frame::Headers { id, finished },
                }
            }
            kind::RST_STREAM => {
                fixed(8)?;
                Frame::Reset { id: stream(word()?)?, status: word()? }
            }
            kind::SETTINGS => Frame::Settings { initial_window: initial_window(payload)? },
            kind::PING => {
                fixed(4)?;
                Frame::Ping { id: word()? }
            }
            kind::GOAWAY => {
                fixed(8)?;
                Frame::GoAway { last: word()?, status: word()? }
            }
            kind::WINDOW_UPDATE => {
                fixed(8)?;
                // Stream 0 would be the connection's own window, of which we keep none.
                Frame::Window { id: word()? & 0x7fff_ffff, delta: word()? & 0x7fff_ffff }
            }
            _ => return Ok(None),
        }))
    }

    /// An empty block is no block: some peers send none where there are no headers.
    fn headers(&mut self, block: &[u8]) -> Result<Headers, Error> {
        if block.is_empty() { Ok(Headers::default()) } else { self.inflater.headers(block) }
    }
}

fn stream(word: u32) -> Result<u32, Error> {
    match word & 0x7fff_ffff {
        0 => Err(Error::StreamZero),
        id => Ok(id),
    }
}

fn initial_window(mut payload: &[u8]) -> Result<Option<u32>, Error> {
    let wrong = Error::ControlLength(kind::SETTINGS);
    let count = payload.try_get_u32().unwrap_or(u32::MAX) as usize;
    if payload.len() / 8 != count || !payload.len().is_multiple_of(8) {
        return Err(wrong);
    }
    let mut window = None;
    while let (Ok(id), Ok(value)) = (payload.try_get_u32(), payload.try_get_u32()) {
        if id & 0x00ff_ffff == SETTING_INITIAL_WINDOW {
            window = Some(value & 0x7fff_ffff);
        }
    }
    Ok(window)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::spdy::Encoder;

    fn bytes(hex: &str) -> BytesMut {
        let digits: Vec<u8> = hex.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
        digits
            .chunks(2)
            .map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap())
            .collect()
    }

    /// One line for each frame, and for the error that ends them.
    fn read(mut input: BytesMut) -> String {
        let mut decoder = Decoder::new(&Limits::default());
        let mut lines = Vec::new();
        loop {
            match decoder.next(&mut input) {
                Ok(Some(frame)) => lines.push(format!("{frame:?}")),
                Ok(None) => break,
                Err(error) => {
                    lines.push(format!("error: {error}"));
                    break;
                }
            }
        }
        lines.join("; ")
    }

    #[test]
    fn frames() {
        let table = [
            ("00000001 00000003 616263", "Data { id: 1, bytes: b\"abc\", finished: false }"),
            ("00000001 01000000", "Data { id: 1, bytes: b\"\", finished: true }"),
            ("00000001 01000003 61", "Data { id: 1, bytes: b\"a\", finished: false }"),
            ("00000000 00000000", "error: stream 0"),
            ("80030003 00000008 00000005 00000005", "Reset { id: 5, status: 5 }"),
            ("80030003 00000007 00000005 000000", "error: control frame of type 3 with a wrong length"),
            ("80030004 0000000c 00000001 00000007 00010000", "Settings { initial_window: Some(65536) }"),
            ("80030004 0000000c 00000001 00000004 00000064", "Settings { initial_window: None }"),
            ("80030004 00000004 ffffffff", "error: control frame of type 4 with a wrong length"),
            ("80030006 00000004 00000001", "Ping { id: 1 }"),
            ("80030007 00000008 00000009 00000000", "GoAway { last: 9, status: 0 }"),
            ("80030009 00000008 00000001 00001000", "Window { id: 1, delta: 4096 }"),
            ("80030005 00000000 80030006 00000004 00000002", "Ping { id: 2 }"),
            ("80020006 00000004 00000001", "error: control frame of version 2, not 3"),
            ("80030001 00ffffff", "error: control frame of 16777215 bytes, more than 32768"),
            ("80030001 00000004 00000001", "error: control frame of type 1 with a wrong length"),
            ("80030006", ""),
        ];
        for (hex, frames) in table {
            assert_eq!(read(bytes(hex)), frames, "{hex}");
        }
    }

    fn frame() -> impl Strategy<Value = Frame> {
        let id = 1..=0x7fff_ffffu32;
        let pairs = proptest::collection::vec(("[a-z-]{1,12}", "[ -~]{0,40}"), 0..6);
        prop_oneof![
            (id.clone(), any::<bool>(), pairs).prop_map(|(id, finished, pairs)| {
                let pairs: Vec<(&str, &str)> = pairs.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
                Frame::SynStream { id, finished, headers: Headers::new(&pairs) }
            }),
            (id.clone(), any::<bool>()).prop_map(|(id, finished)| Frame::SynReply { id, finished }),
            (id.clone(), any::<u32>()).prop_map(|(id, status)| Frame::Reset { id, status }),
            (0..=0x7fff_ffffu32).prop_map(|window| Frame::Settings { initial_window: Some(window) }),
            any::<u32>().prop_map(|id| Frame::Ping { id }),
            (any::<u32>(), any::<u32>()).prop_map(|(last, status)| Frame::GoAway { last, status }),
            (id.clone(), 0..=0x7fff_ffffu32).prop_map(|(id, delta)| Frame::Window { id, delta }),
            (id, proptest::collection::vec(any::<u8>(), 0..300), any::<bool>()).prop_map(
                |(id, bytes, finished)| { Frame::Data { id, bytes: bytes.as_slice().into(), finished } }
            ),
        ]
    }

    /// Joins the parts of data frames again.
    fn joined(frames: Vec<Frame>, whole: &[Frame]) -> Vec<Frame> {
        let mut result: Vec<Frame> = Vec::new();
        for frame in frames {
            let open = result.len();
            match (result.last_mut(), frame) {
                (
                    Some(Frame::Data { bytes, finished, .. }),
                    Frame::Data { bytes: more, finished: end, .. },
                ) if matches!(&whole[open - 1], Frame::Data { bytes: all, .. } if bytes.len() < all.len()) => {
                    bytes.extend_from_slice(&more);
                    *finished = end;
                }
                (_, frame) => result.push(frame),
            }
        }
        result
    }

    proptest! {
        #[test]
        fn frames_survive_any_cut(frames in proptest::collection::vec(frame(), 1..8), cut in 1usize..40) {
            let (mut encoder, mut wire) = (Encoder::default(), BytesMut::new());
            for frame in &frames {
                encoder.frame(frame, &mut wire).unwrap();
            }
            let (mut decoder, mut input, mut read) = (Decoder::new(&Limits::default()), BytesMut::new(), Vec::new());
            for part in wire.chunks(cut) {
                input.extend_from_slice(part);
                while let Some(frame) = decoder.next(&mut input).unwrap() {
                    read.push(frame);
                }
            }
            prop_assert_eq!(joined(read, &frames), frames);
        }
    }
}
