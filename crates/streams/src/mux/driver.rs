//! The task that moves bytes between a connection and the streams' state.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::time::{Instant, Sleep};

use super::stream::Shared;
use super::{Error, Farewell};
use crate::Limits;

/// How much is read at once.
const READ_BYTES: usize = 16 << 10;

/// How often a peer that is not read hears that we live: kubectl gives up after 61 s without a pong.
const ALIVE: Duration = Duration::from_secs(20);

/// Moves bytes until the connection's end. The streams' state is locked for no longer than it takes to copy them.
pub(super) struct Driver<IO> {
    io: IO,
    shared: Arc<Shared>,
    limits: Limits,
    input: BytesMut,
    /// Being written; the state's own output collects behind it.
    writing: BytesMut,
    flushed: bool,
    /// Our side of the connection is shut.
    shut: bool,
    /// The peer takes nothing any more. What it sent before is still read: so a command's end is heard of a server
    /// that closed while stdin was under way.
    unheard: bool,
    /// When a byte last moved.
    moved: Instant,
    timer: Pin<Box<Sleep>>,
}

/// What the state wants.
struct Wants {
    leaving: bool,
    hungry: bool,
}

// === impl Driver ===

impl<IO: AsyncRead + AsyncWrite + Unpin> Driver<IO> {
    pub fn new(io: IO, shared: Arc<Shared>, limits: Limits) -> Driver<IO> {
        let moved = Instant::now();
        Driver {
            io,
            shared,
            limits,
            input: BytesMut::new(),
            writing: BytesMut::new(),
            flushed: true,
            shut: false,
            unheard: false,
            moved,
            timer: Box::pin(tokio::time::sleep_until(moved + limits.idle)),
        }
    }

    /// Moves bytes until the connection's end.
    pub async fn run(mut self) {
        let result = std::future::poll_fn(|cx| self.poll(cx)).await;
        match result {
            Ok(()) => {}
            Err(error @ (Error::Eof | Error::Linger)) => tracing::debug!(%error, "connection ended"),
            Err(error) => tracing::info!(%error, "streaming connection failed"),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            let wants = self.exchange(cx);
            let mut progress = self.poll_send(cx);
            if wants.leaving && self.writing.is_empty() && self.flushed && !self.shut {
                // An error means that there is nobody to tell.
                self.shut = Pin::new(&mut self.io).poll_shutdown(cx).is_ready();
            }
            if wants.hungry || wants.leaving {
                match self.poll_receive(cx) {
                    Poll::Ready(Err(Error::Eof)) if wants.leaving => return Poll::Ready(Ok(())),
                    Poll::Ready(result) => {
                        result?;
                        progress = true;
                    }
                    Poll::Pending => {}
                }
            }
            if progress {
                self.moved = Instant::now();
                continue;
            }
            ready!(self.poll_timer(&wants, cx))?;
        }
    }

    /// Takes what is to be sent next, if all before it is, and asks what else to do.
    fn exchange(&mut self, cx: &Context<'_>) -> Wants {
        let mut state = self.shared.lock();
        state.set_driver(cx.waker());
        if self.unheard {
            state.unheard();
        } else if self.writing.is_empty() {
            state.take_output(&mut self.writing);
        }
        Wants { leaving: state.leaving(), hungry: state.hungry() }
    }

    /// Sends what there is; whether anything moved.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> bool {
        match self.poll_write(cx) {
            Poll::Pending => false,
            Poll::Ready(Ok(count)) => count > 0,
            Poll::Ready(Err(error)) => {
                tracing::debug!(%error, "the peer takes nothing any more");
                (self.unheard, self.flushed) = (true, true);
                self.writing.clear();
                true
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<usize>> {
        if !self.writing.is_empty() {
            let count = ready!(Pin::new(&mut self.io).poll_write(cx, &self.writing))?;
            if count == 0 {
                return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into()));
            }
            self.writing.advance(count);
            self.flushed = false;
            return Poll::Ready(Ok(count));
        }
        if !self.flushed {
            ready!(Pin::new(&mut self.io).poll_flush(cx))?;
            self.flushed = true;
        }
        Poll::Ready(Ok(0))
    }

    /// Reads and takes in what came. A peer that makes no sense is told goodbye, and is not listened to any more.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.input.reserve(READ_BYTES);
        let read = pin!(self.io.read_buf(&mut self.input)).poll(cx);
        let count = ready!(read).map_err(Error::Read)?;
        if count == 0 {
            return Poll::Ready(Err(Error::Eof));
        }
        let mut state = self.shared.lock();
        if state.leaving() {
            self.input.clear();
        } else if let Err(error) = state.receive(&mut self.input) {
            tracing::info!(%error, "streaming connection given up");
            state.leave(Farewell::Violated);
        }
        Poll::Ready(Ok(()))
    }

    /// Waits for whichever deadline is next; ready when it changed something or is an end.
    fn poll_timer(&mut self, wants: &Wants, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let ending = wants.leaving || self.unheard;
        let alive = if wants.hungry { self.limits.keep_alive } else { Some(ALIVE) };
        // A peer that does not take what we have said already hears no more.
        let alive = alive.filter(|alive| !ending && self.writing.is_empty() && *alive < self.limits.idle);
        let after = alive.unwrap_or(if ending { self.limits.linger } else { self.limits.idle });
        let deadline = self.moved + after;
        if self.timer.deadline() != deadline {
            self.timer.as_mut().reset(deadline);
        }
        ready!(self.timer.as_mut().poll(cx));
        if alive.is_some() {
            self.shared.lock().alive();
            return Poll::Ready(Ok(()));
        }
        Poll::Ready(Err(if ending { Error::Linger } else { Error::Idle }))
    }
}

impl<IO> Drop for Driver<IO> {
    fn drop(&mut self) {
        // However it ends: by itself, with its scope, or in a panic.
        self.shared.lock().lost();
        self.shared.done.cancel();
    }
}
