//! From a name to its records, as the Kubernetes DNS specification v1.1.0 has it.

use std::net::IpAddr;

use crate::name::Name;
use crate::wire::{Code, Data, Query, Record, Reply, kind};
use crate::zone::{Facing, Namespace, Port, Service, Zone};

/// What is known of a query.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// The answer.
    Reply(Reply),
    /// The beginning of the answer, and the name outside of the cluster that it goes on with.
    Alias(Reply, Name),
    /// The name is not the cluster's.
    Elsewhere,
}

/// The version of the specification.
const VERSION: &str = "1.1.0";
/// How many aliases are followed.
const ALIASES_MAX: usize = 8;

/// The records of a name, whatever their type; `None` when there is no such name.
type Records = Option<Vec<Record>>;

// === impl Zone ===

impl Zone {
    /// Looks up what `query` asks.
    pub fn look_up(&self, query: &Query) -> Found {
        if let Some(address) = address_of(&query.name) {
            return self.look_up_address(query, address);
        }
        if query.name.within(&self.domain).is_none() {
            return Found::Elsewhere;
        }
        if matches!(query.kind, kind::AXFR | kind::IXFR) {
            return Found::Reply(Reply::empty(Code::Refused));
        }
        let mut reply = Reply { authoritative: true, ..Reply::empty(Code::NoError) };
        let mut name = query.name.clone();
        for _ in 0..ALIASES_MAX {
            let Some(labels) = name.labels_before(&self.domain) else { return Found::Alias(reply, name) };
            let Some(records) = self.records(&name, &labels, query.kind) else {
                reply.code = if reply.answers.is_empty() { Code::NxDomain } else { Code::NoError };
                break;
            };
            let alias = records.iter().find_map(|record| match &record.data {
                Data::Cname(target) if query.kind != kind::CNAME => Some(target.clone()),
                _ => None,
            });
            let asked = |record: &Record| {
                let this = record.data.kind();
                this == query.kind || query.kind == kind::ANY || (this == kind::CNAME && alias.is_some())
            };
            reply.answers.extend(records.into_iter().filter(asked));
            match alias {
                // Not in circles.
                Some(target) if reply.answers.iter().all(|record| record.owner != target) => name = target,
                _ => break,
            }
        }
        if reply.answers.is_empty() {
            reply.authority.push(self.start());
        }
        reply.additional = self.additional(&reply.answers);
        Found::Reply(reply)
    }

    /// The start of the zone: says who to blame, and for how long what is not there may be remembered as such.
    fn start(&self) -> Record {
        let server = self.server_name();
        let mailbox = self.domain.under("hostmaster").unwrap_or_else(|| self.domain.clone());
        let data = Data::Soa { server, mailbox, serial: self.serial, negative_ttl: self.ttl };
        Record { owner: self.domain.clone(), ttl: self.ttl, data }
    }

    fn server_name(&self) -> Name {
        self.domain.under("dns").and_then(|name| name.under("ns")).unwrap_or_else(|| self.domain.clone())
    }

    fn record(&self, owner: &Name, data: Data) -> Record {
        Record { owner: owner.clone(), ttl: self.ttl, data }
    }

    fn addresses<'a>(&self, owner: &Name, addresses: impl IntoIterator<Item = &'a IpAddr>) -> Vec<Record> {
        let data = |address: &IpAddr| match address {
            IpAddr::V4(address) => Data::A(*address),
            IpAddr::V6(address) => Data::Aaaa(*address),
        };
        addresses.into_iter().map(|address| self.record(owner, data(address))).collect()
    }

    /// All records of the name that stands at `labels` before the zone. Those that are costly to list come only when
    /// `wanted`.
    fn records(&self, name: &Name, labels: &[&str], wanted: u16) -> Records {
        match labels {
            [] => Some(vec![self.start(), self.record(name, Data::Ns(self.server_name()))]),
            ["dns-version"] => Some(vec![self.record(name, Data::Txt(VERSION.to_owned()))]),
            ["dns" | "svc" | "pod"] => Some(vec![]),
            ["ns", "dns"] => Some(self.addresses(name, &self.servers)),
            [namespace, "svc" | "pod"] => {
                self.namespaces.get(*namespace).filter(|n| n.exists).map(|_| vec![])
            }
            [address, namespace, "pod"] => {
                self.namespaces.get(*namespace).filter(|namespace| namespace.exists)?;
                Some(self.addresses(name, &[undashed(address)?]))
            }
            [rest @ .., service, namespace, "svc"] => {
                let found: &Namespace = self.namespaces.get(*namespace)?;
                let service_name = self.service_name(namespace, service)?;
                self.service_records(name, &service_name, found.services.get(*service)?, rest, wanted)
            }
            _ => None,
        }
    }

    fn service_name(&self, namespace: &str, service: &str) -> Option<Name> {
        self.domain.under("svc")?.under(namespace)?.under(service)
    }

    /// The records of what stands at `rest` before a service's name.
    fn service_records(
        &self,
        name: &Name,
        at: &Name,
        service: &Service,
        rest: &[&str],
        wanted: u16,
    ) -> Records {
        let facing = service.facing.as_ref()?;
        match (rest, facing) {
            ([], Facing::External(target)) => Some(vec![self.record(name, Data::Cname(target.clone()))]),
            (_, Facing::External(_)) => None,
            ([], Facing::Cluster(addresses, _)) => {
                let mut records = self.addresses(name, addresses);
                records.extend(self.ports(name, at, service, facing, wanted, |_| true));
                Some(records)
            }
            ([], Facing::Headless) => {
                let mut addresses: Vec<&IpAddr> =
                    service.endpoints().map(|(endpoint, _)| &endpoint.address).collect();
                addresses.sort_unstable();
                addresses.dedup();
                let mut records = self.addresses(name, addresses);
                records.extend(self.ports(name, at, service, facing, wanted, |_| true));
                // Without a ready endpoint there is no such name.
                (!records.is_empty()).then_some(records)
            }
            ([port, protocol], _) => {
                let (port, protocol) = (port.strip_prefix('_')?, protocol.strip_prefix('_')?);
                let matches = |p: &Port| *p.name == *port && *p.protocol == *protocol;
                let records = self.ports(name, at, service, facing, kind::SRV, matches);
                (!records.is_empty()).then_some(records)
            }
            ([label], _) => match label.strip_prefix('_') {
                // There may be ports below.
                Some(protocol) => {
                    let matches = |p: &Port| !p.name.is_empty() && *p.protocol == *protocol;
                    let below = self.ports(name, at, service, facing, kind::SRV, matches);
                    (!below.is_empty()).then(Vec::new)
                }
                None => {
                    let of = service.endpoints().filter(|(endpoint, _)| *endpoint.hostname == **label);
                    let mut addresses: Vec<&IpAddr> = of.map(|(endpoint, _)| &endpoint.address).collect();
                    addresses.sort_unstable();
                    addresses.dedup();
                    (!addresses.is_empty()).then(|| self.addresses(name, addresses))
                }
            },
            _ => None,
        }
    }

    /// The hosts and ports of a service at `at`, whose ports match, when they are `wanted`.
    fn ports(
        &self,
        owner: &Name,
        at: &Name,
        service: &Service,
        facing: &Facing,
        wanted: u16,
        matches: impl Fn(&Port) -> bool,
    ) -> Vec<Record> {
        if wanted != kind::SRV {
            return Vec::new();
        }
        let mut found: Vec<(Name, u16)> = match facing {
            Facing::Cluster(_, ports) => {
                ports.iter().filter(|port| matches(port)).map(|p| (at.clone(), p.port)).collect()
            }
            Facing::Headless => {
                let each = service.endpoints().flat_map(|(endpoint, ports)| {
                    let target = at.under(&endpoint.hostname);
                    ports
                        .iter()
                        .filter(|port| matches(port))
                        .filter_map(move |port| Some((target.clone()?, port.port)))
                });
                each.collect()
            }
            Facing::External(_) => Vec::new(),
        };
        found.sort_unstable();
        found.dedup();
        let weight = (100 / found.len().max(1)).max(1) as u16;
        let record = |(target, port)| self.record(owner, Data::Srv { weight, port, target });
        found.into_iter().map(record).collect()
    }

    /// The addresses of the hosts that `answers` name.
    fn additional(&self, answers: &[Record]) -> Vec<Record> {
        let mut additional: Vec<Record> = Vec::new();
        let mut last = None;
        for record in answers {
            let (Data::Srv { target, .. } | Data::Ns(target)) = &record.data else { continue };
            // Sorted by host: one that comes again comes next.
            if last.replace(target) == Some(target) {
                continue;
            }
            let labels = target.labels_before(&self.domain).unwrap_or_default();
            additional.extend(self.records(target, &labels, kind::ANY).unwrap_or_default());
        }
        additional.retain(|record| matches!(record.data, Data::A(_) | Data::Aaaa(_)));
        additional
    }

    /// The names of an address that is the cluster's.
    fn look_up_address(&self, query: &Query, address: IpAddr) -> Found {
        let Some(addressed) = self.addresses.get(&address) else { return Found::Elsewhere };
        let services = addressed.services.iter().take(1).filter_map(|(ns, name)| self.service_name(ns, name));
        let mut names: Vec<Name> = services.collect();
        if names.is_empty() {
            let endpoints = addressed.endpoints.keys();
            names.extend(
                endpoints.filter_map(|(host, service, ns)| self.service_name(ns, service)?.under(host)),
            );
        }
        let mut reply = Reply { authoritative: true, ..Reply::empty(Code::NoError) };
        if matches!(query.kind, kind::PTR | kind::ANY) {
            reply.answers = names.into_iter().map(|name| self.record(&query.name, Data::Ptr(name))).collect();
        } else {
            reply.authority.push(self.start());
        }
        Found::Reply(reply)
    }
}

/// The address that `10-0-0-1` or `2001-db8--1` stands for.
fn undashed(label: &str) -> Option<IpAddr> {
    let v4 = label.replace('-', ".").parse().ok().map(IpAddr::V4);
    v4.or_else(|| label.replace('-', ":").parse().ok().map(IpAddr::V6))
}

/// The address that a name under `in-addr.arpa` or `ip6.arpa` stands for.
fn address_of(name: &Name) -> Option<IpAddr> {
    let labels: Vec<&str> =
        name.labels().map(|label| std::str::from_utf8(label).unwrap_or_default()).collect();
    match labels.as_slice() {
        [d, c, b, a, "in-addr", "arpa"] => format!("{a}.{b}.{c}.{d}").parse().ok().map(IpAddr::V4),
        [nibbles @ .., "ip6", "arpa"] if nibbles.len() == 32 => {
            let digit =
                |label: &&str| (label.len() == 1).then(|| u128::from_str_radix(label, 16).ok()).flatten();
            let bits = nibbles.iter().rev().try_fold(0u128, |bits, label| Some(bits << 4 | digit(label)?))?;
            Some(IpAddr::V6(bits.into()))
        }
        _ => None,
    }
}
