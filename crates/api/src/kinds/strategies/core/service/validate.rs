//! Faults of services (upstream's `validateService`).

use std::net::IpAddr;

use super::defaults::is_external;
use crate::Cause;
use crate::kinds::strategies::checks;
use crate::kinds::strategies::core::endpoint_ip;
use crate::kinds::strategies::rules::{Causes, Place, Seen};
use crate::names;
use crate::value::Value;

const TYPES: [&str; 4] = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];
const FAMILIES: [&str; 2] = ["IPv4", "IPv6"];
const POLICIES: [&str; 3] = ["PreferDualStack", "RequireDualStack", "SingleStack"];
const DISTRIBUTIONS: [&str; 3] = ["PreferClose", "PreferSameZone", "PreferSameNode"];
/// One day.
const AFFINITY_SECONDS_MAX: i64 = 86400;

fn kind<'v>(spec: &Place<'v, '_>) -> &'v str {
    spec.field("type").text()
}

fn is_headless(spec: &Value) -> bool {
    spec.list_at(&["clusterIPs"]).first().and_then(Value::as_str) == Some("None")
}

/// The whole of a service.
pub fn service(service: &Place, old: Option<&Value>, out: &mut Causes) {
    let spec = service.field("spec");
    let headless = is_headless(spec.value);
    if spec.field("ports").list().is_empty() && !headless && kind(&spec) != "ExternalName" {
        out.push(spec.field("ports").required(""));
    }
    match kind(&spec) {
        kind @ ("LoadBalancer" | "NodePort") if headless => {
            let ips = spec.field("clusterIPs");
            out.push(ips.index(0).invalid(&format!("may not be set to 'None' for {kind} services")));
        }
        "ExternalName" => external_name(&spec, out),
        _ => {}
    }
    ports(&spec, out);
    spec.field("selector").labels(out);
    affinity(&spec, out);
    addresses(&spec, out);
    for ip in spec.field("externalIPs").items() {
        let before = out.len();
        ip.check(checks::ip, out);
        if out.len() == before {
            endpoint_ip(&ip, out);
        }
    }
    spec.field("type").need_one_of(&TYPES, out);
    load_balancer(service, &spec, out);
    traffic(&spec, out);
    if let Some(old) = old.and_then(|old| old.get("spec")) {
        changed(&spec, old, out);
    }
}

fn external_name(spec: &Place, out: &mut Causes) {
    for field in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        if !spec.field(field).is_empty() {
            out.push(spec.field(field).forbidden("may not be set for ExternalName services"));
        }
    }
    let name = spec.field("externalName");
    let bare = name.text().strip_suffix('.').unwrap_or(name.text());
    if bare.is_empty() {
        out.push(name.required(""));
    } else {
        out.extend(names::subdomain(bare).iter().map(|why| name.invalid_as(bare, why)));
    }
}

fn ports(spec: &Place, out: &mut Causes) {
    let ports = spec.field("ports");
    let mut seen = Seen::default();
    for port in ports.items() {
        let name = port.field("name");
        if name.text().is_empty() {
            if ports.list().len() > 1 {
                out.push(name.required(""));
            }
        } else {
            name.check(names::label, out);
            if seen.again(name.text()) {
                out.push(name.duplicate());
            }
        }
        port.field("port").port(out);
        port.field("protocol").need_one_of(&PROTOCOLS, out);
        port.field("targetPort").port_or_name(out);
        if port.field("appProtocol").is_set() {
            port.field("appProtocol").check(names::qualified_name, out);
        }
        if kind(spec) == "ClusterIP" && port.field("nodePort").int() != 0 {
            out.push(port.field("nodePort").forbidden("may not be used when `type` is 'ClusterIP'"));
        }
    }
    for (i, port) in ports.items().enumerate() {
        let same = |field: &str| {
            ports.items().take(i).any(|other| {
                other.field("protocol").text() == port.field("protocol").text()
                    && other.field(field).int() == port.field(field).int()
            })
        };
        if port.field("nodePort").int() != 0 && same("nodePort") {
            out.push(port.field("nodePort").duplicate());
        }
        if same("port") {
            let (protocol, number) = (port.field("protocol").text(), port.field("port").int());
            let mut cause = Cause::duplicate(port.path(), "");
            cause.message = format!("Duplicate value: {{\"port\":{number},\"protocol\":\"{protocol}\"}}");
            out.push(cause);
        }
    }
}

fn affinity(spec: &Place, out: &mut Causes) {
    let (affinity, config) = (spec.field("sessionAffinity"), spec.field("sessionAffinityConfig"));
    affinity.need_one_of(&["ClientIP", "None"], out);
    match affinity.text() {
        "ClientIP" => {
            let client = config.field("clientIP");
            let seconds = client.field("timeoutSeconds");
            if !seconds.is_set() {
                out.push(seconds.required("when session affinity type is ClientIP"));
            } else if !(1..=AFFINITY_SECONDS_MAX).contains(&seconds.int()) {
                let detail = format!("must be greater than 0 and less than {AFFINITY_SECONDS_MAX}");
                out.push(seconds.invalid(&detail));
            }
        }
        "None" if config.is_set() => {
            out.push(config.forbidden("must not be set when session affinity is None"))
        }
        _ => {}
    }
}

/// Addresses and families that go together.
pub fn addresses(spec: &Place, out: &mut Causes) {
    if kind(spec) == "ExternalName" {
        return;
    }
    let (one, all, families) = (spec.field("clusterIP"), spec.field("clusterIPs"), spec.field("ipFamilies"));
    let first = all.list().first().and_then(Value::as_str);
    match (one.text(), first) {
        ("", Some(_)) => out.push(all.invalid("must be empty when `clusterIP` is not specified")),
        (one, None) if !one.is_empty() => out.push(all.required("")),
        (one, Some(first)) if one != first => out.push(all.invalid("first value must match `clusterIP`")),
        _ => {}
    }
    let mut seen = Seen::default();
    for family in families.items() {
        family.one_of(&FAMILIES, out);
        if seen.again(family.text()) {
            out.push(family.duplicate());
        }
    }
    let policy = spec.field("ipFamilyPolicy");
    policy.one_of_if_set(&POLICIES, out);
    let before = out.len();
    for ip in all.items() {
        if first != Some("None") || ip.text() != "None" {
            ip.check(checks::ip, out);
        }
    }
    if first == Some("None") && all.list().len() > 1 {
        out.push(all.invalid("'None' must be the first and only value"));
    }
    let all_families: Vec<bool> = all.items().map(|ip| ip.text().contains(':')).collect();
    if all_families.len() > 2 {
        out.push(all.invalid("may only hold up to 2 values"));
    }
    if all_families.len() > 2 || matches!(all_families.as_slice(), [a, b] if a == b) {
        out.push(all.invalid("may specify no more than one IP for each IP family"));
    }
    let is_v6 = |ip: &str| ip.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6());
    if out.len() == before && first != Some("None") {
        for (ip, family) in all.items().zip(families.items()) {
            if is_v6(ip.text()) != (family.text() == "IPv6") {
                let index = all.list().iter().position(|other| other == ip.value).unwrap_or(0);
                let detail =
                    format!("expected an {} value as indicated by `ipFamilies[{index}]`", family.text());
                out.push(ip.invalid(&detail));
            }
        }
    }
    let is_free = first == Some("None") && spec.field("selector").is_empty();
    if is_free {
        return;
    }
    if policy.text() == "RequireDualStack" {
        out.push(policy.invalid("this cluster is not configured for dual-stack services"));
    }
    for family in families.items().filter(|family| family.text() == "IPv6") {
        out.push(family.invalid("not configured on this cluster"));
    }
}

fn load_balancer(service: &Place, spec: &Place, out: &mut Causes) {
    const ONLY: &str = "may only be used when `type` is 'LoadBalancer'";
    const ANNOTATION: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";
    let is_balanced = kind(spec) == "LoadBalancer";
    // Upstream writes this one field with a capital letter.
    let mut ranges = spec.field("LoadBalancerSourceRanges");
    ranges.value = spec.field("loadBalancerSourceRanges").value;
    if !ranges.list().is_empty() {
        if !is_balanced {
            out.push(ranges.forbidden(ONLY));
        }
        for range in ranges.items() {
            let text = range.text().trim();
            out.extend(checks::cidr(text).iter().map(|why| range.invalid_as(text, why)));
        }
    } else {
        let metadata = service.field("metadata");
        let annotations = metadata.field("annotations");
        let annotation = annotations.key(ANNOTATION);
        if annotation.is_set() && !is_balanced {
            out.push(annotation.forbidden(ONLY));
        }
        for text in annotation.text().split(',').map(str::trim).filter(|text| !text.is_empty()) {
            out.extend(checks::cidr(text).iter().map(|why| annotation.invalid_as(text, why)));
        }
    }
    let (allocates, class) = (spec.field("allocateLoadBalancerNodePorts"), spec.field("loadBalancerClass"));
    if allocates.is_set() && !is_balanced {
        out.push(allocates.forbidden(ONLY));
    }
    if class.is_set() {
        if is_balanced {
            class.check(names::qualified_name, out);
        } else {
            out.push(class.forbidden(ONLY));
        }
    }
}

fn traffic(spec: &Place, out: &mut Causes) {
    let (external, internal) = (spec.field("externalTrafficPolicy"), spec.field("internalTrafficPolicy"));
    if is_external(spec.value) {
        external.need_one_of(&["Cluster", "Local"], out);
    } else if external.is_set() {
        out.push(external.invalid("may only be set for externally-accessible services"));
    }
    let health = spec.field("healthCheckNodePort");
    if health.int() != 0 && !(kind(spec) == "LoadBalancer" && external.text() == "Local") {
        let detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
        out.push(health.invalid(detail));
    } else if health.int() != 0 {
        health.port(out);
    }
    internal.one_of_if_set(&["Cluster", "Local"], out);
    if matches!(kind(spec), "NodePort" | "LoadBalancer" | "ClusterIP") && !internal.is_set() {
        out.push(internal.required(""));
    }
    spec.field("trafficDistribution").one_of_if_set(&DISTRIBUTIONS, out);
}

const ONCE: &str = "may not change once set";

/// Addresses and families that were given out stay.
pub fn kept(spec: &Place, old: &Value, out: &mut Causes) {
    let (was, now) = (old.str_at(&["type"]).unwrap_or_default(), kind(spec));
    if was == "ExternalName" || now == "ExternalName" {
        return;
    }
    let ips = spec.field("clusterIPs");
    let old_ips = old.list_at(&["clusterIPs"]);
    if !(is_headless(old) && is_headless(spec.value)) {
        match (ips.list(), old_ips) {
            ([], [_, ..]) => {
                out.push(ips.index(0).invalid_as(Value::List(vec![]), "primary clusterIP can not be unset"))
            }
            (new, old) => {
                for (i, _) in new.iter().zip(old).enumerate().filter(|(_, (new, old))| new != old) {
                    out.push(ips.index(i).invalid_as(ips.value.clone(), ONCE));
                }
            }
        }
    }
    let families = spec.field("ipFamilies");
    if !is_headless(old)
        && !is_headless(spec.value)
        && let (Some(new), Some(old)) = (families.list().first(), old.list_at(&["ipFamilies"]).first())
        && new != old
    {
        out.push(families.index(0).invalid_as(families.value.clone(), ONCE));
    }
}

/// What was given out, or chosen, stays.
fn changed(spec: &Place, old: &Value, out: &mut Causes) {
    kept(spec, old, out);
    let (was, now) = (old.str_at(&["type"]).unwrap_or_default(), kind(spec));
    let class = spec.field("loadBalancerClass");
    if was == "LoadBalancer"
        && now == "LoadBalancer"
        && old.get("loadBalancerClass").unwrap_or(&Value::Null) != class.value
    {
        out.push(class.invalid(ONCE));
    }
}

/// The status: where a load balancer can be reached.
pub fn status(service: &Place, out: &mut Causes) {
    let (spec, status) = (service.field("spec"), service.field("status"));
    let balancer = status.field("loadBalancer");
    let ingress = balancer.field("ingress");
    if kind(&spec) != "LoadBalancer" && !ingress.list().is_empty() {
        return out.push(ingress.forbidden("may only be used when `spec.type` is 'LoadBalancer'"));
    }
    for point in ingress.items() {
        let (ip, mode) = (point.field("ip"), point.field("ipMode"));
        ip.check_if_set(checks::ip, out);
        match (ip.text().is_empty(), mode.is_set()) {
            (false, false) => out.push(mode.required("must be specified when `ip` is set")),
            (true, true) => out.push(mode.forbidden("may not be specified when `ip` is not set")),
            _ => mode.one_of_if_set(&["Proxy", "VIP"], out),
        }
        host(&point.field("hostname"), out);
    }
}

/// The name of a host, and no address.
pub fn host(name: &Place, out: &mut Causes) {
    name.check_if_set(names::subdomain, out);
    if name.text().parse::<IpAddr>().is_ok() {
        out.push(name.invalid("must be a DNS name, not an IP address"));
    }
}
