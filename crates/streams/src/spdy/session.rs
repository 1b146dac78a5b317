//! One side of a SPDY connection: which ids are whose, what is answered at once, what is told on.

use bytes::BytesMut;

use super::{Decoder, Encoder, Error, Frame, Headers, status};
use crate::Limits;
use crate::mux::{self, Event, Farewell, Wire};

/// One side of a SPDY connection.
pub(crate) struct Session {
    decoder: Decoder,
    encoder: Encoder,
    /// The next stream that we open; a client's are odd.
    next_local: u32,
    /// The least id that the peer may open next.
    next_remote: u32,
    /// The next ping of ours; as odd or even as our streams.
    next_ping: u32,
    window_bytes: u32,
    greeted: bool,
    gone: bool,
}

// === impl Session ===

impl Session {
    /// The side that accepts streams.
    pub fn server(limits: &Limits) -> Session {
        Session::new(limits, 2, 1)
    }

    /// The side that opens streams.
    pub fn client(limits: &Limits) -> Session {
        Session::new(limits, 1, 2)
    }

    fn new(limits: &Limits, next_local: u32, next_remote: u32) -> Session {
        Session {
            decoder: Decoder::new(limits),
            encoder: Encoder::default(),
            next_local,
            next_remote,
            next_ping: next_local,
            window_bytes: limits.window_bytes,
            greeted: false,
            gone: false,
        }
    }

    /// What `frame` means to the streams; `None` when it is dealt with here.
    fn interpret(&mut self, frame: Frame, out: &mut BytesMut) -> Result<Option<Event>, Error> {
        Ok(Some(match frame {
            Frame::SynStream { id, finished, headers } => {
                if id % 2 != self.next_remote % 2 || id < self.next_remote {
                    self.encoder.frame(&Frame::Reset { id, status: status::PROTOCOL_ERROR }, out)?;
                    return Ok(None);
                }
                self.next_remote = id.saturating_add(2);
                if self.gone {
                    return Ok(None);
                }
                Event::Opened { id, headers, finished }
            }
            Frame::SynReply { id, finished } => Event::Accepted { id, finished },
            Frame::Headers { id, finished: true } => {
                Event::Data { id, bytes: BytesMut::new(), finished: true }
            }
            Frame::Headers { .. } | Frame::Settings { initial_window: None } => return Ok(None),
            Frame::Settings { initial_window: Some(bytes) } => Event::InitialWindow { bytes },
            Frame::Reset { id, .. } => Event::Reset { id },
            Frame::Window { id, delta } => Event::Window { id, delta },
            Frame::Data { id, bytes, finished } => Event::Data { id, bytes, finished },
            Frame::GoAway { .. } => Event::NoMore,
            Frame::Ping { id } => {
                if id % 2 != self.next_local % 2 {
                    self.encoder.frame(&Frame::Ping { id }, out)?;
                }
                return Ok(None);
            }
        }))
    }

    /// Writes a frame without headers, which cannot fail.
    fn put(&mut self, frame: Frame, out: &mut BytesMut) {
        if let Err(error) = self.encoder.frame(&frame, out) {
            tracing::debug!(%error, "frame not written");
        }
    }
}

impl Wire for Session {
    fn next(&mut self, input: &mut BytesMut, out: &mut BytesMut) -> Result<Option<Event>, mux::Error> {
        while let Some(frame) = self.decoder.next(input)? {
            if let Some(event) = self.interpret(frame, out)? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    fn greet(&mut self, out: &mut BytesMut) {
        if !std::mem::replace(&mut self.greeted, true) {
            self.put(Frame::Settings { initial_window: Some(self.window_bytes) }, out);
        }
    }

    fn open(&mut self, headers: &Headers, out: &mut BytesMut) -> Result<u32, mux::Error> {
        let id = self.next_local;
        if id > 0x7fff_ffff {
            return Err(mux::Error::NoMoreStreams);
        }
        self.next_local += 2;
        self.encoder.frame(&Frame::SynStream { id, finished: false, headers: headers.clone() }, out)?;
        Ok(id)
    }

    fn accept(&mut self, id: u32, out: &mut BytesMut) {
        self.put(Frame::SynReply { id, finished: false }, out);
    }

    fn refuse(&mut self, id: u32, out: &mut BytesMut) {
        self.put(Frame::Reset { id, status: status::REFUSED_STREAM }, out);
    }

    fn data(&mut self, id: u32, bytes: &[u8], finished: bool, out: &mut BytesMut) {
        Encoder::data(id, bytes, finished, out);
    }

    fn reset(&mut self, id: u32, out: &mut BytesMut) {
        self.put(Frame::Reset { id, status: status::CANCEL }, out);
    }

    fn grant(&mut self, id: u32, bytes: u32, out: &mut BytesMut) {
        self.put(Frame::Window { id, delta: bytes }, out);
    }

    fn alive(&mut self, out: &mut BytesMut) {
        self.put(Frame::Ping { id: self.next_ping }, out);
        self.next_ping = self.next_ping.wrapping_add(2);
    }

    fn farewell(&mut self, farewell: Farewell, out: &mut BytesMut) {
        if !std::mem::replace(&mut self.gone, true) {
            let last = self.next_remote.saturating_sub(2);
            let status = match farewell {
                Farewell::Done => 0,
                Farewell::Violated => 1,
            };
            self.put(Frame::GoAway { last, status }, out);
        }
    }
}
