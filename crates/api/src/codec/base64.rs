//! Padded base64, read as Go's `StdEncoding` reads it.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};

/// Go does not mind bits left over in the last character.
const ENGINE: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// The bytes that `text` stands for; line breaks are skipped.
pub(super) fn decode(text: &str) -> Result<Vec<u8>, String> {
    let decoded = if memchr::memchr2(b'\n', b'\r', text.as_bytes()).is_some() {
        let joined: Vec<u8> = text.bytes().filter(|b| !matches!(b, b'\n' | b'\r')).collect();
        ENGINE.decode(joined)
    } else {
        ENGINE.decode(text)
    };
    decoded.map_err(|error| {
        let at = match error {
            base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => at,
            _ => text.len(),
        };
        format!("illegal base64 data at input byte {at}")
    })
}

/// The text that stands for `bytes`.
pub(super) fn encode(bytes: &[u8]) -> String {
    ENGINE.encode(bytes)
}
