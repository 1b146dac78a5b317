//! The hash that tells one pod template from another in names and labels.
//!
//! Upstream hashes Go's view of the value (k8s.io/kubernetes/pkg/controller, ComputeHash), which is no interface; only
//! that equal templates have equal hashes counts. Ours is FNV-1a of the canonical JSON, written in upstream's alphabet.

use k8s_openapi::api::core::v1::PodTemplateSpec;

/// No vowels and nothing that looks alike (k8s.io/apimachinery/pkg/util/rand, SafeEncodeString).
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// The hash of `template`; `collisions` counts how often the name that it led to was taken.
pub fn of_template(template: &PodTemplateSpec, collisions: Option<i32>) -> String {
    let json = serde_json::to_vec(template).unwrap_or_default();
    of_bytes(&json, collisions)
}

/// The hash of `bytes`.
pub fn of_bytes(bytes: &[u8], collisions: Option<i32>) -> String {
    let mut hash = fnv1a(2_166_136_261, bytes);
    if let Some(collisions) = collisions {
        let mut buffer = [0; 8];
        buffer[..4].copy_from_slice(&collisions.to_le_bytes());
        hash = fnv1a(hash, &buffer);
    }
    hash.to_string().bytes().map(|digit| char::from(ALPHABET[usize::from(digit) % ALPHABET.len()])).collect()
}

fn fnv1a(seed: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(seed, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(16_777_619))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_well_known_function_in_a_readable_alphabet() {
        assert_eq!(fnv1a(2_166_136_261, b"foobar"), 0xbf9c_f968);
        let plain = of_bytes(b"foobar", None);
        assert!(plain.bytes().all(|byte| ALPHABET.contains(&byte)));
        assert_ne!(plain, of_bytes(b"foobar", Some(1)));
    }
}
