//! The headers by which aggregated servers learn who asks (k8s.io/client-go/transport, `SetAuthProxyHeaders`). They
//! believe them because our certificate is one of the front proxy's.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::identity::User;

const USER: HeaderName = HeaderName::from_static("x-remote-user");
const UID: HeaderName = HeaderName::from_static("x-remote-uid");
const GROUP: HeaderName = HeaderName::from_static("x-remote-group");
const EXTRA: &str = "x-remote-extra-";

/// Says that `user` asks, in place of whatever a client said.
pub fn stamp(headers: &mut HeaderMap, user: &User) {
    let said: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with(EXTRA)).cloned().collect();
    for name in said.into_iter().chain([USER, UID, GROUP]) {
        headers.remove(name);
    }
    // What cannot be a header's value is nobody's name.
    let mut add = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
            headers.append(name, value);
        }
    };
    add(USER, &user.name);
    if !user.uid.is_empty() {
        add(UID, &user.uid);
    }
    user.groups.iter().for_each(|group| add(GROUP, group));
    for (key, values) in &user.extra {
        if let Ok(name) = HeaderName::from_bytes(format!("{EXTRA}{}", escaped(key)).as_bytes()) {
            values.iter().for_each(|value| add(name.clone(), value));
        }
    }
}

/// A key as a part of a header's name: what may not be in one is percent-encoded.
fn escaped(key: &str) -> String {
    let mut out = String::new();
    for byte in key.bytes() {
        match byte {
            b'!' | b'#' | b'$' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|'
            | b'~' => {
                out.push(char::from(byte));
            }
            _ if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_cannot_say_who_it_is() {
        let mut headers = HeaderMap::new();
        for name in ["x-remote-user", "x-remote-group", "x-remote-uid", "x-remote-extra-scopes", "accept"] {
            headers.append(name, HeaderValue::from_static("evil"));
        }
        let user = User {
            name: "jane".into(),
            groups: vec!["a".into(), "b".into()],
            extra: [("example.com/Pass".to_owned(), vec!["1".to_owned(), "2".to_owned()])].into(),
            ..User::default()
        };
        stamp(&mut headers, &user);
        let mut said: Vec<String> =
            headers.iter().map(|(name, value)| format!("{name}={}", value.to_str().unwrap())).collect();
        said.sort();
        let extra = "x-remote-extra-example.com%2fpass";
        assert_eq!(
            said,
            [
                "accept=evil",
                &format!("{extra}=1"),
                &format!("{extra}=2"),
                "x-remote-group=a",
                "x-remote-group=b",
                "x-remote-user=jane"
            ]
        );
    }
}
