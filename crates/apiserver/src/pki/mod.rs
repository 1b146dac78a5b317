//! The cluster's own certificate authority, and the keys and certificates that it has signed.
//!
//! Everything is ECDSA P-256 and lives in one folder, keys with mode 0600. What is there is kept; what is missing or
//! about to expire is made.

mod files;

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The folder of keys and certificates.
pub struct Pki {
    dir: PathBuf,
    ca_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its key, in PEM.
#[derive(Clone)]
pub struct Identity {
    /// The certificate.
    pub cert_pem: String,
    /// Its key.
    pub key_pem: String,
}

/// Whom a certificate is for.
pub struct Subject<'a> {
    /// The common name: the user.
    pub name: &'a str,
    /// The organizations: the groups.
    pub groups: &'a [&'a str],
    /// DNS names and addresses of a server.
    pub hosts: &'a [String],
}

/// Why keys or certificates could not be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A key or certificate could not be made.
    #[error("making the certificate of {subject}: {source}")]
    Make {
        /// For whom.
        subject: String,
        /// Why.
        source: rcgen::Error,
    },
    /// A file holds no key or certificate.
    #[error("{path}: {why}: restore the file, or remove the folder to make everything anew")]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

const CA_DAYS: i64 = 3650;
const LEAF_DAYS: i64 = 365;
/// A certificate is made anew when less than this is left of it.
const RENEW_DAYS: i64 = 120;

// === impl Pki ===

impl Pki {
    /// Opens the folder, making the authority if it is new.
    pub fn open(dir: &Path, now: Timestamp) -> Result<Pki, Error> {
        files::make_dir(dir)?;
        let (key_path, cert_path) = (dir.join("ca.key"), dir.join("ca.crt"));
        if !key_path.exists() && !cert_path.exists() {
            let (cert, key) = make_ca("decapod-ca", now)?;
            files::write(&key_path, &key)?;
            files::write(&cert_path, &cert)?;
        }
        let (key_pem, ca_pem) = (files::read(&key_path)?, files::read(&cert_path)?);
        let damaged = |why: rcgen::Error| Error::Damaged { path: key_path.clone(), why: why.to_string() };
        let key = KeyPair::from_pem(&key_pem).map_err(damaged)?;
        let issuer = Issuer::from_ca_cert_pem(&ca_pem, key)
            .map_err(|why| Error::Damaged { path: cert_path.clone(), why: why.to_string() })?;
        Ok(Pki { dir: dir.to_owned(), ca_pem, issuer })
    }

    /// The authority's certificate, in PEM.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The authority's key, in PEM, for who signs what the API asks for.
    pub fn ca_key_pem(&self) -> Result<String, Error> {
        files::read(&self.dir.join("ca.key"))
    }

    /// The identity kept under `file`, made if it is missing, expires soon or is for other hosts.
    pub fn identity(&self, file: &str, subject: &Subject, now: Timestamp) -> Result<Identity, Error> {
        let (cert_path, key_path) =
            (self.dir.join(format!("{file}.crt")), self.dir.join(format!("{file}.key")));
        if cert_path.exists() && key_path.exists() {
            let identity = Identity { cert_pem: files::read(&cert_path)?, key_pem: files::read(&key_path)? };
            if files::is_good(&identity.cert_pem, subject, now + SignedDuration::from_hours(24 * RENEW_DAYS))
            {
                return Ok(identity);
            }
        }
        let identity = self.sign(subject, now)?;
        files::write(&key_path, &identity.key_pem)?;
        files::write(&cert_path, &identity.cert_pem)?;
        Ok(identity)
    }

    /// A new identity, which is not kept.
    pub fn sign(&self, subject: &Subject, now: Timestamp) -> Result<Identity, Error> {
        let failed = |source| Error::Make { subject: subject.name.to_owned(), source };
        let mut params = params(subject.name, subject.groups, now, LEAF_DAYS);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if !subject.hosts.is_empty() {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        for host in subject.hosts {
            params.subject_alt_names.push(match host.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(host.clone().try_into().map_err(failed)?),
            });
        }
        let key = KeyPair::generate().map_err(failed)?;
        let cert = params.signed_by(&key, &self.issuer).map_err(failed)?;
        Ok(Identity { cert_pem: cert.pem(), key_pem: key.serialize_pem() })
    }

    /// The key that signs service-account tokens, in PKCS #8.
    pub fn token_key(&self) -> Result<Vec<u8>, Error> {
        let path = self.dir.join("service-account.key");
        if !path.exists() {
            let key = KeyPair::generate()
                .map_err(|source| Error::Make { subject: "service-account tokens".into(), source })?;
            files::write(&path, &key.serialize_pem())?;
        }
        let damaged = |why: String| Error::Damaged { path: path.clone(), why };
        let key = PrivateKeyDer::from_pem_slice(files::read(&path)?.as_bytes())
            .map_err(|why| damaged(why.to_string()))?;
        Ok(key.secret_der().to_vec())
    }
}

// === impl Identity ===

impl Identity {
    /// The chain and key, as rustls wants them.
    pub fn to_der(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Error> {
        let damaged = |why: rustls::pki_types::pem::Error| Error::Damaged {
            path: PathBuf::new(),
            why: why.to_string(),
        };
        let chain = CertificateDer::pem_slice_iter(self.cert_pem.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(damaged)?;
        let key = PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes()).map_err(damaged)?;
        Ok((chain, key))
    }
}

fn make_ca(name: &str, now: Timestamp) -> Result<(String, String), Error> {
    let failed = |source| Error::Make { subject: name.to_owned(), source };
    let mut params = params(name, &[], now, CA_DAYS);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages =
        vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().map_err(failed)?;
    let cert = params.self_signed(&key).map_err(failed)?;
    Ok((cert.pem(), key.serialize_pem()))
}

fn params(name: &str, groups: &[&str], now: Timestamp, days: i64) -> CertificateParams {
    let mut params = CertificateParams::default();
    let mut subject = DistinguishedName::new();
    for group in groups {
        subject.push(DnType::OrganizationName, *group);
    }
    subject.push(DnType::CommonName, name);
    params.distinguished_name = subject;
    // A client's clock may be behind ours.
    params.not_before = files::date(now - SignedDuration::from_hours(1));
    params.not_after = files::date(now + SignedDuration::from_hours(24 * days));
    params
}
