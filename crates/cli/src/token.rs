//! Tokens by which a machine joins a cluster: upstream's bootstrap tokens, with the hash of the cluster's authority
//! behind them, so that the machine knows whom it joins.
//!
//! Written `abcdef.0123456789abcdef@sha256:<64 hexadecimal digits>`. What stands before the `@` is a bootstrap token as
//! `kubeadm` makes them (k8s.io/cluster-bootstrap/token/api).

use serde_json::{Value, json};

/// A token by which a machine joins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinToken {
    /// The part that is no secret: six characters.
    pub id: String,
    /// The part that is: sixteen characters.
    pub secret: String,
    /// The SHA-256 hash of the authority's public key, in hexadecimal digits; empty if the token does not say.
    pub pin: String,
}

/// What a token's Secret is called, before its id.
pub const SECRET_PREFIX: &str = "bootstrap-token-";
/// The type of tokens' Secrets.
pub const SECRET_TYPE: &str = "bootstrap.kubernetes.io/token";
/// The group that joining machines are in, the same as `kubeadm`'s.
pub const GROUP: &str = "system:bootstrappers:kubeadm:default-node-token";

const ID_LENGTH: usize = 6;
const SECRET_LENGTH: usize = 16;
const PIN_LENGTH: usize = 64;
const PIN_PREFIX: &str = "sha256:";
/// How many random bytes a token takes.
pub const RANDOM_BYTES: usize = 4 * (ID_LENGTH + SECRET_LENGTH);

/// The text is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is no join token: it looks like abcdef.0123456789abcdef@sha256:…; make one with decapod token create"
)]
pub struct NoToken;

// === impl JoinToken ===

impl JoinToken {
    /// A new token from random bytes, for the cluster whose authority has the hash `pin`.
    pub fn new(random: &[u8; RANDOM_BYTES], pin: &str) -> JoinToken {
        const LETTERS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
        let letter = |bytes: &[u8]| {
            let number = bytes.iter().fold(0u32, |number, byte| number << 8 | u32::from(*byte));
            char::from(LETTERS[(number % 36) as usize])
        };
        let text: String = random.chunks(4).map(letter).collect();
        let (id, secret) = text.split_at(ID_LENGTH);
        JoinToken { id: id.to_owned(), secret: secret.to_owned(), pin: pin.to_owned() }
    }

    /// The bootstrap token, which the API server knows.
    pub fn bootstrap(&self) -> String {
        format!("{}.{}", self.id, self.secret)
    }

    /// The Secret by which the API server knows it; `expiration` in RFC 3339, empty for never.
    pub fn to_secret(&self, expiration: &str, description: &str) -> Value {
        let mut data = json!({
            "token-id": self.id,
            "token-secret": self.secret,
            "usage-bootstrap-authentication": "true",
            "usage-bootstrap-signing": "true",
            "auth-extra-groups": GROUP,
        });
        for (key, value) in [("expiration", expiration), ("description", description)] {
            if !value.is_empty() {
                data[key] = value.into();
            }
        }
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": format!("{SECRET_PREFIX}{}", self.id), "namespace": "kube-system"},
            "type": SECRET_TYPE,
            "stringData": data,
        })
    }
}

impl std::fmt::Display for JoinToken {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(&self.bootstrap())?;
        if self.pin.is_empty() { Ok(()) } else { write!(f, "@{PIN_PREFIX}{}", self.pin) }
    }
}

impl std::str::FromStr for JoinToken {
    type Err = NoToken;

    fn from_str(text: &str) -> Result<JoinToken, NoToken> {
        let (token, pin) = match text.trim().split_once('@') {
            Some((token, pin)) => (token, pin.strip_prefix(PIN_PREFIX).ok_or(NoToken)?),
            None => (text.trim(), ""),
        };
        let (id, secret) = token.split_once('.').ok_or(NoToken)?;
        let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        let fits = id.len() == ID_LENGTH && secret.len() == SECRET_LENGTH && plain(id) && plain(secret);
        let is_pin = pin.len() == PIN_LENGTH && pin.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !fits || !(pin.is_empty() || is_pin) {
            return Err(NoToken);
        }
        Ok(JoinToken { id: id.to_owned(), secret: secret.to_owned(), pin: pin.to_ascii_lowercase() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_read_as_they_are_written() {
        let mut random = [0; RANDOM_BYTES];
        random.iter_mut().zip(0..).for_each(|(byte, at)| *byte = at);
        let token = JoinToken::new(&random, &"0f".repeat(32));
        assert_eq!(token.to_string().parse(), Ok(token.clone()));
        assert_eq!(token.bootstrap().parse(), Ok(JoinToken { pin: String::new(), ..token }));
        for text in ["", "abcdef", "abcdef.0123", "ABCDEF.0123456789abcdef", "abcdef.0123456789abcdef@0f"] {
            assert_eq!(text.parse::<JoinToken>(), Err(NoToken), "{text}");
        }
    }
}
