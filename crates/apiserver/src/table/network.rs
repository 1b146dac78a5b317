//! Cells of services, endpoints, ingresses and addresses.

use std::borrow::Cow;

use super::cell::{Cell, Function, Row};
use super::json::Json;
use super::path::Path;

/// How many items of a list are shown.
const SHOWN: usize = 3;

/// The function of this name.
pub fn function(name: &str) -> Option<Function> {
    let function: Function = match name {
        "service_external_ip" => external_ip,
        "service_ports" => service_ports,
        "load_balancer" => load_balancer,
        "endpoints" => endpoints,
        "slice_ports" => slice_ports,
        "slice_endpoints" => slice_endpoints,
        "ingress_hosts" => hosts,
        "ingress_ports" => ingress_ports,
        "ingress_class_parameters" => parameters,
        "address_parent" => parent,
        _ => return None,
    };
    Some(function)
}

/// The addresses or names of a load balancer, sorted.
fn ingress_points(row: &Row) -> String {
    let point = |item: Json| match item.key("ip").str() {
        ip if ip.is_empty() => item.key("hostname").str().into_owned(),
        ip => ip.into_owned(),
    };
    let mut points: Vec<String> = row.at("status.loadBalancer.ingress").items().map(point).collect();
    points.retain(|point| !point.is_empty());
    points.sort();
    points.dedup();
    points.join(",")
}

fn load_balancer<'a>(row: &Row<'a>, _: &[Path]) -> Option<Cell<'a>> {
    Some(Cell::text(ingress_points(row)))
}

/// `getServiceExternalIP`.
fn external_ip<'a>(row: &Row<'a>, _: &[Path]) -> Option<Cell<'a>> {
    let spec = row.key("spec");
    let mut addresses: Vec<String> =
        spec.key("externalIPs").items().map(|ip| ip.str().into_owned()).collect();
    let none = match spec.key("type").str().as_ref() {
        "ClusterIP" | "NodePort" => "<none>",
        "LoadBalancer" => {
            let points = ingress_points(row);
            if !points.is_empty() {
                addresses.insert(0, points);
            }
            "<pending>"
        }
        "ExternalName" => return Some(Cell::Text(spec.key("externalName").str())),
        _ => return Some(Cell::text("<unknown>")),
    };
    Some(Cell::text(if addresses.is_empty() { none.to_owned() } else { addresses.join(",") }))
}

fn service_ports<'a>(row: &Row<'a>, _: &[Path]) -> Option<Cell<'a>> {
    let port = |port: Json| {
        let (number, protocol) = (port.key("port").count(), port.key("protocol").str());
        match port.key("nodePort").count() {
            node_port if node_port > 0 => format!("{number}:{node_port}/{protocol}"),
            _ => format!("{number}/{protocol}"),
        }
    };
    let ports: Vec<String> = row.at("spec.ports").items().map(port).collect();
    Some(Cell::text(if ports.is_empty() { "<none>".to_owned() } else { ports.join(",") }))
}

/// The first few of a list, and how many more there are.
fn few(list: &[String], empty: &str) -> String {
    match list.len() {
        0 => empty.to_owned(),
        all if all > SHOWN => format!("{} + {} more...", list[..SHOWN].join(","), all - SHOWN),
        _ => list.join(","),
    }
}

/// `formatEndpoints`.
fn endpoints<'a>(row: &Row<'a>, _: &[Path]) -> Option<Cell<'a>> {
    let subsets = row.key("subsets");
    if subsets.items().next().is_none() {
        return Some(Cell::text("<none>"));
    }
    let mut list = Vec::new();
    for subset in subsets.items() {
        let addresses: Vec<String> =
            subset.key("addresses").items().map(|address| address.key("ip").str().into_owned()).collect();
        let ports: Vec<i64> = subset.key("ports").items().map(|port| port.key("port").count()).collect();
        if ports.is_empty() {
            list.extend(addresses.iter().cloned());
        }
        for port in ports {
            list.extend(addresses.iter().map(|ip| match ip.contains(':') {
                true => format!("[{ip}]:{port}"),
                false => format!("{ip}:{port}"),
            }));
        }
    }
    Some(Cell::text(few(&list, "")))
}

fn slice_ports<'a>(row: &Row<'a>, _: &[Path]) -> Option<Cell<'a>> {
    let shown = |port: Json| {
        let shown = port.key("port").shown().or_else(|| port.key("name").text());
        shown.map_or("*".to_owned(), Cow::into_owned)
    };
    let ports: Vec<String> = row.key("ports").items().map(shown).collect();
    Some(Cell::text(few(&ports, "<unset>")))
}

fn slice_endpoints<'a>(row: &Row<'a>, _: &[Path]) -> Option<Cell<'a>> {
    let endpoints = row.key("endpoints").items();
    let addresses = endpoints.flat_map(|endpoint| endpoint.key("addresses").items());
    let addresses: Vec<String> = addresses.map(|address| address.str().into_owned()).collect();
    Some(Cell::text(few(&addresses, "<unset>")))
}

/// `formatHosts`: rules without a host count among the others that are not shown.
fn hosts<'a>(row: &Row<'a>, _: &[Path]) -> Option<Cell<'a>> {
    let rules: Vec<String> =
        row.at("spec.rules").items().map(|rule| rule.key("host").str().into_owned()).collect();
    let (mut shown, mut more) = (Vec::new(), false);
    for host in &rules {
        more |= shown.len() == SHOWN;
        if !more && !host.is_empty() {
            shown.push(host.as_str());
        }
    }
    Some(Cell::text(match shown.join(",") {
        hosts if hosts.is_empty() => "*".to_owned(),
        hosts if more => format!("{hosts} + {} more...", rules.len() - SHOWN),
        hosts => hosts,
    }))
}

fn ingress_ports<'a>(row: &Row<'a>, _: &[Path]) -> Option<Cell<'a>> {
    let secured = row.at("spec.tls").items().next().is_some();
    Some(Cell::text(if secured { "80, 443" } else { "80" }))
}

fn parameters<'a>(row: &Row<'a>, _: &[Path]) -> Option<Cell<'a>> {
    let parameters = row.at("spec.parameters");
    let (kind, name) = (parameters.key("kind").str(), parameters.key("name").str());
    Some(Cell::text(match parameters.key("apiGroup").text() {
        _ if !parameters.exists() => "<none>".to_owned(),
        Some(group) => format!("{kind}.{group}/{name}"),
        None => format!("{kind}/{name}"),
    }))
}

fn parent<'a>(row: &Row<'a>, _: &[Path]) -> Option<Cell<'a>> {
    let parent = row.at("spec.parentRef");
    if !parent.exists() {
        return Some(Cell::text("<none>"));
    }
    let mut text = parent.key("resource").str().into_owned();
    let (group, namespace) = (parent.key("group").str(), parent.key("namespace").str());
    if !group.is_empty() {
        text = format!("{text}.{group}");
    }
    text = text.to_lowercase();
    if !namespace.is_empty() {
        text = format!("{text}/{namespace}");
    }
    Some(Cell::text(format!("{text}/{}", parent.key("name").str())))
}
