//! Endpoints: the addresses behind a service.

use std::net::IpAddr;

use crate::Cause;
use crate::kinds::strategies::checks;
use crate::kinds::strategies::fill::{each, fill};
use crate::kinds::strategies::rules::{Causes, Place};
use crate::kinds::strategy::{Strategy, Verb};
use crate::names;
use crate::value::Value;

/// Endpoints: the addresses behind a service.
pub struct Endpoints;

impl Strategy for Endpoints {
    fn default(&self, draft: &mut Value) {
        each(draft, "subsets", |subset| each(subset, "ports", |port| fill(port, "protocol", "TCP")));
    }

    fn allow_create_on_update(&self) -> bool {
        true
    }

    fn validate(&self, new: &Value, old: Option<&Value>, _verb: Verb) -> Vec<Cause> {
        let (endpoints, mut out) = (Place::root(new), Vec::new());
        if old.is_some_and(|old| old.get("subsets") == new.get("subsets")) {
            return out;
        }
        for subset in endpoints.field("subsets").items() {
            let lists = [subset.field("addresses"), subset.field("notReadyAddresses")];
            if lists.iter().all(|list| list.list().is_empty()) {
                out.push(subset.required("must specify `addresses` or `notReadyAddresses`"));
            }
            for list in lists {
                list.items().for_each(|address| check_address(&address, &mut out));
            }
            let ports = subset.field("ports");
            ports.items().for_each(|port| check_port(&port, ports.list().len() > 1, &mut out));
        }
        out
    }
}

fn check_address(address: &Place, out: &mut Causes) {
    address.field("ip").check(checks::ip, out);
    address.field("hostname").check_if_set(names::label, out);
    if address.field("nodeName").is_set() {
        address.field("nodeName").check(names::subdomain, out);
    }
    endpoint_ip(&address.field("ip"), out);
}

fn check_port(port: &Place, needs_name: bool, out: &mut Causes) {
    if needs_name {
        port.field("name").need(out);
    }
    port.field("name").check_if_set(names::label, out);
    port.field("port").port(out);
    port.field("protocol").need_one_of(&["SCTP", "TCP", "UDP"], out);
    if port.field("appProtocol").is_set() {
        port.field("appProtocol").check(names::qualified_name, out);
    }
}

/// An address that others can reach (upstream's `ValidateEndpointIP`).
pub fn endpoint_ip(ip: &Place, out: &mut Causes) {
    let Ok(address) = ip.text().parse::<IpAddr>() else {
        return out.push(ip.invalid_as(ip.text(), "must be a valid IP address"));
    };
    let (is_local, is_local_multicast) = match address {
        IpAddr::V4(v4) => (v4.is_link_local(), v4.octets()[..3] == [224, 0, 0]),
        IpAddr::V6(v6) => (v6.segments()[0] & 0xffc0 == 0xfe80, v6.segments()[0] & 0xff0f == 0xff02),
    };
    for (bad, detail) in [
        (address.is_unspecified(), format!("may not be unspecified ({})", ip.text())),
        (address.is_loopback(), "may not be in the loopback range (127.0.0.0/8, ::1/128)".to_owned()),
        (is_local, "may not be in the link-local range (169.254.0.0/16, fe80::/10)".to_owned()),
        (
            is_local_multicast,
            "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)".to_owned(),
        ),
    ] {
        if bad {
            out.push(ip.invalid(&detail));
        }
    }
}
