//! Defaults of services (upstream's `SetDefaults_Service`).

use crate::kinds::strategies::fill::{each, fill, part, with};
use crate::value::Value;

/// Three hours.
const AFFINITY_SECONDS: i64 = 10800;

/// Fills in what the service leaves out.
pub fn service(draft: &mut Value) {
    let spec = part(draft, "spec");
    affinity(spec);
    fill(spec, "type", "ClusterIP");
    each(spec, "ports", port);
    let kind = spec.str_at(&["type"]).unwrap_or_default().to_owned();
    if is_external(spec) {
        fill(spec, "externalTrafficPolicy", "Cluster");
    }
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer" | "ClusterIP") {
        fill(spec, "internalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        fill(spec, "allocateLoadBalancerNodePorts", true);
        with(draft, "status", |status| {
            with(status, "loadBalancer", |balancer| each(balancer, "ingress", ip_mode))
        });
    }
}

/// Whether it can be reached from outside the cluster (upstream's `ExternallyAccessible`).
pub fn is_external(spec: &Value) -> bool {
    match spec.str_at(&["type"]) {
        Some("LoadBalancer" | "NodePort") => true,
        Some("ClusterIP") => !spec.list_at(&["externalIPs"]).is_empty(),
        _ => false,
    }
}

fn port(port: &mut Value) {
    fill(port, "protocol", "TCP");
    let number = port.int_at(&["port"]).unwrap_or(0);
    if port.int_at(&["targetPort"]) == Some(0) {
        port.remove_at(&["targetPort"]);
    }
    fill(port, "targetPort", number);
}

fn affinity(spec: &mut Value) {
    fill(spec, "sessionAffinity", "None");
    match spec.str_at(&["sessionAffinity"]) {
        Some("None") => drop(spec.remove_at(&["sessionAffinityConfig"])),
        Some("ClientIP") => {
            fill(part(part(spec, "sessionAffinityConfig"), "clientIP"), "timeoutSeconds", AFFINITY_SECONDS);
        }
        _ => {}
    }
}

fn ip_mode(ingress: &mut Value) {
    if ingress.str_at(&["ip"]).is_some_and(|ip| !ip.is_empty()) {
        fill(ingress, "ipMode", "VIP");
    }
}
