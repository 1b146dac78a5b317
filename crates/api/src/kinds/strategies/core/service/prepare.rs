//! What an update of a service means for the fields that go together: type, addresses, node ports, families
//! (upstream's `dropTypeDependentFields`, `patchAllocatedValues`, `normalizeClusterIPs`, `initIPFamilyFields`).

use super::defaults::is_external;
use crate::kinds::strategies::fill::{each, fill, fill_zero, restore, same};
use crate::value::Value;

/// The family of the cluster's service addresses.
const FAMILY: &str = "IPv4";
const OTHER_FAMILY: &str = "IPv6";

/// Settles a new or changed service, before addresses and ports are given out.
pub fn service(new: &mut Value, old: Option<&Value>) {
    let empty = Value::map();
    let old_spec = old.map(|old| old.get("spec").unwrap_or(&empty));
    if let Some(Value::Map(_)) = new.get("spec") {
        let spec = new.entry_at(&["spec"]);
        if let Some(old) = old_spec {
            drop_dependent(spec, old);
            keep_allocated(spec, old);
        }
        // Upstream leaves it out whenever it reads such a service.
        if kind(spec) == "ExternalName" {
            spec.remove_at(&["internalTrafficPolicy"]);
        }
        settle_addresses(spec, old_spec);
        settle_families(spec, old_spec);
    }
    if old.is_some()
        && new.str_at(&["spec", "type"]) != Some("LoadBalancer")
        && let Some(status) = new.at_mut(&["status"])
    {
        status.set_at(&["loadBalancer"], Value::map());
    }
}

fn kind(spec: &Value) -> &str {
    spec.str_at(&["type"]).unwrap_or_default()
}

fn has_address(spec: &Value) -> bool {
    kind(spec) != "ExternalName"
}

fn has_node_ports(spec: &Value) -> bool {
    matches!(kind(spec), "NodePort" | "LoadBalancer")
}

fn has_health_port(spec: &Value) -> bool {
    kind(spec) == "LoadBalancer" && spec.str_at(&["externalTrafficPolicy"]) == Some("Local")
}

/// Clears what only made sense for the type that it was, where the client just sent it back.
fn drop_dependent(spec: &mut Value, old: &Value) {
    let clear = |spec: &mut Value, fields: &[&str]| {
        if fields.iter().all(|field| same(spec, old, &[field])) {
            fields.iter().for_each(|field| drop(spec.remove_at(&[field])));
        }
    };
    if has_address(old) && !has_address(spec) {
        clear(spec, &["clusterIP", "clusterIPs"]);
        clear(spec, &["ipFamilies"]);
        clear(spec, &["ipFamilyPolicy"]);
    }
    if has_node_ports(old) && !has_node_ports(spec) {
        let before = node_ports(old);
        if node_ports(spec).iter().all(|port| before.contains(port)) {
            each(spec, "ports", |port| drop(port.remove_at(&["nodePort"])));
        }
    }
    if has_health_port(old) && !has_health_port(spec) {
        clear(spec, &["healthCheckNodePort"]);
    }
    if kind(old) == "LoadBalancer" && kind(spec) != "LoadBalancer" {
        clear(spec, &["allocateLoadBalancerNodePorts"]);
        clear(spec, &["loadBalancerClass"]);
    }
    if is_external(old) && !is_external(spec) {
        clear(spec, &["externalTrafficPolicy"]);
    }
}

fn node_ports(spec: &Value) -> Vec<i64> {
    spec.list_at(&["ports"])
        .iter()
        .filter_map(|port| port.int_at(&["nodePort"]))
        .filter(|port| *port != 0)
        .collect()
}

/// Puts in the addresses and node ports that the client left out although the service has them.
fn keep_allocated(spec: &mut Value, old: &Value) {
    if has_address(old) && has_address(spec) {
        for field in ["clusterIP", "clusterIPs"] {
            if spec.get(field).is_none_or(Value::is_empty) {
                restore(spec, old, &[field]);
            }
        }
    }
    if has_node_ports(old) && has_node_ports(spec) {
        let before = node_ports(old);
        let mut used: Vec<i64> = node_ports(spec).into_iter().filter(|port| before.contains(port)).collect();
        each(spec, "ports", |port| {
            if port.int_at(&["nodePort"]).unwrap_or(0) != 0 {
                return;
            }
            let name = |port: &Value| port.str_at(&["name"]).unwrap_or_default().to_owned();
            let known = old.list_at(&["ports"]).iter().find(|known| name(known) == name(port));
            let number = known.and_then(|known| known.int_at(&["nodePort"])).unwrap_or(0);
            if number != 0 && !used.contains(&number) {
                port.set_at(&["nodePort"], number);
                used.push(number);
            }
        });
    }
    if has_health_port(old)
        && has_health_port(spec)
        && spec.int_at(&["healthCheckNodePort"]).unwrap_or(0) == 0
    {
        restore(spec, old, &["healthCheckNodePort"]);
    }
}

/// Keeps `clusterIPs` with `clusterIP`, for clients that only know the latter.
fn settle_addresses(spec: &mut Value, old: Option<&Value>) {
    let address = spec.str_at(&["clusterIP"]).unwrap_or_default().to_owned();
    let Some(old) = old else {
        if !address.is_empty() {
            fill_zero(spec, "clusterIPs", vec![Value::from(address)]);
        }
        return;
    };
    if !same(spec, old, &["clusterIP"]) && same(spec, old, &["clusterIPs"]) {
        if address.is_empty() {
            spec.remove_at(&["clusterIPs"]);
        } else {
            spec.set_at(&["clusterIPs"], vec![Value::from(address)]);
        }
    }
}

/// One family, but for headless services without a selector, which may have both.
fn settle_families(spec: &mut Value, old: Option<&Value>) {
    if !has_address(spec) {
        return;
    }
    let is_free =
        spec.str_at(&["clusterIP"]) == Some("None") && spec.get("selector").is_none_or(Value::is_empty);
    let before = old.and_then(|old| old.str_at(&["ipFamilyPolicy"])).filter(|policy| !policy.is_empty());
    let default = if is_free { "RequireDualStack" } else { "SingleStack" };
    fill(spec, "ipFamilyPolicy", before.unwrap_or(default));
    let is_single = spec.str_at(&["ipFamilyPolicy"]) == Some("SingleStack");
    if let (true, Some(old)) = (is_single, old) {
        for field in ["clusterIPs", "ipFamilies"] {
            if same(spec, old, &[field])
                && let Some(Value::List(list)) = spec.at_mut(&[field])
            {
                list.truncate(1);
            }
        }
    }
    let inferred: Vec<Value> =
        spec.list_at(&["clusterIPs"]).iter().filter_map(family_of).map(Value::from).collect();
    // More addresses than families: validation will refuse them.
    if matches!(inferred.as_slice(), [_, _, _, ..]) || matches!(inferred.as_slice(), [a, b] if a == b) {
        return;
    }
    fill_zero(spec, "ipFamilies", if inferred.is_empty() { vec![FAMILY.into()] } else { inferred });
    if is_free && !is_single {
        let families = spec.entry_at(&["ipFamilies"]).ensure_list();
        if let [one] = families.as_slice() {
            let other = if one.as_str() == Some(FAMILY) { OTHER_FAMILY } else { FAMILY };
            families.push(other.into());
        }
    }
}

fn family_of(address: &Value) -> Option<&'static str> {
    match address.as_str()? {
        "None" | "" => None,
        v6 if v6.contains(':') => Some(OTHER_FAMILY),
        _ => Some(FAMILY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value;

    fn prepared(mut new: Value, old: Option<Value>) -> Value {
        service(&mut new, old.as_ref());
        new.remove_at(&["spec"]).expect("spec")
    }

    #[test]
    fn new_services_have_one_family() {
        let families = |spec: Value| {
            let spec = prepared(value!({"spec": spec}), None);
            (spec.str_at(&["ipFamilyPolicy"]).map(str::to_owned), spec.list_at(&["ipFamilies"]).len())
        };
        let single = (Some("SingleStack".to_owned()), 1);
        assert_eq!(families(value!({"type": "ClusterIP"})), single);
        assert_eq!(
            families(value!({"type": "ClusterIP", "clusterIP": "None", "selector": {"a": "b"}})),
            single
        );
        let both = (Some("RequireDualStack".to_owned()), 2);
        assert_eq!(families(value!({"type": "ClusterIP", "clusterIP": "None"})), both);
        assert_eq!(families(value!({"type": "ExternalName"})), (None, 0));
    }

    #[test]
    fn a_service_that_changes_type_loses_what_only_the_old_one_had() {
        let old = value!({"spec": {"type": "NodePort", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"],
            "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "externalTrafficPolicy": "Cluster",
            "ports": [{"name": "a", "port": 80, "nodePort": 30000}]}});
        let mut new = old.clone();
        new.set_at(&["spec", "type"], "ClusterIP");
        let want = value!({"type": "ClusterIP", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"],
            "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "ports": [{"name": "a", "port": 80}]});
        assert_eq!(prepared(new.clone(), Some(old.clone())), want);
        new.set_at(&["spec", "type"], "ExternalName");
        assert_eq!(
            prepared(new, Some(old)),
            value!({"type": "ExternalName", "ports": [{"name": "a", "port": 80}]})
        );
    }

    #[test]
    fn an_update_keeps_the_ports_it_does_not_name() {
        let old = value!({"spec": {"type": "NodePort", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"],
            "ports": [{"name": "a", "port": 80, "nodePort": 30000}, {"name": "b", "port": 81, "nodePort": 30001}]}});
        let new = value!({"spec": {"type": "NodePort",
            "ports": [{"name": "b", "port": 82}, {"name": "c", "port": 83, "nodePort": 30000}, {"name": "a", "port": 80}]}});
        let spec = prepared(new, Some(old));
        let ports: Vec<_> = spec.list_at(&["ports"]).iter().map(|port| port.int_at(&["nodePort"])).collect();
        assert_eq!(ports, [Some(30001), Some(30000), None]);
        assert_eq!(spec.str_at(&["clusterIP"]), Some("10.0.0.1"));
    }
}
