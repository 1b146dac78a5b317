//! A pod's names: its hostname and its /etc/hosts (pkg/kubelet kubelet_pods.go).

use std::fmt::Write;

use super::NodePod;

/// What the kernel takes as a hostname.
const HOSTNAME_MAX: usize = 64;
/// What a DNS label may have.
const LABEL_MAX: usize = 63;

/// The hostname is too long for the kernel.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("failed to construct FQDN from pod hostname and cluster domain, FQDN {0} is too long ({HOSTNAME_MAX} characters is the max, {len} characters requested)", len = .0.len())]
pub struct TooLong(String);

/// The pod's hostname and, in a subdomain, its domain.
pub fn names(pod: &NodePod, cluster_domain: &str) -> (String, Option<String>) {
    let spec = pod.spec();
    if let Some(whole) = spec.hostname_override.as_deref().filter(|name| !name.is_empty()) {
        return (whole.to_owned(), None);
    }
    let hostname = match spec.hostname.as_deref() {
        Some(hostname) if !hostname.is_empty() => hostname.to_owned(),
        _ => {
            let cut: String = pod.name().chars().take(LABEL_MAX).collect();
            cut.trim_end_matches(['-', '.']).to_owned()
        }
    };
    let subdomain = spec.subdomain.as_deref().filter(|subdomain| !subdomain.is_empty());
    (hostname, subdomain.map(|subdomain| format!("{subdomain}.{}.svc.{cluster_domain}", pod.namespace())))
}

/// The hostname that the kernel is told.
pub fn kernel_hostname(pod: &NodePod, cluster_domain: &str) -> Result<String, TooLong> {
    let (hostname, domain) = names(pod, cluster_domain);
    match domain {
        Some(domain) if pod.spec().set_hostname_as_fqdn == Some(true) => {
            let name = format!("{hostname}.{domain}");
            if name.len() > HOSTNAME_MAX { Err(TooLong(name)) } else { Ok(name) }
        }
        _ => Ok(hostname),
    }
}

/// The pod's /etc/hosts; on the node's network it begins with the node's own, `node_hosts`.
pub fn file(pod: &NodePod, ips: &[String], node_hosts: &str, cluster_domain: &str) -> String {
    let mut out = String::new();
    if pod.is_host_network() {
        out.push_str("# Kubernetes-managed hosts file (host network).\n");
        out.push_str(node_hosts);
    } else {
        out.push_str("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
        out.push_str("fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n");
        let (hostname, domain) = names(pod, cluster_domain);
        for ip in ips {
            let full = domain.as_ref().map(|domain| format!("{hostname}.{domain}\t")).unwrap_or_default();
            // Writing to a string cannot fail.
            writeln!(out, "{ip}\t{full}{hostname}").unwrap_or_default();
        }
    }
    let spec = pod.spec();
    let aliases = spec.host_aliases.as_deref().unwrap_or_default();
    if !aliases.is_empty() {
        out.push_str("\n# Entries added by HostAliases.\n");
    }
    for alias in aliases {
        let names = alias.hostnames.as_deref().unwrap_or_default().join("\t");
        writeln!(out, "{}\t{names}", alias.ip).unwrap_or_default();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod::tests::pod;
    use serde_json::json;

    #[test]
    fn names_and_aliases() {
        let pod = pod(json!({
            "containers": [], "hostname": "h", "subdomain": "sub", "setHostnameAsFQDN": true,
            "hostAliases": [{ "ip": "1.2.3.4", "hostnames": ["x", "y"] }],
        }));
        assert_eq!(kernel_hostname(&pod, "cluster.local").unwrap(), "h.sub.default.svc.cluster.local");
        let file = file(&pod, &["10.1.0.1".to_owned()], "", "cluster.local");
        assert!(file.ends_with(
            "10.1.0.1\th.sub.default.svc.cluster.local\th\n\n# Entries added by HostAliases.\n1.2.3.4\tx\ty\n"
        ));
    }
}
