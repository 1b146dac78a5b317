//! EndpointSlice: some of the addresses behind a service.

use crate::Cause;
use crate::kinds::strategies::checks;
use crate::kinds::strategies::core::endpoint_ip;
use crate::kinds::strategies::fill::{count_change, each, fill, same};
use crate::kinds::strategies::rules::{Causes, Place, Seen, before};
use crate::kinds::strategy::{Strategy, Verb};
use crate::names;
use crate::value::Value;

/// EndpointSlice: some of the addresses behind a service.
pub struct EndpointSlice;

impl Strategy for EndpointSlice {
    fn default(&self, draft: &mut Value) {
        each(draft, "ports", |port| {
            fill(port, "name", "");
            fill(port, "protocol", "TCP");
        });
    }

    /// Unlike elsewhere, labels count in the generation. `deprecatedTopology` is of a version long gone.
    fn prepare(&self, new: &mut Value, old: Option<&Value>, _verb: Verb) {
        match old {
            None => each(new, "endpoints", |endpoint| drop(endpoint.remove_at(&["deprecatedTopology"]))),
            Some(old) if !same(new, old, &["metadata", "labels"]) => count_change(new, old),
            Some(_) => {}
        }
    }

    fn validate(&self, new: &Value, old: Option<&Value>, _verb: Verb) -> Vec<Cause> {
        let (slice, mut out) = (Place::root(new), Vec::new());
        let kind = slice.field("addressType");
        kind.need_one_of(&["FQDN", "IPv4", "IPv6"], &mut out);
        ports(&slice.field("ports"), &mut out);
        if old.is_none_or(|old| old.get("endpoints") != new.get("endpoints")) {
            endpoints(&slice.field("endpoints"), kind.text(), &mut out);
        }
        if old.is_some() {
            kind.immutable(before(old, &["addressType"]), &mut out);
        }
        out
    }
}

const ENDPOINTS_MAX: usize = 1000;
const ADDRESSES_MAX: usize = 100;
const PORTS_MAX: usize = 20_000;
const HINTS_MAX: usize = 8;

fn ports(ports: &Place, out: &mut Causes) {
    if ports.list().len() > PORTS_MAX {
        return out.push(ports.too_many(PORTS_MAX));
    }
    let mut seen = Seen::default();
    for port in ports.items() {
        port.field("name").check_if_set(names::label, out);
        if seen.again(port.field("name").text()) {
            out.push(port.field("name").duplicate());
        }
        port.field("protocol").need_one_of(&["SCTP", "TCP", "UDP"], out);
        if port.field("appProtocol").is_set() {
            port.field("appProtocol").check(names::qualified_name, out);
        }
    }
}

fn endpoints(endpoints: &Place, kind: &str, out: &mut Causes) {
    if endpoints.list().len() > ENDPOINTS_MAX {
        return out.push(endpoints.too_many(ENDPOINTS_MAX));
    }
    for endpoint in endpoints.items() {
        let addresses = endpoint.field("addresses");
        match addresses.list().len() {
            0 => out.push(addresses.required("must contain at least 1 address")),
            count if count > ADDRESSES_MAX => out.push(addresses.too_many(ADDRESSES_MAX)),
            _ => {}
        }
        addresses.items().for_each(|address| check_address(&addresses, &address, kind, out));
        if endpoint.field("nodeName").is_set() {
            endpoint.field("nodeName").check(names::subdomain, out);
        }
        if endpoint.field("hostname").is_set() {
            endpoint.field("hostname").check(names::label, out);
        }
        let hints = endpoint.field("hints");
        for (list, reasons) in
            [("forZones", names::label_value as fn(&str) -> _), ("forNodes", names::subdomain)]
        {
            check_hints(&hints.field(list), reasons, out);
        }
    }
}

fn check_address(addresses: &Place, address: &Place, kind: &str, out: &mut Causes) {
    let before = out.len();
    match kind {
        "IPv4" | "IPv6" => {
            address.check(checks::ip, out);
            if out.len() > before {
                return;
            }
            if address.text().contains(':') != (kind == "IPv6") {
                out.push(addresses.invalid_as(address.text(), &format!("must be an {kind} address")));
            }
            endpoint_ip(address, out);
        }
        "FQDN" if address.need(out) => {
            let name = address.text().strip_suffix('.').unwrap_or(address.text());
            let reasons = names::subdomain(name);
            if !reasons.is_empty() {
                out.push(address.invalid_as(name, &reasons.join(",")));
            } else if !name.contains('.') {
                out.push(
                    address
                        .invalid_as(name, "should be a domain with at least two segments separated by dots"),
                );
            }
        }
        _ => {}
    }
}

fn check_hints(hints: &Place, reasons: fn(&str) -> Vec<String>, out: &mut Causes) {
    if hints.list().len() > HINTS_MAX {
        return out.push(hints.too_many(HINTS_MAX));
    }
    let mut seen = Seen::default();
    for hint in hints.items() {
        let name = hint.field("name");
        if seen.again(hint.value.str_at(&["name"]).unwrap_or_default()) {
            out.push(name.duplicate());
        }
        name.check(reasons, out);
    }
}
