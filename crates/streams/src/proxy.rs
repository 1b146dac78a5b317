//! One connection's bytes passed on to another, both ways.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// How much is copied at once, each way.
const BUFFER_BYTES: usize = 16 << 10;

/// When copying ends though a side is still open.
#[derive(Clone, Copy, Debug, Default)]
pub struct Patience {
    /// Without a byte either way for so long.
    pub idle: Option<Duration>,
    /// So long after one side has ended, without a byte the other way. `None` waits for both ends, as TCP would;
    /// upgraded connections end in both directions, so a few seconds do for them.
    pub half_open: Option<Duration>,
}

/// What was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Copied {
    /// Bytes from the first to the second.
    pub a_to_b: u64,
    /// Bytes from the second to the first.
    pub b_to_a: u64,
    /// Whether patience ended before both sides did.
    pub gave_up: bool,
}

/// One way.
struct Way {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    copied: u64,
    unflushed: bool,
    state: WayState,
    failed: Option<io::Error>,
}

#[derive(Clone, Copy, PartialEq)]
enum WayState {
    Copying,
    ShuttingDown,
    Done,
}

/// Copies both ways until both sides have ended: the end of one side is told to the other, which may still send. A way
/// that fails ends alone, for who does not listen any more may still have said something; the first error is returned
/// at the end. Ends early when `patience` does, or when the future is dropped (with its scope).
pub async fn copy_both<A, B>(a: &mut A, b: &mut B, patience: Patience) -> io::Result<Copied>
where
    A: AsyncRead + AsyncWrite + Unpin + ?Sized,
    B: AsyncRead + AsyncWrite + Unpin + ?Sized,
{
    let (mut forth, mut back) = (Way::new(), Way::new());
    let mut moved = Instant::now();
    let mut timer: Option<Pin<Box<Sleep>>> = None;
    std::future::poll_fn(|cx| {
        let before = forth.copied + back.copied;
        let one = forth.poll(cx, a, b);
        let other = back.poll(cx, b, a);
        let copied = Copied { a_to_b: forth.copied, b_to_a: back.copied, gave_up: false };
        if one.is_ready() && other.is_ready() {
            return Poll::Ready(forth.failed.take().or(back.failed.take()).map_or(Ok(copied), Err));
        }
        if forth.copied + back.copied != before {
            moved = Instant::now();
        }
        let half_open = one.is_ready() || other.is_ready();
        match if half_open { patience.half_open.or(patience.idle) } else { patience.idle } {
            None => return Poll::Pending,
            Some(after) => {
                let deadline = moved + after;
                let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
                if timer.deadline() != deadline {
                    timer.as_mut().reset(deadline);
                }
                ready!(timer.as_mut().poll(cx));
            }
        }
        Poll::Ready(Ok(Copied { gave_up: true, ..copied }))
    })
    .await
}

// === impl Way ===

impl Way {
    fn new() -> Way {
        let buffer = vec![0; BUFFER_BYTES].into_boxed_slice();
        Way { buffer, start: 0, end: 0, copied: 0, unflushed: false, state: WayState::Copying, failed: None }
    }

    /// Ready when nothing more is copied this way.
    fn poll<R, W>(&mut self, cx: &mut Context<'_>, reader: &mut R, writer: &mut W) -> Poll<()>
    where
        R: AsyncRead + Unpin + ?Sized,
        W: AsyncWrite + Unpin + ?Sized,
    {
        while let Err(error) = ready!(self.poll_copy(cx, reader, writer)) {
            // After a read that failed, the other side still has to hear of the end.
            let unread = self.state == WayState::Copying && self.start == self.end;
            self.state = if unread { WayState::ShuttingDown } else { WayState::Done };
            self.failed.get_or_insert(error);
        }
        Poll::Ready(())
    }

    /// Ready when all is copied and the writing side is shut.
    fn poll_copy<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut R,
        writer: &mut W,
    ) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin + ?Sized,
        W: AsyncWrite + Unpin + ?Sized,
    {
        loop {
            match self.state {
                WayState::Done => return Poll::Ready(Ok(())),
                WayState::ShuttingDown => {
                    ready!(Pin::new(&mut *writer).poll_shutdown(cx))?;
                    self.state = WayState::Done;
                }
                WayState::Copying if self.start < self.end => {
                    let bytes = &self.buffer[self.start..self.end];
                    let count = ready!(Pin::new(&mut *writer).poll_write(cx, bytes))?;
                    if count == 0 {
                        return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                    }
                    self.start += count;
                    self.copied += count as u64;
                    self.unflushed = true;
                }
                WayState::Copying => ready!(self.poll_fill(cx, reader, writer))?,
            }
        }
    }

    /// Reads; while there is nothing to read, sees to it that what was written goes out.
    fn poll_fill<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut R,
        writer: &mut W,
    ) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin + ?Sized,
        W: AsyncWrite + Unpin + ?Sized,
    {
        let mut buf = ReadBuf::new(&mut self.buffer);
        match Pin::new(reader).poll_read(cx, &mut buf) {
            Poll::Ready(result) => {
                result?;
                (self.start, self.end) = (0, buf.filled().len());
                if self.end == 0 {
                    self.state = WayState::ShuttingDown;
                }
                Poll::Ready(Ok(()))
            }
            Poll::Pending => {
                if self.unflushed {
                    ready!(Pin::new(writer).poll_flush(cx))?;
                    self.unflushed = false;
                }
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_half_close_goes_through_and_the_other_half_lives_on() {
        let ((mut client, mut a), (mut b, mut server)) = (duplex(64), duplex(64));
        let copy = copy_both(&mut a, &mut b, Patience::default());
        let talk = async {
            client.write_all(&[1; 1000]).await.unwrap();
            client.shutdown().await.unwrap();
            let mut got = Vec::new();
            client.read_to_end(&mut got).await.unwrap();
            got.len()
        };
        let answer = async {
            let mut got = Vec::new();
            server.read_to_end(&mut got).await.unwrap();
            server.write_all(&[2; 3000]).await.unwrap();
            drop(server);
            got.len()
        };
        let (copied, got, sent) = tokio::join!(copy, talk, answer);
        assert_eq!((got, sent), (3000, 1000));
        assert_eq!(copied.unwrap(), Copied { a_to_b: 1000, b_to_a: 3000, gave_up: false });
    }

    /// A command's output, and the connection's end while its client still types: what was typed is lost, not the output.
    #[tokio::test(start_paused = true)]
    async fn what_was_said_is_heard_though_nobody_listens_any_more() {
        let ((mut client, mut a), (mut b, mut server)) = (duplex(64), duplex(64));
        server.write_all(b"output").await.unwrap();
        drop(server);
        client.write_all(b"typed").await.unwrap();
        let copy = copy_both(&mut a, &mut b, Patience::default());
        let read = async {
            let mut got = String::new();
            client.read_to_string(&mut got).await.unwrap();
            client.shutdown().await.unwrap();
            got
        };
        let (copied, got) = tokio::join!(copy, read);
        assert_eq!(got, "output");
        assert_eq!(copied.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends() {
        let seconds = |n| Some(Duration::from_secs(n));
        let ((mut client, mut a), (mut b, _server)) = (duplex(64), duplex(64));
        let began = Instant::now();
        let idle = copy_both(&mut a, &mut b, Patience { idle: seconds(60), half_open: None }).await.unwrap();
        assert_eq!((idle.gave_up, began.elapsed().as_secs()), (true, 60));
        client.shutdown().await.unwrap();
        let half =
            copy_both(&mut a, &mut b, Patience { idle: seconds(60), half_open: seconds(5) }).await.unwrap();
        assert_eq!((half.gave_up, began.elapsed().as_secs()), (true, 65));
    }
}
