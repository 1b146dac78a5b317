//! The files of the authority, and what is read off them.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::{Error, Subject};

/// A folder of small texts.
pub(super) enum Folder {
    /// On this machine.
    Dir(PathBuf),
    /// In memory, for the simulation.
    Memory(Mutex<BTreeMap<String, String>>),
}

// === impl Folder ===

impl Folder {
    /// The directory `dir`, made if it is not there.
    pub(super) fn open(dir: &Path) -> Result<Folder, Error> {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.map_err(|source| failed(dir, source)).map(|()| Folder::Dir(dir.to_owned()))
    }

    /// How errors name a file.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        match self {
            Folder::Dir(dir) => dir.join(name),
            Folder::Memory(_) => PathBuf::from(name),
        }
    }

    /// Whether there is a file of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        match self {
            Folder::Dir(dir) => dir.join(name).exists(),
            Folder::Memory(texts) => lock(texts).contains_key(name),
        }
    }

    /// A file's text.
    pub(super) fn read(&self, name: &str) -> Result<String, Error> {
        let path = self.path(name);
        match self {
            Folder::Dir(_) => std::fs::read_to_string(&path).map_err(|source| failed(&path, source)),
            Folder::Memory(texts) => {
                let missing = || failed(&path, std::io::ErrorKind::NotFound.into());
                lock(texts).get(name).cloned().ok_or_else(missing)
            }
        }
    }

    /// Writes a file whole or not at all.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<(), Error> {
        match self {
            Folder::Dir(dir) => write(&dir.join(name), text),
            Folder::Memory(texts) => {
                lock(texts).insert(name.to_owned(), text.to_owned());
                Ok(())
            }
        }
    }
}

fn lock<T>(texts: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    texts.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    let temporary = path.with_extension("new");
    let written = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&temporary, path));
    written.map_err(|source| failed(path, source))
}

/// Whether a certificate is valid until `until` and names what `subject` names.
pub(super) fn is_good(pem: &str, subject: &Subject, until: Timestamp) -> bool {
    let Ok(der) = CertificateDer::from_pem_slice(pem.as_bytes()) else { return false };
    let Ok((_, cert)) = X509Certificate::from_der(&der) else { return false };
    if cert.validity().not_after.timestamp() < until.as_second() {
        return false;
    }
    let name = cert.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
    if name != Some(subject.name) {
        return false;
    }
    let names = cert.subject_alternative_name().ok().flatten();
    let hosts: Vec<String> =
        names.iter().flat_map(|names| names.value.general_names.iter()).filter_map(host).collect();
    subject.hosts.iter().all(|host| hosts.contains(host))
}

fn host(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match <[u8; 4]>::try_from(*bytes) {
            Ok(v4) => Some(std::net::Ipv4Addr::from(v4).to_string()),
            Err(_) => <[u8; 16]>::try_from(*bytes).ok().map(|v6| std::net::Ipv6Addr::from(v6).to_string()),
        },
        _ => None,
    }
}

/// A time as certificates have it.
pub(super) fn date(time: Timestamp) -> time::OffsetDateTime {
    let seconds = time.to_zoned(TimeZone::UTC).timestamp().as_second();
    time::OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(time::OffsetDateTime::UNIX_EPOCH)
}

fn failed(path: &Path, source: std::io::Error) -> Error {
    Error::File { path: path.to_owned(), source }
}
