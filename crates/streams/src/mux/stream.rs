//! The handles: a connection, its streams, and their halves.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use decapod_sys::Env;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;

use super::driver::Driver;
use super::{Farewell, State, Wire};
use crate::Limits;
use crate::spdy::Headers;

/// What the handles and the driver share.
pub(crate) struct Shared {
    state: Mutex<State>,
    /// Ends when nothing moves any more.
    pub(super) done: CancellationToken,
}

/// A connection. Goodbye is said when it is dropped.
pub(crate) struct Connection {
    shared: Arc<Shared>,
}

/// A stream that the peer has opened. It is refused when this is dropped.
pub(crate) struct Incoming {
    shared: Arc<Shared>,
    id: u32,
    pub headers: Headers,
    answered: bool,
}

/// One stream, both directions, each ended for itself: reads give 0 bytes once the peer has finished, `shutdown`
/// finishes ours. Dropped before both have finished, it is reset, which the peer reads as an error.
pub struct Stream {
    shared: Arc<Shared>,
    id: u32,
    dropped: Dropped,
}

/// What comes of a stream when its handle is dropped.
#[derive(Clone, Copy, Debug)]
enum Dropped {
    Reset,
    Discard,
    Finish,
}

/// The reading half of a stream. What comes after it is dropped is thrown away.
pub struct Reader(Stream);

/// The writing half of a stream. It is finished when it is dropped.
pub struct Writer(Stream);

// === impl Shared ===

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Connection ===

impl Connection {
    /// Starts the task that moves `io`'s bytes, in `env`'s scope; `channels` are there from the start.
    pub fn start<IO>(env: &Env, io: IO, wire: Box<dyn Wire>, limits: Limits, channels: &[u32]) -> Connection
    where
        IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let state = Mutex::new(State::new(wire, limits, channels));
        let shared = Arc::new(Shared { state, done: CancellationToken::new() });
        env.spawn("streams", Driver::new(io, Arc::clone(&shared), limits).run());
        Connection { shared }
    }

    /// Waits for a stream that the peer opens; `None` when it opens no more.
    pub async fn incoming(&self) -> Option<Incoming> {
        let (id, headers) = std::future::poll_fn(|cx| self.shared.lock().poll_incoming(cx)).await?;
        Some(Incoming { shared: Arc::clone(&self.shared), id, headers, answered: false })
    }

    /// Opens a stream and waits until the peer has accepted it.
    pub async fn open(&self, headers: &Headers) -> io::Result<Stream> {
        let id = self.shared.lock().open(headers).map_err(io::Error::other)?;
        let stream = self.channel(id);
        std::future::poll_fn(|cx| self.shared.lock().poll_opened(id, cx)).await?;
        Ok(stream)
    }

    /// The handle of a stream that is there from the start. Ask for each one once.
    pub fn channel(&self, id: u32) -> Stream {
        Stream { shared: Arc::clone(&self.shared), id, dropped: Dropped::Reset }
    }

    /// Sends a message without data.
    pub fn write_empty(&self, id: u32) {
        self.shared.lock().write_empty(id);
    }

    /// Finishes our side of each of these streams.
    pub fn finish(&self, ids: &[u32]) {
        let mut state = self.shared.lock();
        ids.iter().for_each(|id| state.finish(*id));
    }

    /// Ends when the connection is no more.
    pub fn done(&self) -> CancellationToken {
        self.shared.done.clone()
    }

    /// Says goodbye and waits until all is sent and the peer has closed.
    pub async fn close(self) {
        let done = self.done();
        drop(self);
        done.cancelled().await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.lock().leave(Farewell::Done);
    }
}

// === impl Incoming ===

impl Incoming {
    /// Its id, which older clients pair streams by.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Accepts it.
    pub fn accept(mut self) -> Stream {
        self.answered = true;
        self.shared.lock().accept(self.id);
        Stream { shared: Arc::clone(&self.shared), id: self.id, dropped: Dropped::Reset }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if !self.answered {
            self.shared.lock().refuse(self.id);
        }
    }
}

// === impl Stream ===

impl Stream {
    /// Its id on the wire.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// For whoever only reads.
    pub(crate) fn into_reader(mut self) -> Reader {
        self.dropped = Dropped::Discard;
        Reader(self)
    }

    /// For whoever only writes.
    pub(crate) fn into_writer(mut self) -> Writer {
        self.dropped = Dropped::Finish;
        self.shared.lock().ignore(self.id);
        Writer(self)
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let poll = self.shared.lock().poll_read(self.id, buf.initialize_unfilled(), cx);
        poll.map_ok(|count| buf.advance(count))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.shared.lock().poll_write(self.id, bytes, cx)
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The driver sends what is queued as soon as it can.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.lock().poll_finish(self.id, cx)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        match self.dropped {
            Dropped::Reset => state.drop_stream(self.id),
            Dropped::Discard => state.drop_reader(self.id),
            Dropped::Finish => state.drop_writer(self.id),
        }
    }
}

// === impl Reader, Writer ===

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.0).poll_read(cx, buf) {
            // Upstream's servers end a command's streams by resetting them.
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::ConnectionReset => Poll::Ready(Ok(())),
            poll => poll,
        }
    }
}

impl AsyncWrite for Writer {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
