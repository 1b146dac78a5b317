//! Where new private keys come from.

use decapod_sys::Env;
use rcgen::KeyPair;

/// Makes private keys.
pub(super) enum Keys {
    /// ECDSA P-256, from the kernel's randomness.
    Machine,
    /// From these surroundings, so that a seed replays them: for the simulation, which keeps nobody out.
    Simulated(Env),
}

/// What goes before the 32 bytes of an Ed25519 key in PKCS #8 (RFC 8410), whose signatures need no chance.
const ED25519_PREFIX: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// A P-256 key in PKCS #8 (RFC 5915): what goes before the private number, and before the public point.
const P256_PREFIX: [u8; 36] = [
    0x30, 0x81, 0x87, 2, 1, 0, 0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48,
    0xce, 0x3d, 3, 1, 7, 4, 0x6d, 0x30, 0x6b, 2, 1, 1, 4, 0x20,
];
const P256_POINT_PREFIX: [u8; 6] = [0xa1, 0x44, 3, 0x42, 0, 4];
/// The curve's generator (FIPS 186-4, D.1.2.3), the public point of the private number 1.
const P256_GENERATOR: [u8; 64] = [
    0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63, 0xa4, 0x40, 0xf2, 0x77,
    0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96, 0x4f, 0xe3,
    0x42, 0xe2, 0xfe, 0x1a, 0x7f, 0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16, 0x2b, 0xce, 0x33,
    0x57, 0x6b, 0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5,
];

// === impl Keys ===

impl Keys {
    /// A key of a certificate.
    pub(super) fn of_certificate(&self) -> Result<KeyPair, rcgen::Error> {
        match self {
            Keys::Machine => KeyPair::generate(),
            Keys::Simulated(env) => {
                let mut seed = [0; 32];
                env.fill(&mut seed);
                KeyPair::try_from([&ED25519_PREFIX[..], &seed].concat())
            }
        }
    }

    /// A key that signs tokens with ES256. The libraries cannot make one from given randomness, so every simulation
    /// has the same: the private number 1.
    pub(super) fn of_tokens(&self) -> Result<KeyPair, rcgen::Error> {
        match self {
            Keys::Machine => KeyPair::generate(),
            Keys::Simulated(_) => {
                let mut one = [0; 32];
                one[31] = 1;
                KeyPair::try_from([&P256_PREFIX[..], &one, &P256_POINT_PREFIX, &P256_GENERATOR].concat())
            }
        }
    }
}
