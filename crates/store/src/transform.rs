//! What happens to a body between memory, which holds it plain, and the log: encryption at rest.

use std::borrow::Cow;

use thiserror::Error;

/// Seals what goes to disk and opens what comes from there. The key path is to be authenticated with the body, so
/// that a sealed body cannot be moved to another key.
pub trait Transform: Send + Sync {
    /// Appends the sealed `body` of `key` to `out`.
    fn seal(&self, key: &str, body: &[u8], out: &mut Vec<u8>);

    /// The body that `sealed` holds.
    fn open<'a>(&self, key: &str, sealed: &'a [u8]) -> Result<Cow<'a, [u8]>, OpenBodyError>;
}

/// A sealed body could not be opened: a wrong encryption key, or bytes that someone changed.
#[derive(Clone, Debug, Error)]
#[error("{reason}")]
pub struct OpenBodyError {
    /// Why, for an operator.
    pub reason: String,
}

/// Leaves bodies as they are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plain;

// === impl Plain ===

impl Transform for Plain {
    fn seal(&self, _: &str, body: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(body);
    }

    fn open<'a>(&self, _: &str, sealed: &'a [u8]) -> Result<Cow<'a, [u8]>, OpenBodyError> {
        Ok(Cow::Borrowed(sealed))
    }
}
