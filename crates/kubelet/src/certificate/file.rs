//! A key and its certificate in one file.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// What is known of a certificate that is kept.
pub(super) struct Kept {
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
    subject: String,
    names: Vec<String>,
}

/// Writes a file whole or not at all, for its owner's eyes only.
pub(super) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    let temporary = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}

// === impl Kept ===

impl Kept {
    /// Reads the file; `None` if it holds no certificate with its key.
    pub(super) fn read(path: &Path) -> Option<Kept> {
        let bytes = fs::read(path).ok()?;
        decapod_client::certified_key(&bytes, &bytes).ok()?;
        let der = CertificateDer::from_pem_slice(&bytes).ok()?;
        let (_, parsed) = X509Certificate::from_der(&der).ok()?;
        let alternative = parsed.subject_alternative_name().ok()?;
        let names = alternative.iter().flat_map(|names| &names.value.general_names);
        let validity = parsed.validity();
        Some(Kept {
            from: Timestamp::from_second(validity.not_before.timestamp()).ok()?,
            until: Timestamp::from_second(validity.not_after.timestamp()).ok()?,
            subject: parsed.subject().iter_common_name().next()?.as_str().ok()?.to_owned(),
            names: names.filter_map(text).collect(),
        })
    }

    /// Whether it is of that subject and has exactly these names.
    pub(super) fn is_of(&self, subject: &str, hosts: &[String]) -> bool {
        self.subject == subject
            && self.names.len() == hosts.len()
            && hosts.iter().all(|host| self.names.contains(host))
    }
}

fn text(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|bytes| IpAddr::from(bytes).to_string()),
            _ => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| IpAddr::from(bytes).to_string()),
        },
        _ => None,
    }
}
