//! The node's table: pods' traffic that leaves the cluster gets the node's address, host ports lead to pods, and
//! nothing from a pod reaches this machine's loopback addresses. Pure.

use std::net::IpAddr;
use std::sync::Arc;

use decapod_sys::nftables::expr::KIND_LOCAL;
use decapod_sys::nftables::{
    Batch, Chain, ChainKind, Change, Concat, DataType, Element, Expr, Family, Hook, Reg, Set, Source, Verdict,
};
use ipnet::IpNet;

use crate::cni::conf::PortMapping;
use crate::config::{NetworkConfig, family_of};

/// Host ports on any of the node's addresses.
const HOST_PORTS: &str = "host-ports";
/// Host ports on one address.
const HOST_ADDRESS_PORTS: &str = "host-address-ports";
/// Pods with host ports, twice: those that reach themselves.
const HAIRPIN: &str = "hairpin";

/// The whole table of `family`; host ports that are there stay.
pub fn compile(config: &NetworkConfig, family: Family) -> Batch {
    let mut batch = Batch::new(family, &config.table);
    batch.changes.push(Change::AddTable);
    batch.changes.extend(sets(family).into_iter().map(Change::AddSet));
    let chains = [
        (Chain::base("guard", ChainKind::Filter, Hook::Prerouting, -300), guard(config, family)),
        (Chain::regular("to-host-ports"), to_host_ports(family)),
        (Chain::base("prerouting", ChainKind::Nat, Hook::Prerouting, -100), jump_to_host_ports()),
        (Chain::base("output", ChainKind::Nat, Hook::Output, -100), jump_to_host_ports()),
        (Chain::base("postrouting", ChainKind::Nat, Hook::Postrouting, 100), postrouting(config, family)),
    ];
    for (chain, rules) in chains {
        let name = chain.name.clone();
        batch.chain(chain, []);
        batch.changes.push(Change::FlushChain(name.clone()));
        batch.changes.extend(rules.into_iter().map(|rule| Change::AddRule { chain: name.clone(), rule }));
    }
    batch
}

/// The end of the table of `family`.
pub fn removal(config: &NetworkConfig, family: Family) -> Batch {
    Batch::remove(family, &config.table)
}

/// The elements that lead `ports` to the pod at `address`. Ports with a host address of the other family are left
/// out.
pub fn host_ports(address: IpAddr, ports: &[PortMapping]) -> Vec<(Arc<Set>, Element)> {
    let [any, one, hairpin] = sets(if address.is_ipv4() { Family::Ip } else { Family::Ip6 });
    let mut elements = Vec::new();
    for port in ports {
        let Some(protocol) = port.protocol_number() else { continue };
        let to = Concat::new().ip(address).port(port.container_port).build();
        match port.host_address() {
            None => {
                let key = Concat::new().proto(protocol).port(port.host_port).build();
                elements.push((any.clone(), Element::data(key, to)));
            }
            Some(host) if host.is_ipv4() == address.is_ipv4() => {
                let key = Concat::new().ip(host).proto(protocol).port(port.host_port).build();
                elements.push((one.clone(), Element::data(key, to)));
            }
            Some(_) => {}
        }
    }
    if !elements.is_empty() {
        elements.push((hairpin, Element::key(Concat::new().ip(address).ip(address).build())));
    }
    elements
}

fn sets(family: Family) -> [Arc<Set>; 3] {
    let address = if family == Family::Ip6 { DataType::Ipv6 } else { DataType::Ipv4 };
    let to = || vec![address, DataType::Port];
    [
        Arc::new(Set::map(HOST_PORTS, vec![DataType::Proto, DataType::Port], to())),
        Arc::new(Set::map(HOST_ADDRESS_PORTS, vec![address, DataType::Proto, DataType::Port], to())),
        Arc::new(Set::keys(HAIRPIN, vec![address, address])),
    ]
}

fn loopback(family: Family) -> IpNet {
    let text = if family == Family::Ip6 { "::1/128" } else { "127.0.0.0/8" };
    text.parse().expect("a network as written")
}

/// Packets from pods neither come from nor go to this machine's loopback addresses.
fn guard(config: &NetworkConfig, family: Family) -> Vec<Vec<Expr>> {
    let from_pod = Expr::is(Source::InLink, config.pod_links.clone().into_bytes());
    let rule = |source| {
        let is_loopback = Expr::network(source, loopback(family), false);
        [&from_pod[..], &is_loopback[..], &[Expr::Verdict(Verdict::Drop)]].concat()
    };
    vec![rule(Source::DestinationAddress(family)), rule(Source::SourceAddress(family))]
}

fn jump_to_host_ports() -> Vec<Vec<Expr>> {
    let is_local = Expr::is(Source::DestinationKind, KIND_LOCAL.to_ne_bytes().to_vec());
    vec![[&is_local[..], &[Expr::Verdict(Verdict::Jump("to-host-ports".into()))]].concat()]
}

fn to_host_ports(family: Family) -> Vec<Vec<Expr>> {
    let rule = |map: &str, sources: &[Source]| {
        let mut rule = Expr::loads(0, sources);
        let (address, port) = (Reg(8), Reg(8 + if family == Family::Ip6 { 4 } else { 1 }));
        let types = vec![if family == Family::Ip6 { DataType::Ipv6 } else { DataType::Ipv4 }, DataType::Port];
        rule.push(Expr::Map { map: map.to_owned(), key: Reg(0), to: address, types });
        rule.push(Expr::DestinationNat { family, address, port });
        rule
    };
    let port = [Source::Protocol, Source::DestinationPort];
    let address_port = [Source::DestinationAddress(family), Source::Protocol, Source::DestinationPort];
    vec![rule(HOST_ADDRESS_PORTS, &address_port), rule(HOST_PORTS, &port)]
}

fn postrouting(config: &NetworkConfig, family: Family) -> Vec<Vec<Expr>> {
    let to_pod = Expr::is(Source::OutLink, config.pod_links.clone().into_bytes());
    let translated = Expr::flow_is_translated();
    let mut hairpin = translated.to_vec();
    hairpin.extend(Expr::loads(0, &[Source::SourceAddress(family), Source::DestinationAddress(family)]));
    hairpin.extend([Expr::InSet { set: HAIRPIN.to_owned(), key: Reg(0), not: false }, Expr::Masquerade]);
    // A pod could not answer to this machine's loopback address.
    let from_loopback = Expr::network(Source::SourceAddress(family), loopback(family), false);
    let mut rules = vec![hairpin, [&to_pod[..], &from_loopback[..], &[Expr::Masquerade]].concat()];
    let cluster: Vec<&IpNet> = config.cluster_cidrs.iter().filter(|cidr| family_of(cidr) == family).collect();
    for from in cluster.iter().filter(|_| config.masquerade) {
        let mut rule = Expr::network(Source::SourceAddress(family), **from, false).to_vec();
        for inside in cluster.iter().map(|cidr| **cidr).chain([multicast(family)]) {
            rule.extend(Expr::network(Source::DestinationAddress(family), inside, true));
        }
        rule.push(Expr::Masquerade);
        rules.push(rule);
    }
    rules
}

fn multicast(family: Family) -> IpNet {
    let text = if family == Family::Ip6 { "ff00::/8" } else { "224.0.0.0/4" };
    text.parse().expect("a network as written")
}
