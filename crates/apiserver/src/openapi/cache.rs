//! Documents that are built when they are first asked for, and kept compressed.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use decapod_api::Status;
use decapod_api::kinds::Resource;

/// The documents that were asked for.
#[derive(Default)]
pub struct Documents(Mutex<HashMap<String, Kept>>);

/// A document, and the rows and the documents of other servers that it was made from.
struct Kept {
    rows: Vec<Arc<Resource>>,
    others: Vec<String>,
    document: Arc<Document>,
}

/// A document as it is served.
pub struct Document {
    /// The SHA-512 of its JSON, in hexadecimal.
    pub etag: String,
    /// Its bytes, compressed with gzip.
    pub gzip: Bytes,
}

// === impl Documents ===

impl Documents {
    /// The document of this name, made by `build` unless the one at hand was made from the same rows and from documents
    /// of other servers with the same tags.
    pub fn get(
        &self,
        name: &str,
        rows: &[Arc<Resource>],
        others: &[String],
        build: impl FnOnce() -> Result<Document, Status>,
    ) -> Result<Arc<Document>, Status> {
        // Building under the lock keeps two clients that come together from building the same.
        let mut kept = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let same = |old: &&Kept| {
            old.others == others
                && old.rows.len() == rows.len()
                && old.rows.iter().zip(rows).all(|(a, b)| Arc::ptr_eq(a, b))
        };
        if let Some(old) = kept.get(name).filter(same) {
            return Ok(old.document.clone());
        }
        let document = Arc::new(build()?);
        kept.insert(
            name.to_owned(),
            Kept { rows: rows.to_vec(), others: others.to_vec(), document: document.clone() },
        );
        Ok(document)
    }
}

// === impl Document ===

impl Document {
    /// A document of these bytes; its ETag is that of its JSON form.
    pub fn new(bytes: &[u8], etag: String) -> Result<Document, Status> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        let gzip = encoder.write_all(bytes).and_then(|()| encoder.finish()).map_err(Status::internal)?;
        Ok(Document { etag, gzip: gzip.into() })
    }

    /// The bytes as they were.
    pub fn plain(&self) -> Result<Vec<u8>, Status> {
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(&*self.gzip).read_to_end(&mut bytes).map_err(Status::internal)?;
        Ok(bytes)
    }
}

/// The ETag of a document's JSON.
pub fn etag(json: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA512, json);
    digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect()
}
