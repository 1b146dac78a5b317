//! What names may look like (k8s.io/apimachinery/pkg/util/validation). Each check returns the reasons it fails for;
//! none means the name is good.

const QUALIFIED_NAME: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const LABEL_1123: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN_1123: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";

/// Keys of labels and annotations, taints and extended resources: `[prefix/]name`.
pub fn qualified_name(name: &str) -> Vec<String> {
    let mut reasons = Vec::new();
    let short = match name.split('/').collect::<Vec<_>>().as_slice() {
        [short] => *short,
        [prefix, short] => {
            if prefix.is_empty() {
                reasons.push("prefix part must be non-empty".to_owned());
            } else {
                reasons.extend(subdomain_bytes(prefix).into_iter().map(|why| format!("prefix part {why}")));
            }
            *short
        }
        _ => {
            let form = "a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
            return vec![form.to_owned()];
        }
    };
    if short.is_empty() {
        reasons.push("name part must be non-empty".to_owned());
    } else if short.len() > 63 {
        reasons.push("name part must be no more than 63 bytes".to_owned());
    }
    if !framed(short, |c| c.is_ascii_alphanumeric(), |c| c.is_ascii_alphanumeric() || b"-_.".contains(&c)) {
        reasons.push(format!("name part {QUALIFIED_NAME}"));
    }
    reasons
}

/// Values of labels.
pub fn label_value(value: &str) -> Vec<String> {
    let mut reasons = Vec::new();
    if value.len() > 63 {
        reasons.push("must be no more than 63 bytes".to_owned());
    }
    let good = value.is_empty()
        || framed(value, |c| c.is_ascii_alphanumeric(), |c| c.is_ascii_alphanumeric() || b"-_.".contains(&c));
    if !good {
        reasons.push(LABEL_VALUE.to_owned());
    }
    reasons
}

/// RFC 1123 labels: names of namespaces, containers and most parts of other names.
pub fn label(name: &str) -> Vec<String> {
    let mut reasons = Vec::new();
    if name.len() > 63 {
        reasons.push("must be no more than 63 characters".to_owned());
    }
    if !is_dns_label(name) {
        let dots = name.split('.').all(is_dns_label);
        reasons.push(if dots { "must not contain dots" } else { LABEL_1123 }.to_owned());
    }
    reasons
}

/// RFC 1035 labels: names of services.
pub fn label_1035(name: &str) -> Vec<String> {
    let mut reasons = Vec::new();
    if name.len() > 63 {
        reasons.push("must be no more than 63 characters".to_owned());
    }
    if !is_dns_label(name) || !name.as_bytes()[0].is_ascii_lowercase() {
        reasons.push(LABEL_1035.to_owned());
    }
    reasons
}

/// RFC 1123 subdomains: names of most objects.
pub fn subdomain(name: &str) -> Vec<String> {
    subdomain_within("253 characters", name)
}

/// The same in the words that upstream has for parts of label keys.
fn subdomain_bytes(name: &str) -> Vec<String> {
    subdomain_within("253 bytes", name)
}

fn subdomain_within(limit: &str, name: &str) -> Vec<String> {
    let mut reasons = Vec::new();
    if name.len() > 253 {
        reasons.push(format!("must be no more than {limit}"));
    }
    if !name.split('.').all(is_dns_label) {
        reasons.push(SUBDOMAIN_1123.to_owned());
    }
    reasons
}

/// Names that are a segment of a path and nothing more: RBAC's, among others.
pub fn path_segment(name: &str) -> Vec<String> {
    if name == "." || name == ".." {
        return vec![format!("may not be '{name}'")];
    }
    ["/", "%"].iter().filter(|c| name.contains(**c)).map(|c| format!("may not contain '{c}'")).collect()
}

fn is_dns_label(text: &str) -> bool {
    let alphanumeric = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    framed(text, alphanumeric, |c| alphanumeric(c) || c == b'-')
}

/// Whether `text` is not empty, has `end`s at both ends and `inner`s between.
fn framed(text: &str, end: impl Fn(u8) -> bool, inner: impl Fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    match (bytes.first(), bytes.last()) {
        (Some(&first), Some(&last)) => end(first) && end(last) && bytes.iter().all(|&c| inner(c)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_good_or_not() {
        for good in ["a", "a-b", "1a", "a.b-c.d"] {
            assert!(subdomain(good).is_empty(), "{good}");
        }
        for bad in ["", "A", "-a", "a-", "a..b", "a_b", &"a".repeat(254)] {
            assert!(!subdomain(bad).is_empty(), "{bad}");
        }
        assert!(label("a.b").len() == 1 && label_1035("1a").len() == 1 && label_1035("a1").is_empty());
        for good in ["a", "A_b.c", "example.com/a"] {
            assert!(qualified_name(good).is_empty(), "{good}");
        }
        for bad in ["", "/a", "a/", "a/b/c", "A.com/a", "_a"] {
            assert!(!qualified_name(bad).is_empty(), "{bad}");
        }
        assert!(label_value("").is_empty() && !label_value("a b").is_empty());
        assert!(
            !path_segment("..").is_empty()
                && !path_segment("a/b").is_empty()
                && path_segment("system:a").is_empty()
        );
    }
}
