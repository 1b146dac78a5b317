//! Finds the bytes of a text that need care, eight at a time.

const LOW: u64 = u64::from_ne_bytes([1; 8]);
const HIGH: u64 = LOW << 7;

/// Where the first byte is that is a control character or one of `marks`.
#[inline]
pub(super) fn find<const N: usize>(bytes: &[u8], marks: [u8; N]) -> Option<usize> {
    let mut chunks = bytes.chunks_exact(8);
    let mut at = 0;
    for chunk in &mut chunks {
        let word = u64::from_le_bytes(chunk.try_into().expect("chunks of eight"));
        // The lowest high bit of each term is exact; those above it may be carried.
        let control = word.wrapping_sub(LOW * 0x20) & !word & HIGH;
        let found = marks.iter().fold(control, |found, mark| {
            let other = word ^ (LOW * u64::from(*mark));
            found | (other.wrapping_sub(LOW) & !other & HIGH)
        });
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    let rest = chunks.remainder().iter().position(|b| *b < 0x20 || marks.contains(b));
    rest.map(|n| at + n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_found_at_every_place() {
        for byte in 0..=255u8 {
            for place in 0..20 {
                let mut text = vec![b'a'; 24];
                text[place] = byte;
                text[place + 1] = 0x80;
                let wanted = (byte < 0x20 || byte == b'"' || byte == 0xe2).then_some(place);
                assert_eq!(find(&text, [b'"', 0xe2]), wanted, "{byte} at {place}");
            }
        }
    }
}
