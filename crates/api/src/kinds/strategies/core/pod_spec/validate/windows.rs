//! Faults of what only Windows has.

use super::containers;
use crate::kinds::strategies::rules::{Causes, Place};
use crate::names;

const GMSA_KIB_MAX: usize = 64;
const DOMAIN_BYTES_MAX: usize = 256;
const USER_BYTES_MAX: usize = 104;
const NOT_IN_USERS: &str = "\"/\\:;|=,+*?<>@[]";

/// The `windowsOptions` of a pod's or container's security context.
pub(super) fn options(options: &Place, out: &mut Causes) {
    let name = options.field("gmsaCredentialSpecName");
    if name.is_set() {
        name.check(names::subdomain, out);
    }
    let credential = options.field("gmsaCredentialSpec");
    if credential.is_set() && credential.text().is_empty() {
        out.push(credential.invalid("gmsaCredentialSpec cannot be an empty string"));
    } else if credential.text().len() > GMSA_KIB_MAX * 1024 {
        out.push(credential.invalid(&format!("gmsaCredentialSpec size must be under {GMSA_KIB_MAX} KiB")));
    }
    let user = options.field("runAsUserName");
    if user.is_set() {
        user.check(user_name, out);
    }
}

/// `[domain\]user`.
fn user_name(text: &str) -> Vec<String> {
    let one = |reason: &str| vec![format!("runAsUserName {reason}")];
    if text.is_empty() {
        return one("cannot be an empty string");
    }
    if text.chars().any(|c| c.is_ascii_control()) {
        return one("cannot contain control characters");
    }
    if text.matches('\\').count() > 1 {
        return one("cannot contain more than one backslash");
    }
    let (domain, user) = text.split_once('\\').map_or((None, text), |(domain, user)| (Some(domain), user));
    let mut reasons = Vec::new();
    let mut add = |bad: bool, reason: String| {
        if bad {
            reasons.push(format!("runAsUserName's {reason}"));
        }
    };
    let bytes = domain.unwrap_or_default().len();
    add(bytes >= DOMAIN_BYTES_MAX, format!("Domain length must be under {DOMAIN_BYTES_MAX} characters"));
    let is_domain = domain.is_none_or(|domain| is_net_bios(domain) || is_dns(domain));
    add(!is_domain, "Domain doesn't match the NetBios nor the DNS format".into());
    add(user.is_empty(), "User cannot be empty".into());
    let detail = format!("User length must not be longer than {USER_BYTES_MAX} characters");
    add(user.len() > USER_BYTES_MAX, detail);
    let is_blank = !user.is_empty() && user.chars().all(|c| matches!(c, '.' | ' '));
    add(is_blank, "User cannot contain only periods or spaces".into());
    let detail = format!("User cannot contain the following characters: {NOT_IN_USERS}");
    add(user.contains(|c| NOT_IN_USERS.contains(c)), detail);
    reasons
}

fn is_net_bios(domain: &str) -> bool {
    (1..=15).contains(&domain.chars().count())
        && !domain.starts_with('.')
        && !domain.contains(|c| "\\/:*?\"<>|".contains(c))
}

fn is_dns(domain: &str) -> bool {
    domain.split('.').all(|label| names::label(&label.to_ascii_lowercase()).is_empty())
}

/// Containers that are processes of the host are so all together, and on its network.
pub(super) fn host_processes(spec: &Place, out: &mut Causes) {
    const PATH: [&str; 3] = ["securityContext", "windowsOptions", "hostProcess"];
    let of_pod = spec.value.at(&PATH).and_then(|value| value.as_bool());
    let (mut all, mut of_host) = (0, 0);
    containers::all(spec, |container| {
        let own = container.value.at(&PATH).and_then(|value| value.as_bool());
        if let (Some(pod), Some(own)) = (of_pod, own)
            && pod != own
        {
            let security = container.field(PATH[0]);
            let options = security.field(PATH[1]);
            let detail = format!("pod hostProcess value must be identical if both are specified, was {pod}");
            out.push(options.field(PATH[2]).invalid_as(own, &detail));
        }
        all += 1;
        of_host += usize::from(own.or(of_pod) == Some(true));
    });
    if of_host == 0 {
        return;
    }
    if of_host != all {
        let detail =
            "If pod contains any hostProcess containers then all containers must be HostProcess containers";
        out.push(spec.invalid_as("", detail));
    }
    if !spec.field("hostNetwork").is_true() {
        let detail = "hostNetwork must be true if pod contains any hostProcess containers";
        out.push(spec.field("hostNetwork").invalid_as(false, detail));
    }
}

#[cfg(test)]
mod tests {
    use super::user_name;

    #[test]
    fn users_may_have_a_domain() {
        for good in ["a", "dom\\user", "a.b\\c d"] {
            assert!(user_name(good).is_empty(), "{good}: {:?}", user_name(good));
        }
        for bad in ["", "a\nb", "a\\b\\c", "\\u", "d\\", "..", "a@b"] {
            assert!(!user_name(bad).is_empty(), "{bad}");
        }
    }
}
