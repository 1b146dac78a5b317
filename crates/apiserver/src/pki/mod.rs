//! The cluster's own certificate authority, and the keys and certificates that it has signed.
//!
//! Everything is ECDSA P-256 and lives in one folder, keys with mode 0600. What is there is kept; what is missing or
//! about to expire is made.

mod files;
mod keys;

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use decapod_sys::Env;
use files::Folder;
use keys::Keys;

/// The folder of keys and certificates.
pub struct Pki {
    folder: Folder,
    keys: Keys,
    ca_pem: String,
    front_proxy_ca_pem: String,
    issuer: Issuer<'static, KeyPair>,
    front_proxy_issuer: Issuer<'static, KeyPair>,
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
    /// Opens the folder `dir`, making the authority if it is new.
    pub fn open(dir: &Path, now: Timestamp) -> Result<Pki, Error> {
        Pki::within(Folder::open(dir)?, Keys::Machine, now)
    }

    /// A new authority that is kept in memory and whose keys come from the randomness of `env`. For the simulation:
    /// such keys keep nobody out.
    pub fn simulated(env: &Env) -> Result<Pki, Error> {
        Pki::within(Folder::Memory(Default::default()), Keys::Simulated(env.clone()), env.now())
    }

    fn within(folder: Folder, keys: Keys, now: Timestamp) -> Result<Pki, Error> {
        let ca_pem = authority(&folder, "ca", "decapod-ca", &keys, now)?;
        let front_proxy_ca_pem = authority(&folder, "front-proxy-ca", "decapod-front-proxy-ca", &keys, now)?;
        let issuer = issuer(&folder, "ca", &ca_pem)?;
        let front_proxy_issuer = self::issuer(&folder, "front-proxy-ca", &front_proxy_ca_pem)?;
        Ok(Pki { folder, keys, ca_pem, front_proxy_ca_pem, issuer, front_proxy_issuer })
    }

    /// The authority's certificate, in PEM.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The certificate, in PEM, of the authority for whoever speaks in the names of others to further API servers.
    pub fn front_proxy_ca_pem(&self) -> &str {
        &self.front_proxy_ca_pem
    }

    /// The authority's key, in PEM, for who signs what the API asks for.
    pub fn ca_key_pem(&self) -> Result<String, Error> {
        self.folder.read("ca.key")
    }

    /// The identity kept under `file`, made if it is missing, expires soon or is for other hosts.
    pub fn identity(&self, file: &str, subject: &Subject, now: Timestamp) -> Result<Identity, Error> {
        self.kept(file, &self.issuer, subject, now)
    }

    /// The identity of whoever speaks in the names of others to further API servers, kept like others.
    pub fn front_proxy_identity(&self, subject: &Subject, now: Timestamp) -> Result<Identity, Error> {
        self.kept("front-proxy-client", &self.front_proxy_issuer, subject, now)
    }

    fn kept(
        &self,
        file: &str,
        issuer: &Issuer<'static, KeyPair>,
        subject: &Subject,
        now: Timestamp,
    ) -> Result<Identity, Error> {
        let (cert_file, key_file) = (format!("{file}.crt"), format!("{file}.key"));
        let folder = &self.folder;
        if folder.has(&cert_file) && folder.has(&key_file) {
            let identity = Identity { cert_pem: folder.read(&cert_file)?, key_pem: folder.read(&key_file)? };
            if files::is_good(&identity.cert_pem, subject, now + SignedDuration::from_hours(24 * RENEW_DAYS))
            {
                return Ok(identity);
            }
        }
        let identity = self.signed_by(issuer, subject, now)?;
        folder.write(&key_file, &identity.key_pem)?;
        folder.write(&cert_file, &identity.cert_pem)?;
        Ok(identity)
    }

    /// A new identity, which is not kept.
    pub fn sign(&self, subject: &Subject, now: Timestamp) -> Result<Identity, Error> {
        self.signed_by(&self.issuer, subject, now)
    }

    fn signed_by(
        &self,
        issuer: &Issuer<'static, KeyPair>,
        subject: &Subject,
        now: Timestamp,
    ) -> Result<Identity, Error> {
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
        let key = self.keys.of_certificate().map_err(failed)?;
        let cert = params.signed_by(&key, issuer).map_err(failed)?;
        Ok(Identity { cert_pem: cert.pem(), key_pem: key.serialize_pem() })
    }

    /// The key that signs service-account tokens, in PKCS #8.
    pub fn token_key(&self) -> Result<Vec<u8>, Error> {
        let (folder, file) = (&self.folder, "service-account.key");
        if !folder.has(file) {
            let made = self.keys.of_tokens();
            let key =
                made.map_err(|source| Error::Make { subject: "service-account tokens".into(), source })?;
            folder.write(file, &key.serialize_pem())?;
        }
        let damaged = |why: String| Error::Damaged { path: folder.path(file), why };
        let key = PrivateKeyDer::from_pem_slice(folder.read(file)?.as_bytes())
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

/// The authority kept under `file`, which signs.
fn issuer(folder: &Folder, file: &str, cert_pem: &str) -> Result<Issuer<'static, KeyPair>, Error> {
    let (key_file, cert_file) = (format!("{file}.key"), format!("{file}.crt"));
    let damaged =
        |file: &str, why: rcgen::Error| Error::Damaged { path: folder.path(file), why: why.to_string() };
    let key = KeyPair::from_pem(&folder.read(&key_file)?).map_err(|why| damaged(&key_file, why))?;
    Issuer::from_ca_cert_pem(cert_pem, key).map_err(|why| damaged(&cert_file, why))
}

/// The certificate of the authority kept under `file`, which is made if it is new.
fn authority(folder: &Folder, file: &str, name: &str, keys: &Keys, now: Timestamp) -> Result<String, Error> {
    let (key_file, cert_file) = (format!("{file}.key"), format!("{file}.crt"));
    if !folder.has(&key_file) && !folder.has(&cert_file) {
        let (cert, key) = make_ca(name, keys, now)?;
        folder.write(&key_file, &key)?;
        folder.write(&cert_file, &cert)?;
    }
    folder.read(&cert_file)
}

fn make_ca(name: &str, keys: &Keys, now: Timestamp) -> Result<(String, String), Error> {
    let failed = |source| Error::Make { subject: name.to_owned(), source };
    let mut params = params(name, &[], now, CA_DAYS);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages =
        vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = keys.of_certificate().map_err(failed)?;
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
