//! Writes certificates: RFC 5280 in DER.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// What is signed of a certificate; names, keys and algorithms are in DER already.
pub(super) struct Body<'a> {
    pub(super) serial: &'a [u8],
    pub(super) algorithm: &'a [u8],
    pub(super) issuer: &'a [u8],
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
    pub(super) subject: &'a [u8],
    pub(super) key: &'a [u8],
    pub(super) issuer_key_id: &'a [u8],
    /// The value of the extension of alternative names; empty for none.
    pub(super) names: &'a [u8],
    pub(super) usages: &'a [String],
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const TRUE: [u8; 3] = [0x01, 0x01, 0xff];

/// The bits of the key-usage extension, by the API's names.
const KEY_USAGES: [(&str, u16); 10] = [
    ("signing", 0),
    ("digital signature", 0),
    ("content commitment", 1),
    ("key encipherment", 2),
    ("data encipherment", 3),
    ("key agreement", 4),
    ("cert sign", 5),
    ("crl sign", 6),
    ("encipher only", 7),
    ("decipher only", 8),
];

/// The purposes of the extended-key-usage extension, by the API's names.
const PURPOSES: [(&str, &[u64]); 13] = [
    ("any", &[2, 5, 29, 37, 0]),
    ("server auth", &[1, 3, 6, 1, 5, 5, 7, 3, 1]),
    ("client auth", &[1, 3, 6, 1, 5, 5, 7, 3, 2]),
    ("code signing", &[1, 3, 6, 1, 5, 5, 7, 3, 3]),
    ("email protection", &[1, 3, 6, 1, 5, 5, 7, 3, 4]),
    ("s/mime", &[1, 3, 6, 1, 5, 5, 7, 3, 4]),
    ("ipsec end system", &[1, 3, 6, 1, 5, 5, 7, 3, 5]),
    ("ipsec tunnel", &[1, 3, 6, 1, 5, 5, 7, 3, 6]),
    ("ipsec user", &[1, 3, 6, 1, 5, 5, 7, 3, 7]),
    ("timestamping", &[1, 3, 6, 1, 5, 5, 7, 3, 8]),
    ("ocsp signing", &[1, 3, 6, 1, 5, 5, 7, 3, 9]),
    ("microsoft sgc", &[1, 3, 6, 1, 4, 1, 311, 10, 3, 3]),
    ("netscape sgc", &[2, 16, 840, 1, 113730, 4, 1]),
];

/// The signature algorithm of keys of this kind.
pub(super) fn algorithm(kind: &'static rcgen::SignatureAlgorithm) -> Option<&'static [u8]> {
    let known: [(&rcgen::SignatureAlgorithm, &[u8]); 4] = [
        (&rcgen::PKCS_ECDSA_P256_SHA256, b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02"),
        (&rcgen::PKCS_ECDSA_P384_SHA384, b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03"),
        (&rcgen::PKCS_ED25519, b"\x30\x05\x06\x03\x2b\x65\x70"),
        (&rcgen::PKCS_RSA_SHA256, b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00"),
    ];
    known.into_iter().find(|(known, _)| *known == kind).map(|(_, der)| der)
}

/// A certificate of what was signed and the signature.
pub(super) fn certificate(body: &[u8], algorithm: &[u8], signature: &[u8]) -> Vec<u8> {
    tagged(SEQUENCE, &[body, algorithm, &tagged(BIT_STRING, &[&[0], signature])])
}

/// A certificate in PEM.
pub(super) fn pem(der: &[u8]) -> String {
    let text = BASE64.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

// === impl Body ===

impl Body<'_> {
    /// In DER; an error is a usage that is not known.
    pub(super) fn encode(&self) -> Result<Vec<u8>, String> {
        let version = tagged(0xa0, &[&tagged(INTEGER, &[&[2]])]);
        let validity = tagged(SEQUENCE, &[&time(self.from), &time(self.until)]);
        let extensions = tagged(0xa3, &[&tagged(SEQUENCE, &[&self.extensions()?])]);
        Ok(tagged(
            SEQUENCE,
            &[
                &version,
                &tagged(INTEGER, &[self.serial]),
                self.algorithm,
                self.issuer,
                &validity,
                self.subject,
                self.key,
                &extensions,
            ],
        ))
    }

    fn extensions(&self) -> Result<Vec<u8>, String> {
        let mut bits = 0u16;
        let mut purposes: Vec<&[u64]> = Vec::new();
        for usage in self.usages {
            let bit = KEY_USAGES.iter().find(|(name, _)| name == usage);
            let purpose = PURPOSES.iter().find(|(name, _)| name == usage);
            match (bit, purpose) {
                (Some((_, bit)), _) => bits |= 0x8000 >> bit,
                (_, Some((_, purpose))) if !purposes.contains(purpose) => purposes.push(purpose),
                (None, None) => return Err(usage.clone()),
                _ => {}
            }
        }
        let mut out = Vec::new();
        if bits != 0 {
            // Trailing zero bits are left out (X.690, 11.2.2).
            let bytes = bits.to_be_bytes();
            let used = if bytes[1] == 0 { &bytes[..1] } else { &bytes[..] };
            let unused = (bits.trailing_zeros() % 8) as u8;
            out.extend(extension(&[2, 5, 29, 15], true, &tagged(BIT_STRING, &[&[unused], used])));
        }
        if !purposes.is_empty() {
            let purposes: Vec<u8> = purposes.into_iter().flat_map(oid).collect();
            out.extend(extension(&[2, 5, 29, 37], false, &tagged(SEQUENCE, &[&purposes])));
        }
        out.extend(extension(&[2, 5, 29, 19], true, &tagged(SEQUENCE, &[])));
        if !self.issuer_key_id.is_empty() {
            let id = tagged(SEQUENCE, &[&tagged(0x80, &[self.issuer_key_id])]);
            out.extend(extension(&[2, 5, 29, 35], false, &id));
        }
        if !self.names.is_empty() {
            out.extend(extension(&[2, 5, 29, 17], false, self.names));
        }
        Ok(out)
    }
}

fn extension(id: &[u64], critical: bool, value: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if critical { &TRUE } else { &[] };
    tagged(SEQUENCE, &[&oid(id), critical, &tagged(OCTET_STRING, &[value])])
}

/// A value of several parts.
fn tagged(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = vec![tag];
    match length {
        0..=0x7f => out.push(length as u8),
        _ => {
            let bytes = length.to_be_bytes();
            let bytes = &bytes[length.leading_zeros() as usize / 8..];
            out.push(0x80 | bytes.len() as u8);
            out.extend(bytes);
        }
    }
    parts.iter().for_each(|part| out.extend(*part));
    out
}

fn oid(arcs: &[u64]) -> Vec<u8> {
    let first = arcs[0] * 40 + arcs[1];
    let mut out = Vec::new();
    for arc in std::iter::once(&first).chain(&arcs[2..]) {
        let groups = (0..10).rev().map(|at| (arc >> (7 * at)) as u8 & 0x7f);
        let mut groups: Vec<u8> = groups.skip_while(|group| *group == 0).collect();
        if groups.is_empty() {
            groups.push(0);
        }
        let last = groups.len() - 1;
        out.extend(
            groups.iter().enumerate().map(|(at, group)| if at < last { group | 0x80 } else { *group }),
        );
    }
    tagged(OID, &[&out])
}

fn time(at: Timestamp) -> Vec<u8> {
    let at = at.to_zoned(TimeZone::UTC);
    match at.year() {
        1950..2050 => tagged(UTC_TIME, &[at.strftime("%y%m%d%H%M%SZ").to_string().as_bytes()]),
        _ => tagged(GENERALIZED_TIME, &[at.strftime("%Y%m%d%H%M%SZ").to_string().as_bytes()]),
    }
}
