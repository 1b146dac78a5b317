//! A page's bytes as they come: unpacked, changed, and packed again.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::{DeflateDecoder, DeflateEncoder, GzEncoder, MultiGzDecoder, ZlibDecoder, ZlibEncoder};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use http_body_util::{BodyDataStream, BodyExt};
use hyper::body::{Body, Frame};

use super::html::Links;
use super::site::Site;

/// How many bytes are unpacked at once: packed ones can become a thousand times as many.
const PIECE_BYTES: usize = 2 * 1024;

/// How a page is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// Not at all.
    Identity,
    /// gzip.
    Gzip,
    /// The header's `deflate`, which may be zlib's format or what is in it.
    Deflate,
}

/// A page on its way.
pub struct Rewritten<B> {
    source: BodyDataStream<B>,
    /// What has come and is not changed yet.
    pending: Bytes,
    coding: Coding,
    site: Site,
    /// `None` before the first byte and after the last.
    pipe: Option<Pipe>,
    ended: bool,
}

/// Bytes in at one end, changed bytes out at the other.
enum Pipe {
    Identity(Links<Vec<u8>>),
    Gzip(MultiGzDecoder<Links<GzEncoder<Vec<u8>>>>),
    Deflate(DeflateDecoder<Links<DeflateEncoder<Vec<u8>>>>),
    Zlib(ZlibDecoder<Links<ZlibEncoder<Vec<u8>>>>),
}

// === impl Coding ===

impl Coding {
    /// By its name in `Content-Encoding`.
    pub fn named(name: &str) -> Option<Coding> {
        match name {
            "" | "identity" => Some(Coding::Identity),
            "gzip" => Some(Coding::Gzip),
            "deflate" => Some(Coding::Deflate),
            _ => None,
        }
    }

    /// A pipe for what begins with this byte.
    fn pipe(self, first: u8, site: Site) -> Pipe {
        let (out, level) = (Vec::new(), Compression::fast());
        match self {
            Coding::Identity => Pipe::Identity(Links::new(out, site)),
            Coding::Gzip => Pipe::Gzip(MultiGzDecoder::new(Links::new(GzEncoder::new(out, level), site))),
            // A zlib header names method 8; without one, these bits would be those of a block that nobody writes.
            Coding::Deflate if first & 0x0f == 8 => {
                Pipe::Zlib(ZlibDecoder::new(Links::new(ZlibEncoder::new(out, level), site)))
            }
            Coding::Deflate => {
                Pipe::Deflate(DeflateDecoder::new(Links::new(DeflateEncoder::new(out, level), site)))
            }
        }
    }
}

// === impl Rewritten ===

impl<B> Rewritten<B>
where
    B: Body<Data = Bytes, Error = io::Error> + Send + Unpin + 'static,
{
    /// Of `body`, which is packed in `coding`.
    pub fn new(body: B, coding: Coding, site: Site) -> Rewritten<B> {
        let source = body.into_data_stream();
        Rewritten { source, pending: Bytes::new(), coding, site, pipe: None, ended: false }
    }

    /// The changed page.
    pub fn into_stream(self) -> impl Stream<Item = io::Result<Frame<Bytes>>> + Send {
        let bytes =
            stream::try_unfold(
                self,
                |mut page| async move { Ok(page.next().await?.map(|bytes| (bytes, page))) },
            );
        bytes.map_ok(Frame::data)
    }

    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        while !self.ended {
            if self.pending.is_empty() {
                match self.source.next().await {
                    Some(bytes) => self.pending = bytes?,
                    None => {
                        self.ended = true;
                        let rest = self.pipe.take().map_or(Ok(Vec::new()), Pipe::finish)?;
                        return Ok(Some(rest.into()).filter(|rest: &Bytes| !rest.is_empty()));
                    }
                }
            }
            let Some(first) = self.pending.first() else { continue };
            let pipe = self.pipe.get_or_insert_with(|| self.coding.pipe(*first, self.site.clone()));
            let piece = self.pending.split_to(self.pending.len().min(PIECE_BYTES));
            pipe.input().write_all(&piece)?;
            if self.pending.is_empty() {
                // Whoever sends a part of a page wants it seen.
                pipe.input().flush()?;
            }
            let ready = std::mem::take(pipe.output());
            if !ready.is_empty() {
                return Ok(Some(ready.into()));
            }
        }
        Ok(None)
    }
}

// === impl Pipe ===

impl Pipe {
    fn input(&mut self) -> &mut dyn Write {
        match self {
            Pipe::Identity(links) => links,
            Pipe::Gzip(unpack) => unpack,
            Pipe::Deflate(unpack) => unpack,
            Pipe::Zlib(unpack) => unpack,
        }
    }

    fn output(&mut self) -> &mut Vec<u8> {
        match self {
            Pipe::Identity(links) => links.get_mut(),
            Pipe::Gzip(unpack) => unpack.get_mut().get_mut().get_mut(),
            Pipe::Deflate(unpack) => unpack.get_mut().get_mut().get_mut(),
            Pipe::Zlib(unpack) => unpack.get_mut().get_mut().get_mut(),
        }
    }

    /// What is left to go out. Fails if the page was packed and is not whole.
    fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Pipe::Identity(links) => links.finish(),
            Pipe::Gzip(unpack) => unpack.finish()?.finish()?.finish(),
            Pipe::Deflate(unpack) => unpack.finish()?.finish()?.finish(),
            Pipe::Zlib(unpack) => unpack.finish()?.finish()?.finish(),
        }
    }
}
