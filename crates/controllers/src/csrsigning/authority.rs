//! A certificate authority that signs what requests ask for. Subject, key and alternative names are taken over as they
//! were encoded.

use decapod_sys::Env;
use jiff::{SignedDuration, Timestamp};
use rcgen::{KeyPair, SigningKey};
use x509_parser::extensions::ParsedExtension;
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::der;
use crate::certificates::Wanted;

/// A certificate authority.
pub struct Authority {
    env: Env,
    key: KeyPair,
    /// Of the signatures, in DER.
    algorithm: &'static [u8],
    /// Our own subject, in DER.
    name: Vec<u8>,
    /// Our own key's identifier; empty for none.
    key_id: Vec<u8>,
    until: Timestamp,
    longest: SignedDuration,
}

/// When a certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// From then.
    pub from: Timestamp,
    /// Until then.
    pub until: Timestamp,
}

/// Why an authority cannot be, or does not sign.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// Its certificate does not read.
    #[error("the signer's certificate: {0}")]
    Certificate(String),
    /// Its key does not read, or is of a kind that is not known.
    #[error("the signer's key: {0}")]
    Key(String),
    /// It is over.
    #[error("the signer has expired: NotAfter={0}")]
    Expired(Timestamp),
    /// Nobody knows what that means.
    #[error("unrecognized usage values: {0}")]
    Usage(String),
    /// The key did not sign.
    #[error("signing: {0}")]
    Sign(rcgen::Error),
}

// === impl Authority ===

impl Authority {
    /// The authority of a certificate and its key, in PEM, which signs for at most `longest`.
    pub fn new(
        env: &Env,
        cert_pem: &str,
        key_pem: &str,
        longest: SignedDuration,
    ) -> Result<Authority, AuthorityError> {
        let key = KeyPair::from_pem(key_pem).map_err(|error| AuthorityError::Key(error.to_string()))?;
        let algorithm = der::algorithm(key.algorithm())
            .ok_or_else(|| AuthorityError::Key("of an unknown kind".into()))?;
        let wrong = |error: &dyn std::fmt::Display| AuthorityError::Certificate(error.to_string());
        let (_, block) = parse_x509_pem(cert_pem.as_bytes()).map_err(|error| wrong(&error))?;
        let (_, cert) = X509Certificate::from_der(&block.contents).map_err(|error| wrong(&error))?;
        let key_id = cert.extensions().iter().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
            _ => None,
        });
        let until =
            Timestamp::from_second(cert.validity().not_after.timestamp()).map_err(|error| wrong(&error))?;
        Ok(Authority {
            env: env.clone(),
            algorithm,
            name: cert.subject().as_raw().to_vec(),
            key_id: key_id.unwrap_or_default(),
            until,
            longest,
            key,
        })
    }

    /// The longest that it signs for.
    pub fn longest(&self) -> SignedDuration {
        self.longest
    }

    /// A certificate in PEM, for no longer than the authority itself is good.
    pub fn sign(
        &self,
        wanted: &Wanted,
        usages: &[String],
        validity: Validity,
        now: Timestamp,
    ) -> Result<String, AuthorityError> {
        if now >= self.until {
            return Err(AuthorityError::Expired(self.until));
        }
        let mut serial = [0; 16];
        self.env.fill(&mut serial);
        // A positive number of the same length each time.
        serial[0] = serial[0] & 0x7f | 0x40;
        let body = der::Body {
            serial: &serial,
            algorithm: self.algorithm,
            issuer: &self.name,
            from: validity.from,
            until: validity.until.min(self.until),
            subject: &wanted.subject_der,
            key: &wanted.key_der,
            issuer_key_id: &self.key_id,
            names: &wanted.names_der,
            usages,
        };
        let body = body.encode().map_err(AuthorityError::Usage)?;
        let signature = self.key.sign(&body).map_err(AuthorityError::Sign)?;
        Ok(der::pem(&der::certificate(&body, self.algorithm, &signature)))
    }
}
