//! Authentication: who asks, found from a client certificate or a token.

pub mod bootstrap;
pub mod certificate;
pub mod tokens;

use jiff::Timestamp;

use crate::identity::{AUTHENTICATED, User};
use crate::registry::Lookup;
pub use tokens::Tokens;

/// What a connection and its request show.
pub struct Credentials<'a> {
    /// The user of a client certificate that our CA has signed.
    pub certificate: Option<&'a User>,
    /// The value of the `Authorization` header.
    pub authorization: Option<&'a str>,
}

/// Finds out who asks; `None` refuses the request (401). Nothing shown at all is the anonymous user.
pub fn authenticate(
    credentials: &Credentials,
    tokens: &Tokens,
    lookup: &dyn Lookup,
    now: Timestamp,
) -> Option<User> {
    if let Some(user) = credentials.certificate {
        let mut user = user.clone();
        user.groups.push(AUTHENTICATED.to_owned());
        return Some(user);
    }
    let Some(authorization) = credentials.authorization.filter(|value| !value.trim().is_empty()) else {
        return Some(User::anonymous());
    };
    let (scheme, token) = authorization.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        // Other schemes are nobody's business here; upstream passes them by as well.
        return Some(User::anonymous());
    }
    tokens.authenticate(token.trim(), &[], lookup, now).ok().map(|(user, _)| user)
}
