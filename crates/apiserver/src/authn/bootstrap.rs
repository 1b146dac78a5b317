//! Bootstrap tokens: Secrets of `kube-system` by which a machine that has no certificate yet may ask for one
//! (k8s.io/kubernetes/plugin/pkg/auth/authenticator/token/bootstrap).

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use decapod_api::Value;
use jiff::Timestamp;

use crate::identity::User;
use crate::registry::Lookup;

/// The group of all of them.
const GROUP: &str = "system:bootstrappers";
const SECRET_TYPE: &str = "bootstrap.kubernetes.io/token";
const ID_LENGTH: usize = 6;
const SECRET_LENGTH: usize = 16;

/// The user of `token`; `None` if it is no bootstrap token, or none that is good.
pub fn user(token: &str, lookup: &dyn Lookup, now: Timestamp) -> Option<User> {
    let (id, secret) = parse(token)?;
    let object = lookup.draft("", "secrets", "kube-system", &format!("bootstrap-token-{id}"))?;
    let data = |key: &str| {
        let bytes = BASE64.decode(object.str_at(&["data", key])?).ok()?;
        String::from_utf8(bytes).ok()
    };
    let is_deleting =
        object.at(&["metadata", "deletionTimestamp"]).is_some_and(|value| *value != Value::Null);
    let is_good = object.str_at(&["type"]) == Some(SECRET_TYPE)
        && !is_deleting
        && same(data("token-secret")?.as_bytes(), secret.as_bytes())
        && data("token-id")? == id
        && data("expiration").filter(|text| !text.is_empty()).is_none_or(|text| is_later(&text, now))
        && data("usage-bootstrap-authentication")? == "true";
    if !is_good {
        return None;
    }
    let extra = data("auth-extra-groups").unwrap_or_default();
    let groups: Vec<&str> = extra.split(',').filter(|group| !group.is_empty()).collect();
    // One group that may not be spoils the token, as upstream.
    if !groups.iter().all(|group| is_group(group)) {
        return None;
    }
    let mut groups: Vec<&str> = [GROUP].into_iter().chain(groups).collect();
    groups.sort_unstable();
    groups.dedup();
    Some(User::new(format!("system:bootstrap:{id}"), &groups))
}

/// The two parts of `abcdef.0123456789abcdef`.
pub fn parse(token: &str) -> Option<(&str, &str)> {
    let (id, secret) = token.split_once('.')?;
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let fits = id.len() == ID_LENGTH && secret.len() == SECRET_LENGTH;
    (fits && plain(id) && plain(secret)).then_some((id, secret))
}

/// `system:bootstrappers:` and some of `a-z0-9:-`, which does not end with a sign.
fn is_group(group: &str) -> bool {
    let rest = group.strip_prefix("system:bootstrappers:").unwrap_or_default();
    let sign = |byte: u8| b":-".contains(&byte);
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    rest.len() <= 256
        && rest.bytes().all(|byte| plain(byte) || sign(byte))
        && rest.bytes().next_back().is_some_and(plain)
}

/// A time that does not read is over.
fn is_later(text: &str, now: Timestamp) -> bool {
    text.parse::<Timestamp>().is_ok_and(|expires| expires > now)
}

/// Whether both are the same, in a time that says nothing about how much of them is.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differences, (a, b)| differences | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use decapod_api::Object;
    use serde_json::json;

    use super::*;

    struct One(serde_json::Value);

    impl Lookup for One {
        fn object(&self, _: &str, plural: &str, namespace: &str, name: &str) -> Option<Object> {
            let found = (plural, namespace, name) == ("secrets", "kube-system", "bootstrap-token-abcdef");
            found.then(|| Object::new(self.0.to_string().into(), 1))
        }

        fn objects(&self, _: &str, _: &str, _: &str) -> Vec<Object> {
            Vec::new()
        }
    }

    #[test]
    fn tokens_are_good_or_not() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let secret = |change: &dyn Fn(&mut serde_json::Value)| {
            let mut data = json!({
                "token-id": "abcdef", "token-secret": "0123456789abcdef", "usage-bootstrap-authentication": "true",
                "expiration": "2026-01-01T00:00:01Z", "auth-extra-groups": "system:bootstrappers:a:b,system:bootstrappers:c",
            });
            change(&mut data);
            let data = data.as_object().unwrap();
            let data: serde_json::Map<_, _> = data
                .iter()
                .map(|(key, value)| (key.clone(), json!(BASE64.encode(value.as_str().unwrap()))))
                .collect();
            One(json!({"metadata": {}, "type": SECRET_TYPE, "data": data}))
        };
        let good = secret(&|_| {});
        let ask = |token: &str, secret: &One| user(token, secret, now);
        let found = ask("abcdef.0123456789abcdef", &good).unwrap();
        assert_eq!(found.name, "system:bootstrap:abcdef");
        let groups = [
            "system:bootstrappers",
            "system:bootstrappers:a:b",
            "system:bootstrappers:c",
            "system:authenticated",
        ];
        assert_eq!(found.groups, groups);
        for token in
            ["abcdef.0123456789abcdeg", "abcdeg.0123456789abcdef", "ABCDEF.0123456789abcdef", "abcdef", ""]
        {
            assert_eq!(ask(token, &good), None, "{token}");
        }
        let refuses = |key: &str, value: &str| {
            let changed = secret(&|data| data[key] = json!(value));
            assert_eq!(ask("abcdef.0123456789abcdef", &changed), None, "{key}: {value}");
        };
        refuses("expiration", "2025-12-31T23:59:59Z");
        refuses("expiration", "tomorrow");
        refuses("usage-bootstrap-authentication", "false");
        refuses("token-id", "abcdeg");
        refuses("auth-extra-groups", "system:masters");
        refuses("auth-extra-groups", "system:bootstrappers:a-");
    }
}
