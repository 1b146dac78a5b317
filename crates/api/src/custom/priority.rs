//! Which version of several clients are shown first (k8s.io/apimachinery/pkg/version, `CompareKubeAwareVersionStrings`):
//! `v10`, `v2`, `v1`, `v2beta1`, `v1alpha2`, `foo`.

use std::cmp::Ordering;

/// How a version ranks: stable before beta before alpha; then by numbers.
fn rank(version: &str) -> Option<(u8, u64, u64)> {
    let rest = version.strip_prefix('v')?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (major, rest) = rest.split_at(end);
    let number = |text: &str| text.parse::<u64>().ok().filter(|_| !text.starts_with('0'));
    let major = number(major)?;
    match (rest.strip_prefix("beta"), rest.strip_prefix("alpha")) {
        _ if rest.is_empty() => Some((2, major, 0)),
        (Some(minor), _) => Some((1, major, number(minor)?)),
        (_, Some(minor)) => Some((0, major, number(minor)?)),
        _ => None,
    }
}

/// Orders versions, those of the highest priority first.
pub fn by_priority(a: &str, b: &str) -> Ordering {
    match (rank(a), rank(b)) {
        (Some(a), Some(b)) => b.cmp(&a),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stable_versions_come_first() {
        let mut versions = ["foo1", "v1alpha1", "v1", "v10", "v2beta1", "foo10", "v11beta2", "v2", "v1beta1"];
        versions.sort_by(|a, b| by_priority(a, b));
        assert_eq!(
            versions,
            ["v10", "v2", "v1", "v11beta2", "v2beta1", "v1beta1", "v1alpha1", "foo1", "foo10"]
        );
    }
}
