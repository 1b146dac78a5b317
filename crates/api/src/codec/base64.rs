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
    decoded.map_err(|_| format!("illegal base64 data at input byte {}", broken_at(text.as_bytes())))
}

/// Where Go says that a broken text is broken (encoding/base64, decodeQuantum).
fn broken_at(text: &[u8]) -> usize {
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    let mut rest = text.iter().enumerate().filter(|(_, byte)| !matches!(byte, b'\n' | b'\r'));
    let mut digits = 0;
    loop {
        match rest.next() {
            // Four of them belong together.
            None => return text.len() - digits % 4,
            Some((_, byte)) if is_digit(*byte) => digits += 1,
            Some((at, b'=')) if digits % 4 >= 2 => {
                let mut after = (at, rest.next());
                if digits % 4 == 2 {
                    match after.1 {
                        None => return text.len(),
                        Some((next, b'=')) => after = (next, rest.next()),
                        // One before what stands there, line breaks or not.
                        Some((next, _)) => return next - 1,
                    }
                }
                return after.1.map_or(after.0, |(next, _)| next);
            }
            Some((at, _)) => return at,
        }
    }
}

/// The text that stands for `bytes`.
pub(super) fn encode(bytes: &[u8]) -> String {
    ENGINE.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_broken_is_named_by_its_place() {
        let table = [
            ("abcde", 4),
            ("ab", 0),
            ("abc", 0),
            ("ab=", 3),
            ("ab=c", 2),
            ("a=", 1),
            ("abc=d", 4),
            ("ab*d", 2),
            ("abcd\nef", 5),
        ];
        for (text, at) in table {
            assert_eq!(decode(text), Err(format!("illegal base64 data at input byte {at}")), "{text}");
        }
        assert_eq!(decode("YW\nJj"), Ok(b"abc".to_vec()));
    }
}
