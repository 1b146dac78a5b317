//! Name/value blocks and how they are compressed: one zlib stream for each direction of a connection, flushed after
//! each block, so a block must be read even if nobody wants it.

use bytes::{Buf, BufMut, BytesMut};
use flate2::{Decompress, FlushDecompress, Status};

use super::Error;
use super::dictionary::dictionary;

/// The headers of a stream, names in lower case.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Headers(Vec<(String, String)>);

/// Reads the blocks of one connection.
pub(super) struct Inflater {
    zlib: Option<Decompress>,
    max_bytes: usize,
}

/// Writes the blocks of one connection, without compressing: a few dozen bytes are not worth a compressor's memory.
#[derive(Default)]
pub(super) struct Deflater {
    started: bool,
}

// === impl Headers ===

impl Headers {
    /// Headers of these pairs.
    pub fn new(pairs: &[(&str, &str)]) -> Headers {
        Headers(pairs.iter().map(|(name, value)| (name.to_ascii_lowercase(), (*value).to_owned())).collect())
    }

    /// The (first) value of `name`, which is in lower case; empty when there is none, as upstream reads headers.
    pub fn get(&self, name: &str) -> &str {
        let value = self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
        value.split('\0').next().unwrap_or_default()
    }

    fn parse(mut plain: &[u8]) -> Result<Headers, Error> {
        let count = plain.try_get_u32().map_err(|_| Error::HeadersMalformed)?;
        let mut pairs = Vec::new();
        for _ in 0..count {
            pairs.push((text(&mut plain)?.to_ascii_lowercase(), text(&mut plain)?));
        }
        if plain.is_empty() { Ok(Headers(pairs)) } else { Err(Error::HeadersMalformed) }
    }

    fn write(&self, out: &mut BytesMut) {
        out.put_u32(self.0.len() as u32);
        for text in self.0.iter().flat_map(|(name, value)| [name, value]) {
            out.put_u32(text.len() as u32);
            out.put_slice(text.as_bytes());
        }
    }
}

fn text(plain: &mut &[u8]) -> Result<String, Error> {
    let length = plain.try_get_u32().map_err(|_| Error::HeadersMalformed)? as usize;
    let (text, rest) = plain.split_at_checked(length).ok_or(Error::HeadersMalformed)?;
    *plain = rest;
    String::from_utf8(text.to_vec()).map_err(|_| Error::HeadersMalformed)
}

// === impl Inflater ===

impl Inflater {
    /// Reads blocks of at most `max_bytes`, decompressed.
    pub fn new(max_bytes: usize) -> Inflater {
        Inflater { zlib: None, max_bytes }
    }

    /// Reads the next block.
    pub fn headers(&mut self, block: &[u8]) -> Result<Headers, Error> {
        let plain = self.inflate(block)?;
        Headers::parse(&plain)
    }

    fn inflate(&mut self, mut block: &[u8]) -> Result<Vec<u8>, Error> {
        let zlib = self.zlib.get_or_insert_with(|| Decompress::new(true));
        let mut plain = Vec::with_capacity(512);
        loop {
            if plain.len() == plain.capacity() {
                plain.reserve(plain.len());
            }
            let (before_in, before_out) = (zlib.total_in(), plain.len());
            match zlib.decompress_vec(block, &mut plain, FlushDecompress::Sync) {
                Ok(Status::StreamEnd) => return Err(Error::Inflate("the stream ended".into())),
                Ok(_) => {}
                Err(error) if error.needs_dictionary().is_some() => {
                    zlib.set_dictionary(&dictionary()).map_err(|error| Error::Inflate(error.to_string()))?;
                }
                Err(error) => return Err(Error::Inflate(error.to_string())),
            }
            if plain.len() > self.max_bytes {
                return Err(Error::HeadersTooLong(self.max_bytes));
            }
            let read = (zlib.total_in() - before_in) as usize;
            block = block.get(read..).unwrap_or_default();
            if block.is_empty() && plain.len() < plain.capacity() {
                return Ok(plain);
            }
            if read == 0 && plain.len() == before_out && plain.len() < plain.capacity() {
                return Err(Error::Inflate("it makes no progress".into()));
            }
        }
    }
}

// === impl Deflater ===

impl Deflater {
    /// Writes the next block: a stored block of deflate (RFC 1951, 3.2.4), then an empty one, at which a reader
    /// hands on what it has. Fails on headers of more than 65535 bytes.
    pub fn headers(&mut self, headers: &Headers, out: &mut BytesMut) -> Result<(), Error> {
        let mut plain = BytesMut::new();
        headers.write(&mut plain);
        let length = u16::try_from(plain.len()).map_err(|_| Error::HeadersTooLong(usize::from(u16::MAX)))?;
        if !std::mem::replace(&mut self.started, true) {
            out.put_slice(&[0x78, 0x01]);
        }
        out.put_u8(0);
        out.put_u16_le(length);
        out.put_u16_le(!length);
        out.put_slice(&plain);
        out.put_slice(&[0, 0, 0, 0xff, 0xff]);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use flate2::{Compress, Compression, FlushCompress};

    use super::*;

    fn compressed(zlib: &mut Compress, plain: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(plain.len() + 1024);
        zlib.compress_vec(plain, &mut out, FlushCompress::Sync).unwrap();
        out
    }

    #[test]
    fn reads_what_a_compressor_with_the_dictionary_writes() {
        let mut zlib = Compress::new(Compression::best(), true);
        zlib.set_dictionary(&dictionary()).unwrap();
        let mut inflater = Inflater::new(1 << 16);
        for port in ["80", "8080", "80"] {
            let headers = Headers::new(&[("streamType", "data"), ("port", port), ("requestID", "7")]);
            let mut plain = BytesMut::new();
            headers.write(&mut plain);
            assert_eq!(inflater.headers(&compressed(&mut zlib, &plain)).unwrap(), headers);
        }
    }

    #[test]
    fn reads_what_we_write() {
        let (mut deflater, mut inflater) = (Deflater::default(), Inflater::new(1 << 16));
        for value in ["", "x", &"long ".repeat(1000)] {
            let headers = Headers::new(&[("a", value), ("b", "2")]);
            let mut block = BytesMut::new();
            deflater.headers(&headers, &mut block).unwrap();
            assert_eq!(inflater.headers(&block).unwrap(), headers);
        }
    }

    #[test]
    fn refuses_a_bomb() {
        let mut zlib = Compress::new(Compression::best(), true);
        let mut out = vec![0; 1 << 16];
        zlib.compress(&vec![0; 1 << 24], &mut out, FlushCompress::Sync).unwrap();
        out.truncate(zlib.total_out() as usize);
        assert!(out.len() < 32 << 10);
        assert!(matches!(Inflater::new(1 << 16).headers(&out), Err(Error::HeadersTooLong(_))));
    }

    #[test]
    fn refuses_lengths_that_are_not_there() {
        for plain in [&[0, 0, 0, 1][..], &[0xff; 12], &[0, 0, 0, 0, 1], &[]] {
            assert!(matches!(Headers::parse(plain), Err(Error::HeadersMalformed)), "{plain:?}");
        }
    }

    #[test]
    fn several_values_are_apart_by_a_zero() {
        assert_eq!(Headers::new(&[("a", "1\x002")]).get("a"), "1");
        assert_eq!(Headers::default().get("a"), "");
    }
}
