//! Reasons why a text is not what it should be (k8s.io/apimachinery/pkg/util/validation), besides those of
//! [`names`](crate::names).

use std::net::IpAddr;

use crate::names;

const CONFIG_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
const ENV_NAME: &str =
    "a valid environment variable name must consist only of printable ASCII characters other than '='";
const HEADER: &str = "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')";
const PERCENT: &str = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";
const WILDCARD: &str = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used for validation is '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const UNDERSCORED: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*')";
const IP: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
const CIDR: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";

/// What upstream says of a number out of bounds.
pub fn between(min: i64, max: i64) -> String {
    format!("must be between {min} and {max}, inclusive")
}

fn unless(good: bool, reason: &str) -> Vec<String> {
    if good { vec![] } else { vec![reason.to_owned()] }
}

/// Names of ports (RFC 6335).
pub fn port_name(name: &str) -> Vec<String> {
    let mut reasons = Vec::new();
    let mut add = |bad: bool, reason: &str| {
        if bad {
            reasons.push(reason.to_owned());
        }
    };
    let charset =
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    add(name.len() > 15, "must be no more than 15 characters");
    add(!charset, "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
    add(!name.bytes().any(|b| b.is_ascii_lowercase()), "must contain at least one letter (a-z)");
    add(name.contains("--"), "must not contain consecutive hyphens");
    add(name.starts_with('-') || name.ends_with('-'), "must not begin or end with a hyphen");
    reasons
}

/// Keys of ConfigMaps and Secrets: they become names of files.
pub fn config_key(key: &str) -> Vec<String> {
    let mut reasons = unless(key.len() <= 253, "must be no more than 253 characters");
    let good =
        !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    reasons.extend(unless(good, CONFIG_KEY));
    match key {
        "." | ".." => reasons.push(format!("must not be '{key}'")),
        _ if key.starts_with("..") => reasons.push("must not start with '..'".into()),
        _ => {}
    }
    reasons
}

/// Names of environment variables.
pub fn env_name(name: &str) -> Vec<String> {
    let mut reasons = unless(!name.is_empty(), "environment variable name must be non-empty");
    reasons.extend(unless(name.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'='), ENV_NAME));
    reasons
}

/// Names of HTTP headers.
pub fn header_name(name: &str) -> Vec<String> {
    unless(!name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'), HEADER)
}

/// Percentages.
pub fn percent(text: &str) -> Vec<String> {
    let digits = text.strip_suffix('%').unwrap_or_default();
    unless(!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()), PERCENT)
}

/// Addresses, of either family.
pub fn ip(text: &str) -> Vec<String> {
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V6(v6)) if v6.to_ipv4_mapped().is_some() => {
            vec!["must not be an IPv4-mapped IPv6 address".into()]
        }
        Ok(_) => vec![],
        Err(_) if has_leading_zeros(text) => vec!["must not have leading 0s".into()],
        Err(_) => vec![IP.into()],
    }
}

/// Whether it would be an IPv4 address but for zeros at the start of its parts.
fn has_leading_zeros(text: &str) -> bool {
    let parts: Vec<Option<u8>> = text.split('.').map(|part| part.parse().ok()).collect();
    parts.len() == 4 && parts.iter().all(Option::is_some)
}

/// Networks, of either family, all of whose host bits are zero.
pub fn cidr(text: &str) -> Vec<String> {
    let Some((address, bits)) = split_cidr(text) else { return vec![CIDR.into()] };
    let (whole, width) = match address {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)), 32),
        IpAddr::V6(v6) => (u128::from(v6), 128),
    };
    let hosts = width - bits;
    let host_mask = if hosts >= 128 { u128::MAX } else { (1u128 << hosts) - 1 };
    if whole & host_mask == 0 {
        return vec![];
    }
    vec!["must not have bits set beyond the prefix length".into()]
}

/// The address and the prefix length of a network.
pub fn split_cidr(text: &str) -> Option<(IpAddr, u32)> {
    let (address, bits) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let max = if address.is_ipv4() { 32 } else { 128 };
    let is_number = !bits.is_empty() && bits.bytes().all(|b| b.is_ascii_digit());
    Some((address, bits.parse().ok().filter(|bits| is_number && *bits <= max)?))
}

/// `*.` and a subdomain.
pub fn wildcard_subdomain(name: &str) -> Vec<String> {
    unless(name.strip_prefix("*.").is_some_and(|rest| names::subdomain(rest).is_empty()), WILDCARD)
}

/// Subdomains that may have underscores, as some search domains do.
pub fn underscored_subdomain(name: &str) -> Vec<String> {
    let mut reasons = unless(name.len() <= 253, "must be no more than 253 characters");
    let good = name.split('.').all(|label| {
        let label = label.strip_prefix('_').unwrap_or(label).as_bytes();
        let plain = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        label.first().is_some_and(plain)
            && label.last().is_some_and(plain)
            && label.iter().all(|b| plain(b) || matches!(b, b'-' | b'_'))
    });
    reasons.extend(unless(good, UNDERSCORED));
    reasons
}

/// Paths below a directory: relative, and not out of it.
pub fn descending_path(path: &str) -> Vec<String> {
    let mut reasons = unless(!path.starts_with('/'), "must be a relative path");
    reasons.extend(no_backsteps(path));
    reasons
}

/// The same, and not one of the names that volumes keep for themselves.
pub fn unreserved_path(path: &str) -> Vec<String> {
    let mut reasons = descending_path(path);
    if path.starts_with("..") && !path.starts_with("../") {
        reasons.push("must not start with '..'".into());
    }
    reasons
}

/// Paths of the server's own endpoints, which may end in `/*`.
pub fn url_path(path: &str) -> Vec<String> {
    let wildcards = path.matches('*').count();
    let reason = match path {
        "" => "must not be empty",
        "/" => return vec![],
        _ if !path.starts_with('/') => "must start with slash",
        _ if path.contains(' ') => "must not contain white-space",
        _ if path.contains("//") => "must not contain double slash",
        _ if wildcards > 1 || (wildcards == 1 && !path.ends_with("/*")) => {
            "wildcard can only do suffix matching"
        }
        _ => return vec![],
    };
    vec![reason.to_owned()]
}

/// Paths without `..`.
pub fn no_backsteps(path: &str) -> Vec<String> {
    unless(path.split('/').all(|part| part != ".."), "must not contain '..'")
}

/// Domains of at least three parts, as webhooks are named.
pub fn qualified_domain(name: &str) -> Vec<String> {
    let reasons = names::subdomain(name);
    if !reasons.is_empty() {
        return vec![reasons.join(",")];
    }
    unless(name.split('.').count() >= 3, "should be a domain with at least three segments separated by dots")
}

/// `domain/path`, as controllers are named.
pub fn domain_path(text: &str) -> Vec<String> {
    match text.split_once('/') {
        Some((domain, path)) if !domain.is_empty() && !path.is_empty() => names::subdomain(domain),
        _ => vec!["must be a domain-prefixed path (such as \"acme.io/foo\")".into()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_good_or_not() {
        type Check = fn(&str) -> Vec<String>;
        for (check, good, bad) in [
            (
                port_name as Check,
                &["http", "a1-b"][..],
                &["", "80", "A", "a--b", "-a", "abcdefghijklmnop"][..],
            ),
            (config_key, &["a", "A_b.c", ".x"], &["", "a b", "..", "..a"]),
            (env_name, &["A", "a b", "1"], &["", "A=B", "é"]),
            (percent, &["0%", "25%"], &["", "%", "1", "a%"]),
            (ip, &["1.2.3.4", "::1"], &["", "1.2.3", "01.2.3.4", "::ffff:1.2.3.4"]),
            (
                cidr,
                &["10.0.0.0/8", "::/0", "0.0.0.0/0"],
                &["10.0.0.1/8", "10.0.0.0", "10.0.0.0/33", "10.0.0.0/+8"],
            ),
            (wildcard_subdomain, &["*.a", "*.a.b"], &["*", "a", "*.A"]),
            (underscored_subdomain, &["_a.b", "a_b"], &["", "a.", "__a"]),
            (unreserved_path, &["a", "a/b"], &["/a", "a/../b", "..a"]),
            (qualified_domain, &["a.b.c"], &["a.b", ""]),
            (domain_path, &["a.b/c"], &["a", "/a"]),
        ] {
            good.iter().for_each(|text| assert!(check(text).is_empty(), "{text}: {:?}", check(text)));
            bad.iter().for_each(|text| assert!(!check(text).is_empty(), "{text}"));
        }
    }
}
