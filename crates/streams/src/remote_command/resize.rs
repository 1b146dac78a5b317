//! A terminal's sizes: JSON objects one after another on a stream of their own.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::{Stream, StreamExt};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};

use crate::{Reader, Writer};

/// A terminal's size, in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TerminalSize {
    /// Columns.
    #[serde(alias = "width")]
    pub width: u16,
    /// Rows.
    #[serde(alias = "height")]
    pub height: u16,
}

/// The sizes that a client sends, until it sends no more or what makes no sense.
pub struct Resizes {
    reader: Reader,
    pending: Vec<u8>,
}

/// Sends sizes to a server.
pub struct Resizer(pub(super) Writer);

/// No size is longer; nor are a few of them that come together.
const MAX_PENDING_BYTES: usize = 4096;

// === impl Resizes ===

impl Resizes {
    pub(super) fn new(reader: Reader) -> Resizes {
        Resizes { reader, pending: Vec::new() }
    }

    /// The next size; `None` when none will come.
    pub async fn next(&mut self) -> Option<TerminalSize> {
        StreamExt::next(self).await
    }
}

impl Stream for Resizes {
    type Item = TerminalSize;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<TerminalSize>> {
        let this = &mut *self;
        loop {
            match take(&mut this.pending) {
                Ok(Some(size)) => return Poll::Ready(Some(size)),
                Ok(None) if this.pending.len() < MAX_PENDING_BYTES => {}
                _ => return Poll::Ready(None),
            }
            let mut bytes = [0; 512];
            let mut buf = ReadBuf::new(&mut bytes);
            let read = ready!(Pin::new(&mut this.reader).poll_read(cx, &mut buf));
            if read.is_err() || buf.filled().is_empty() {
                return Poll::Ready(None);
            }
            this.pending.extend_from_slice(buf.filled());
        }
    }
}

/// Takes the first whole size out of `pending`.
fn take(pending: &mut Vec<u8>) -> Result<Option<TerminalSize>, serde_json::Error> {
    let mut sizes = serde_json::Deserializer::from_slice(pending).into_iter();
    match sizes.next() {
        Some(Ok(size)) => {
            let end = sizes.byte_offset();
            pending.drain(..end);
            Ok(Some(size))
        }
        Some(Err(error)) if !error.is_eof() => Err(error),
        _ => Ok(None),
    }
}

// === impl Resizer ===

impl Resizer {
    /// Sends a size.
    pub async fn send(&mut self, size: TerminalSize) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(&size)?;
        line.push(b'\n');
        self.0.write_all(&line).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_come_in_any_pieces() {
        let text = b"{\"Width\":80,\"Height\":24}\n{\"width\":1, \"height\":2}{\"Width\":65535,\"Height\":0,\"X\":1}";
        for piece in 1..text.len() {
            let (mut pending, mut sizes) = (Vec::new(), Vec::new());
            for bytes in text.chunks(piece) {
                pending.extend_from_slice(bytes);
                while let Some(TerminalSize { width, height }) = take(&mut pending).unwrap() {
                    sizes.push((width, height));
                }
            }
            assert_eq!(sizes, [(80, 24), (1, 2), (65535, 0)], "{piece}");
        }
        assert!(take(&mut b"80x24".to_vec()).is_err());
        assert!(take(&mut b"{\"Width\":-1}".to_vec()).is_err());
    }
}
