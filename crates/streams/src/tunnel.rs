//! Bytes within WebSocket messages, as one duplex connection: how kubectl carries SPDY through proxies that only let
//! WebSocket pass (KEP-4006; k8s.io/client-go/tools/portforward's tunneling connection).

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use decapod_sys::Env;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use crate::Limits;
use crate::websocket::{CLOSE_NORMAL, Decoder, Item, Opcode, Side};

/// The most bytes in one message.
const MAX_MESSAGE_BYTES: usize = 32 << 10;

/// How much is read at once.
const READ_BYTES: usize = 16 << 10;

/// The most that is answered to a peer that takes none of it.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// The bytes within a WebSocket's binary messages. Shutting it down says goodbye.
pub struct Tunnel<IO> {
    io: IO,
    side: Side,
    decoder: Decoder,
    input: BytesMut,
    /// Unmasked and not read yet.
    plain: BytesMut,
    output: BytesMut,
    /// A writer waits for `io`; then a reader leaves it to that one to send what it answers.
    writing: bool,
    /// The peer has said goodbye.
    ended: bool,
    closed: bool,
}

// === impl Tunnel ===

impl<IO: AsyncRead + AsyncWrite + Unpin> Tunnel<IO> {
    /// The server's side of `io`, on which a WebSocket has been agreed.
    pub fn server(io: IO, limits: &Limits) -> Tunnel<IO> {
        Tunnel::new(io, Side::Server, limits)
    }

    /// The client's side of `io`, on which a WebSocket has been agreed.
    pub fn client(env: &Env, io: IO, limits: &Limits) -> Tunnel<IO> {
        Tunnel::new(io, Side::Client(env.clone()), limits)
    }

    fn new(io: IO, side: Side, limits: &Limits) -> Tunnel<IO> {
        let decoder = Decoder::new(&side, limits.max_message_bytes);
        let (input, plain, output) = Default::default();
        Tunnel { io, side, decoder, input, plain, output, writing: false, ended: false, closed: false }
    }

    /// Sends all that is queued.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.output.is_empty() {
            let count = ready!(Pin::new(&mut self.io).poll_write(cx, &self.output))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.output.advance(count);
        }
        Poll::Ready(Ok(()))
    }

    /// Queues a message, whole, whatever its length.
    pub(crate) fn message(&mut self, text: bool, bytes: &[u8]) {
        if !self.closed {
            self.side.write(if text { Opcode::Text } else { Opcode::Binary }, &[bytes], &mut self.output);
        }
    }

    fn close(&mut self) {
        if !std::mem::replace(&mut self.closed, true) {
            self.side.close(CLOSE_NORMAL, &mut self.output);
        }
    }

    /// Reads items until there are bytes, the end, or nothing left to read them from.
    fn decode(&mut self) -> io::Result<()> {
        while self.plain.is_empty() && !self.ended {
            let item = self.decoder.next(&mut self.input);
            match item.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))? {
                None => break,
                Some(Item::Part { bytes, .. }) => self.plain = bytes,
                Some(Item::Ping(bytes)) => self.side.write(Opcode::Pong, &[&bytes], &mut self.output),
                Some(Item::Pong) => {}
                Some(Item::Close(_)) => {
                    self.ended = true;
                    self.close();
                }
            }
            if self.output.len() > MAX_ANSWER_BYTES + MAX_MESSAGE_BYTES + 16 {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the peer does not read its answers"));
            }
        }
        Ok(())
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for Tunnel<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            this.decode()?;
            if !this.output.is_empty() && !this.writing {
                // What cannot be sent now is sent when the reader or a writer comes again; a writer hears of errors.
                if this.poll_drain(cx).is_ready() && Pin::new(&mut this.io).poll_flush(cx).is_ready() {
                    this.output.clear();
                }
            }
            if !this.plain.is_empty() {
                let count = this.plain.len().min(buf.remaining());
                buf.put_slice(&this.plain.split_to(count));
                return Poll::Ready(Ok(()));
            }
            if this.ended {
                return Poll::Ready(Ok(()));
            }
            this.input.reserve(READ_BYTES);
            if ready!(pin!(this.io.read_buf(&mut this.input)).poll(cx))? == 0 {
                this.ended = true;
            }
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Tunnel<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        this.writing = true;
        ready!(this.poll_drain(cx))?;
        let count = bytes.len().min(MAX_MESSAGE_BYTES);
        this.side.write(Opcode::Binary, &[&bytes[..count]], &mut this.output);
        // What does not go now goes with the next write, or with the flush that follows the last one.
        if let Poll::Ready(result) = this.poll_drain(cx) {
            this.writing = false;
            result?;
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.writing = true;
        ready!(this.poll_drain(cx))?;
        this.writing = false;
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.close();
        ready!(self.as_mut().poll_flush(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
