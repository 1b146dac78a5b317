//! From frames to bytes.

use bytes::{BufMut, BytesMut};

use super::headers::Deflater;
use super::{Error, FLAG_FIN, Frame, Headers, SETTING_INITIAL_WINDOW, kind};

/// Writes the frames of one direction of a connection.
#[derive(Default)]
pub(crate) struct Encoder {
    deflater: Deflater,
}

impl Encoder {
    /// Writes `frame`; fails only on headers that are too long.
    pub fn frame(&mut self, frame: &Frame, out: &mut BytesMut) -> Result<(), Error> {
        match frame {
            Frame::SynStream { id, finished, headers } => {
                // No associated stream, the highest priority, no slot.
                self.headers(kind::SYN_STREAM, *finished, &[&id.to_be_bytes(), &[0; 6]], headers, out)?;
            }
            Frame::SynReply { id, finished } => {
                self.headers(kind::SYN_REPLY, *finished, &[&id.to_be_bytes()], &Headers::default(), out)?;
            }
            Frame::Headers { id, finished } => {
                self.headers(kind::HEADERS, *finished, &[&id.to_be_bytes()], &Headers::default(), out)?;
            }
            Frame::Reset { id, status } => control(kind::RST_STREAM, &[*id, *status], out),
            Frame::Settings { initial_window: None } => control(kind::SETTINGS, &[0], out),
            Frame::Settings { initial_window: Some(window) } => {
                control(kind::SETTINGS, &[1, SETTING_INITIAL_WINDOW, *window], out);
            }
            Frame::Ping { id } => control(kind::PING, &[*id], out),
            Frame::GoAway { last, status } => control(kind::GOAWAY, &[*last, *status], out),
            Frame::Window { id, delta } => control(kind::WINDOW_UPDATE, &[*id, *delta], out),
            Frame::Data { id, bytes, finished } => Encoder::data(*id, bytes, *finished, out),
        }
        Ok(())
    }

    /// Writes a data frame of at most 2^24-1 bytes.
    pub fn data(id: u32, bytes: &[u8], finished: bool, out: &mut BytesMut) {
        debug_assert!(bytes.len() < 1 << 24);
        out.reserve(super::FRAME_HEADER_BYTES + bytes.len());
        out.put_u32(id);
        out.put_u32(u32::from(finished) << 24 | bytes.len() as u32);
        out.put_slice(bytes);
    }

    fn headers(
        &mut self,
        kind: u16,
        finished: bool,
        before: &[&[u8]],
        headers: &Headers,
        out: &mut BytesMut,
    ) -> Result<(), Error> {
        let mut payload = BytesMut::new();
        for part in before {
            payload.put_slice(part);
        }
        self.deflater.headers(headers, &mut payload)?;
        start(kind, if finished { FLAG_FIN } else { 0 }, payload.len(), out);
        out.put_slice(&payload);
        Ok(())
    }
}

fn control(kind: u16, words: &[u32], out: &mut BytesMut) {
    start(kind, 0, words.len() * 4, out);
    words.iter().for_each(|word| out.put_u32(*word));
}

fn start(kind: u16, flags: u8, length: usize, out: &mut BytesMut) {
    out.put_u16(0x8003);
    out.put_u16(kind);
    out.put_u32(u32::from(flags) << 24 | length as u32);
}
