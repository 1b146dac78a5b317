//! NetworkPolicy: who may talk to a pod.

use std::net::IpAddr;

use crate::Cause;
use crate::kinds::strategies::checks;
use crate::kinds::strategies::fill::{each, fill, fill_zero, part};
use crate::kinds::strategies::rules::{Causes, Place};
use crate::kinds::strategy::{Strategy, Verb};
use crate::value::Value;

/// NetworkPolicy: who may talk to a pod.
pub struct NetworkPolicy;

impl Strategy for NetworkPolicy {
    fn default(&self, draft: &mut Value) {
        let spec = part(draft, "spec");
        let has_egress = !spec.list_at(&["egress"]).is_empty();
        let types: Vec<Value> =
            if has_egress { vec!["Ingress".into(), "Egress".into()] } else { vec!["Ingress".into()] };
        fill_zero(spec, "policyTypes", types);
        for rules in ["ingress", "egress"] {
            each(spec, rules, |rule| each(rule, "ports", |port| fill(port, "protocol", "TCP")));
        }
    }

    fn validate(&self, new: &Value, _old: Option<&Value>, _verb: Verb) -> Vec<Cause> {
        let (policy, mut out) = (Place::root(new), Vec::new());
        let spec = policy.field("spec");
        spec.field("podSelector").label_selector(&mut out);
        for (rules, peers) in [("ingress", "from"), ("egress", "to")] {
            for rule in spec.field(rules).items() {
                rule.field("ports").items().for_each(|port| check_port(&port, &mut out));
                rule.field(peers).items().for_each(|peer| check_peer(&peer, &mut out));
            }
        }
        let types = spec.field("policyTypes");
        if types.list().len() > 2 {
            out.push(types.invalid("may not specify more than two policyTypes"));
            return out;
        }
        types.items().for_each(|kind| kind.one_of(&["Ingress", "Egress"], &mut out));
        out
    }
}

fn check_port(port: &Place, out: &mut Causes) {
    port.field("protocol").one_of_if_set(&["TCP", "UDP", "SCTP"], out);
    let (first, last) = (port.field("port"), port.field("endPort"));
    match first.value {
        Value::Null if last.is_set() => {
            out.push(last.invalid("may not be specified when `port` is not specified"))
        }
        Value::Null => {}
        Value::String(_) => {
            if last.is_set() {
                out.push(last.invalid("may not be specified when `port` is non-numeric"));
            }
            first.check(checks::port_name, out);
        }
        _ => {
            first.port(out);
            if last.is_set() {
                if last.int() < first.int() {
                    out.push(last.invalid_as(first.int(), "must be greater than or equal to `port`"));
                }
                last.port(out);
            }
        }
    }
}

fn check_peer(peer: &Place, out: &mut Causes) {
    let block = peer.field("ipBlock");
    let selectors = [peer.field("podSelector"), peer.field("namespaceSelector")];
    selectors.iter().for_each(|selector| selector.label_selector(out));
    match (block.is_set(), selectors.iter().any(Place::is_set)) {
        (false, false) => out.push(peer.required("must specify a peer")),
        (true, true) => out.push(peer.forbidden("may not specify both ipBlock and another peer")),
        _ => {}
    }
    if block.is_set() {
        check_block(&block, out);
    }
}

fn check_block(block: &Place, out: &mut Causes) {
    let whole = block.field("cidr");
    if !whole.need(out) {
        return;
    }
    whole.check(checks::cidr, out);
    let Some((address, bits)) = checks::split_cidr(whole.text()) else { return };
    for except in block.field("except").items() {
        except.check(checks::cidr, out);
        let Some((part, part_bits)) = checks::split_cidr(except.text()) else { continue };
        let is_within =
            address.is_ipv4() == part.is_ipv4() && first_bits(address, bits) == first_bits(part, bits);
        if !is_within || bits >= part_bits {
            out.push(except.invalid("must be a strict subset of `cidr`"));
        }
    }
}

/// The first `bits` of an address.
fn first_bits(address: IpAddr, bits: u32) -> u128 {
    let (whole, width) = match address {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)), 32),
        IpAddr::V6(v6) => (u128::from(v6), 128),
    };
    whole.checked_shr(width - bits).unwrap_or(0)
}
