//! A certificate with its key in files that somebody renews. It is read again when a file has changed, so that each new
//! connection shows the newest.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// A certificate with its key in files, which may be one.
#[derive(Debug)]
pub struct CertifiedFiles {
    cert: PathBuf,
    key: PathBuf,
    read: Mutex<(Stamp, Arc<CertifiedKey>)>,
}

/// Why a certificate and its key are of no use.
#[derive(Debug, thiserror::Error)]
pub enum CertifiedError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It does not hold what it should.
    #[error("{0}")]
    Damaged(String),
}

/// What tells two contents of a file apart: its inode, size and time of change.
type Stamp = Option<(u64, u64, i64, i64)>;

/// The certificates and the key in PEM.
pub fn certified_key(cert_pem: &[u8], key_pem: &[u8]) -> Result<CertifiedKey, CertifiedError> {
    let damaged =
        |what: &str, error: &dyn std::fmt::Display| CertifiedError::Damaged(format!("{what}: {error}"));
    let chain = CertificateDer::pem_slice_iter(cert_pem).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| damaged("certificate", &error))?;
    let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(|error| damaged("key", &error))?;
    let key = rustls::crypto::ring::sign::any_supported_type(&key).map_err(|error| damaged("key", &error))?;
    let certified = CertifiedKey::new(chain, key);
    certified.keys_match().map_err(|error| damaged("certificate and key", &error))?;
    Ok(certified)
}

// === impl CertifiedFiles ===

impl CertifiedFiles {
    /// Reads the files.
    pub fn open(cert: PathBuf, key: PathBuf) -> Result<Arc<CertifiedFiles>, CertifiedError> {
        let stamp = stamp(&cert);
        let read = Mutex::new((stamp, Arc::new(read(&cert, &key)?)));
        Ok(Arc::new(CertifiedFiles { cert, key, read }))
    }

    /// The newest. While the files are of no use it is the one before.
    pub fn current(&self) -> Arc<CertifiedKey> {
        let mut known = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        // A few hundred bytes of local files, once a connection: not worth a thread.
        let now = stamp(&self.cert);
        if now != known.0 {
            match read(&self.cert, &self.key) {
                Ok(newer) => *known = (now, Arc::new(newer)),
                Err(error) => tracing::warn!(%error, "going on with the certificate before"),
            }
        }
        Arc::clone(&known.1)
    }
}

impl ResolvesClientCert for CertifiedFiles {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl ResolvesServerCert for CertifiedFiles {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

fn read(cert: &PathBuf, key: &PathBuf) -> Result<CertifiedKey, CertifiedError> {
    let bytes = |path: &PathBuf| {
        std::fs::read(path).map_err(|source| CertifiedError::Read { path: path.clone(), source })
    };
    certified_key(&bytes(cert)?, &bytes(key)?)
}

fn stamp(path: &PathBuf) -> Stamp {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.ino(), metadata.size(), metadata.mtime(), metadata.mtime_nsec()))
}
