//! A pod's nameservers (pkg/kubelet/network/dns).

use std::net::IpAddr;

use super::NodePod;
use crate::cri::types::DnsConfig;

/// The limits of resolv.conf.
const NAMESERVERS_MAX: usize = 3;
const SEARCHES_MAX: usize = 32;
const SEARCH_CHARS_MAX: usize = 2048;

/// What a resolv.conf says (resolv.conf(5)).
pub fn parse(text: &str) -> DnsConfig {
    let mut config = DnsConfig::default();
    for line in text.lines() {
        let line = line.split(['#', ';']).next().unwrap_or_default();
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => config.servers.extend(words.next().map(str::to_owned)),
            // The last one counts.
            Some("search") => config.searches = words.filter(|word| *word != ".").map(trim_dot).collect(),
            Some("options") => config.options = words.map(str::to_owned).collect(),
            _ => {}
        }
    }
    config
}

fn trim_dot(domain: &str) -> String {
    domain.strip_suffix('.').unwrap_or(domain).to_owned()
}

/// The nameservers of `pod` on a node whose own are `host`.
pub fn config(pod: &NodePod, host: &DnsConfig, cluster_dns: &[IpAddr], cluster_domain: &str) -> DnsConfig {
    let spec = pod.spec();
    let policy = spec.dns_policy.as_deref().unwrap_or("ClusterFirst");
    let cluster = match policy {
        "ClusterFirstWithHostNet" => true,
        "None" | "Default" => false,
        _ => spec.host_network != Some(true),
    };
    let mut config = if policy == "None" {
        DnsConfig::default()
    } else if cluster && !cluster_dns.is_empty() {
        let mut searches = vec![
            format!("{}.svc.{cluster_domain}", pod.namespace()),
            format!("svc.{cluster_domain}"),
            cluster_domain.to_owned(),
        ];
        append(&mut searches, host.searches.iter().cloned());
        let servers = cluster_dns.iter().map(ToString::to_string).collect();
        DnsConfig { servers, searches, options: vec!["ndots:5".to_owned()] }
    } else {
        host.clone()
    };
    if let Some(own) = &spec.dns_config {
        append(&mut config.servers, own.nameservers.iter().flatten().cloned());
        append(&mut config.searches, own.searches.iter().flatten().map(|search| trim_dot(search)));
        for option in own.options.iter().flatten() {
            let name = option.name.as_deref().unwrap_or_default();
            config.options.retain(|there| there.split(':').next() != Some(name));
            config.options.push(match option.value.as_deref() {
                Some(value) if !value.is_empty() => format!("{name}:{value}"),
                _ => name.to_owned(),
            });
        }
    }
    limit(config)
}

fn append(list: &mut Vec<String>, more: impl Iterator<Item = String>) {
    for item in more {
        if !list.contains(&item) {
            list.push(item);
        }
    }
}

fn limit(mut config: DnsConfig) -> DnsConfig {
    config.servers.truncate(NAMESERVERS_MAX);
    config.searches.truncate(SEARCHES_MAX);
    let mut chars = 0;
    config.searches.retain(|search| {
        chars += search.len() + 1;
        chars <= SEARCH_CHARS_MAX + 1
    });
    config
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod::tests::pod;
    use serde_json::json;

    #[test]
    fn policies() {
        let host = parse("nameserver 8.8.8.8\nsearch corp.example. # here\noptions timeout:1\n");
        let own = json!({ "nameservers": ["1.1.1.1"], "searches": ["a.b"], "options": [{ "name": "ndots", "value": "2" }] });
        for (spec, expected) in [
            (
                json!({}),
                "10.43.0.10|default.svc.cluster.local svc.cluster.local cluster.local corp.example|ndots:5",
            ),
            (json!({ "hostNetwork": true }), "8.8.8.8|corp.example|timeout:1"),
            (
                json!({ "hostNetwork": true, "dnsPolicy": "ClusterFirstWithHostNet", "dnsConfig": own }),
                "10.43.0.10 1.1.1.1|default.svc.cluster.local svc.cluster.local cluster.local corp.example a.b|ndots:2",
            ),
            (json!({ "dnsPolicy": "None", "dnsConfig": own }), "1.1.1.1|a.b|ndots:2"),
        ] {
            let mut spec = spec;
            spec["containers"] = json!([]);
            let config = config(&pod(spec.clone()), &host, &["10.43.0.10".parse().unwrap()], "cluster.local");
            let shown = format!(
                "{}|{}|{}",
                config.servers.join(" "),
                config.searches.join(" "),
                config.options.join(" ")
            );
            assert_eq!(shown, expected, "{spec}");
        }
    }
}
