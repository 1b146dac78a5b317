//! The proxy's table: which sets and chains there are, and the rules in them. Pure.
//!
//! A flow's way: `check-firewall` before anything else; `dispatch` has one rule for each number of endpoints that a
//! service has, which rolls a number and looks the endpoint up by service and number; what was not sent anywhere and
//! should not pass ends in `check`; `nat-postrouting` gives flows the node's address that would not come back else.
//! Nothing marks packets: what a flow first meant is read from connection tracking.
//!
//! What grows with services are sets and maps of data, not of verdicts: whenever an element that leads to a chain is
//! added, the kernel walks all of its map to look for loops. (A map to a number that a second map makes a verdict of
//! would be one look-up for all, but `nft` 1.0.6 dies of listing it.)

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use decapod_sys::nftables::expr::KIND_LOCAL;
use decapod_sys::nftables::{
    Batch, Chain, ChainKind, Change, Comparison, Concat, DataType, Expr, Family, Hook, Reg, Set, Source,
    Verdict,
};
use ipnet::IpNet;

use crate::config::{ProxyConfig, family_of};
use crate::frontend::{Affinity, FrontendKey, hashed};

/// The fixed sets of a table.
#[derive(Clone, Debug)]
pub struct Sets {
    /// Frontend and place to endpoint.
    pub endpoints: Arc<Set>,
    /// Frontends to the chains of their affinities.
    pub affinity: Arc<Set>,
    /// The same for flows from outside, where they go elsewhere.
    pub affinity_outside: Arc<Set>,
    /// Frontends that drop flows from outside.
    pub dropped_outside: Arc<Set>,
    /// Frontends that drop.
    pub dropped: Arc<Set>,
    /// Frontends that refuse.
    pub rejected: Arc<Set>,
    /// Frontends whose flows all get the node's address.
    pub external: Arc<Set>,
    /// Frontends whose flows from the node itself get its address.
    pub external_local: Arc<Set>,
    /// Frontends that are not for everybody, to who they are for.
    pub firewall: Arc<Set>,
    /// All cluster addresses.
    pub cluster_ips: Arc<Set>,
    /// Endpoints on this node, twice.
    pub hairpin: Arc<Set>,
}

/// The frontends with a certain number of endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pick {
    /// Whether they are for flows from outside that have endpoints of their own.
    pub outside: bool,
    /// How many endpoints they have.
    pub count: u16,
}

/// The places of endpoints for flows from outside begin here; so there are at most as many in each.
pub const OUTSIDE_OFFSET: u32 = 1 << 16;

/// How many clients an endpoint remembers at most.
const CLIENTS_MAX: u32 = 1 << 18;

/// The chain that sends flows to endpoints.
const DISPATCH: &str = "dispatch";
/// The chain that does so for flows from outside, where they go elsewhere.
const FROM_OUTSIDE: &str = "dispatch-from-outside";

// === impl Sets ===

impl Sets {
    /// The sets of a table of `family`.
    pub fn new(family: Family) -> Sets {
        let address = address_type(family);
        let frontend = || vec![address, DataType::Proto, DataType::Port];
        let place = [frontend(), vec![DataType::Number]].concat();
        Sets {
            endpoints: Arc::new(Set::map("endpoints", place, vec![address, DataType::Port])),
            affinity: Arc::new(Set::verdicts("affinity", frontend())),
            affinity_outside: Arc::new(Set::verdicts("affinity-from-outside", frontend())),
            dropped_outside: Arc::new(Set::keys("dropped-from-outside", frontend())),
            dropped: Arc::new(Set::keys("dropped", frontend())),
            rejected: Arc::new(Set::keys("rejected", frontend())),
            external: Arc::new(Set::keys("external", frontend())),
            external_local: Arc::new(Set::keys("external-local", frontend())),
            firewall: Arc::new(Set::verdicts("firewall", frontend())),
            cluster_ips: Arc::new(Set::keys("cluster-ips", vec![address])),
            hairpin: Arc::new(Set::keys("hairpin", vec![address, address])),
        }
    }

    fn all(&self) -> [&Arc<Set>; 11] {
        [
            &self.endpoints,
            &self.affinity,
            &self.affinity_outside,
            &self.dropped_outside,
            &self.dropped,
            &self.rejected,
            &self.external,
            &self.external_local,
            &self.firewall,
            &self.cluster_ips,
            &self.hairpin,
        ]
    }
}

// === impl Pick ===

impl Pick {
    /// The set of them.
    pub fn set(&self, family: Family) -> Arc<Set> {
        let whence = if self.outside { "services-from-outside" } else { "services" };
        let key = vec![address_type(family), DataType::Proto, DataType::Port];
        Arc::new(Set::keys(format!("{whence}-{}", self.count), key))
    }

    /// Sends flows to one of the endpoints.
    fn rule(&self, family: Family) -> Vec<Expr> {
        let place = Reg(words(family) + 2);
        let (address, port) = (place, Reg(place.0 + words(family)));
        let offset = if self.outside { OUTSIDE_OFFSET } else { 0 };
        let types = vec![address_type(family), DataType::Port];
        let mut rule = Expr::loads(0, &frontend(family));
        rule.extend([
            Expr::InSet { set: self.set(family).name.clone(), key: Reg(0), not: false },
            Expr::Load { source: Source::Random { modulus: self.count.into(), offset }, to: place },
            Expr::Map { map: "endpoints".to_owned(), key: Reg(0), to: address, types },
            Expr::DestinationNat { family, address, port },
        ]);
        rule
    }
}

/// The rules that send flows to services' endpoints, in the order of `picks`; those for flows from outside have a
/// chain of their own.
pub fn dispatch(batch: &mut Batch, picks: &[Pick]) {
    let family = batch.family;
    let rules = |outside: bool| {
        picks.iter().filter(move |pick| pick.outside == outside).map(|pick| pick.rule(family))
    };
    let drop_outside = is_in(&frontend(family), "dropped-from-outside", Expr::Verdict(Verdict::Drop));
    batch.changes.push(Change::FlushChain(FROM_OUTSIDE.to_owned()));
    batch.rules(
        FROM_OUTSIDE,
        [drop_outside, look_up(family, "affinity-from-outside")].into_iter().chain(rules(true)),
    );
    batch.changes.push(Change::FlushChain(DISPATCH.to_owned()));
    batch.rules(DISPATCH, [look_up(family, "affinity")].into_iter().chain(rules(false)));
}

/// The set of clients that stay with an endpoint of an affinity.
pub fn clients(family: Family, affinity: &Affinity, of: &SocketAddr) -> Arc<Set> {
    let name = hashed("clients", &format!("{} {of}", affinity.name));
    Arc::new(Set { dynamic: Some(CLIENTS_MAX), ..Set::keys(name, vec![address_type(family)]) })
}

/// The rules that keep clients with their endpoint: first those who have one, then, with even chances, the others.
pub fn affinity(batch: &mut Batch, affinity: &Affinity, local: bool) {
    let family = batch.family;
    let targets = if local { &affinity.local } else { &affinity.cluster };
    let stay = |target: &SocketAddr, conditions: &[Expr]| {
        let (client, address) = (Reg(0), Reg(words(family)));
        let port = Reg(2 * words(family));
        let set = clients(family, affinity, target).name.clone();
        let value = |data: Concat, data_type, to| Expr::Set { data: data.build(), data_type, to };
        let mut rule = conditions.to_vec();
        rule.extend([
            Expr::Load { source: Source::SourceAddress(family), to: client },
            Expr::Update { set, key: client, timeout_ms: u64::from(affinity.seconds) * 1000 },
            value(Concat::new().ip(target.ip()), address_type(family), address),
            value(Concat::new().port(target.port()), DataType::Port, port),
            Expr::DestinationNat { family, address, port },
        ]);
        rule
    };
    let known = targets.iter().map(|target| {
        let set = clients(family, affinity, target).name.clone();
        let mut known = Expr::loads(0, &[Source::SourceAddress(family)]);
        known.push(Expr::InSet { set, key: Reg(0), not: false });
        stay(target, &known)
    });
    let new = targets.iter().rev().zip(1..).map(|(target, modulus)| {
        let random = Source::Random { modulus, offset: 0 };
        stay(target, &Expr::is(random, 0u32.to_ne_bytes().to_vec()))
    });
    let mut new: Vec<Vec<Expr>> = new.collect();
    new.reverse();
    let chain = affinity.chain(local).to_string();
    batch.chain(Chain::regular(&*chain), []);
    batch.changes.push(Change::FlushChain(chain.clone()));
    batch.rules(&chain, known.chain(new));
}

/// The table anew, with all sets and fixed chains, and nothing in the sets.
pub fn skeleton(config: &ProxyConfig, family: Family, sets: &Sets) -> Batch {
    use Hook::{Output, Postrouting, Prerouting};
    let mut batch = Batch::anew(family, &config.table);
    batch.changes.extend(sets.all().map(|set| Change::AddSet(Arc::clone(set))));
    batch.chain(Chain::regular("check-firewall"), [look_up(family, "firewall")]);
    batch.chain(Chain::regular(FROM_OUTSIDE), []);
    batch.chain(Chain::regular(DISPATCH), []);
    batch.chain(Chain::regular("check"), check(config, family));
    let new = |chain: &str| [with(&[&Expr::flow_is_new()], jump(chain))];
    batch.chain(
        Chain::base("firewall-prerouting", ChainKind::Filter, Prerouting, -110),
        new("check-firewall"),
    );
    batch.chain(Chain::base("firewall-output", ChainKind::Filter, Output, -110), new("check-firewall"));
    let outside = [&from_outside(config, family)[..], &from_node(Comparison::NotEqual)];
    let nat = [with(&outside, jump(FROM_OUTSIDE)), vec![jump(DISPATCH)]];
    batch.chain(Chain::base("nat-prerouting", ChainKind::Nat, Prerouting, -100), nat.clone());
    // What this node sends is not from outside.
    batch.chain(Chain::base("nat-output", ChainKind::Nat, Output, -100), nat[1..].to_vec());
    batch.chain(Chain::base("check-prerouting", ChainKind::Filter, Prerouting, -90), new("check"));
    batch.chain(Chain::base("check-output", ChainKind::Filter, Output, -90), new("check"));
    batch
        .chain(Chain::base("nat-postrouting", ChainKind::Nat, Postrouting, 100), postrouting(config, family));
    batch
}

/// The name of the chain that lets only `ranges` through.
pub fn firewall_name(ranges: &[IpNet]) -> Arc<str> {
    let texts: Vec<String> = ranges.iter().map(IpNet::to_string).collect();
    hashed("firewall", &texts.join(" ")).into()
}

/// Adds that chain to `batch`.
pub fn add_firewall(batch: &mut Batch, ranges: &[IpNet]) {
    let source = Source::SourceAddress(batch.family);
    let mut rules: Vec<Vec<Expr>> = ranges
        .iter()
        .map(|range| with(&[&Expr::network(source, *range, false)], Expr::Verdict(Verdict::Return)))
        .collect();
    rules.push(vec![Expr::Verdict(Verdict::Drop)]);
    batch.chain(Chain::regular(&*firewall_name(ranges)), rules);
}

/// The bytes of a frontend, to which more can be added.
pub fn key(of: &FrontendKey) -> Concat {
    Concat::new().ip(of.address).proto(of.protocol).port(of.port)
}

/// The bytes of an endpoint.
pub fn target(of: &SocketAddr) -> Vec<u8> {
    Concat::new().ip(of.ip()).port(of.port()).build()
}

/// The bytes of an endpoint that reaches itself.
pub fn twice(address: IpAddr) -> Vec<u8> {
    Concat::new().ip(address).ip(address).build()
}

/// Goes where the frontend leads, if it is in `map`.
fn look_up(family: Family, map: &str) -> Vec<Expr> {
    let mut rule = Expr::loads(0, &frontend(family));
    rule.push(Expr::VerdictMap { map: map.to_owned(), key: Reg(0) });
    rule
}

/// Ends flows that are meant for a service and go nowhere.
fn check(config: &ProxyConfig, family: Family) -> Vec<Vec<Expr>> {
    let destination = Source::DestinationAddress(family);
    let unknown = config.service_cidrs.iter().filter(|cidr| family_of(cidr) == family);
    let mut rules = vec![
        is_in(&frontend(family), "dropped", Expr::Verdict(Verdict::Drop)),
        is_in(&frontend(family), "rejected", Expr::Reject(family)),
        is_in(&[destination], "cluster-ips", Expr::Reject(family)),
    ];
    rules.extend(
        unknown.map(|cidr| with(&[&Expr::network(destination, *cidr, false)], Expr::Verdict(Verdict::Drop))),
    );
    rules
}

/// Gives flows the node's address: those that an endpoint sends to itself, and those that came from outside and
/// would be answered past this node.
fn postrouting(config: &ProxyConfig, family: Family) -> Vec<Vec<Expr>> {
    let ends = [Source::SourceAddress(family), Source::DestinationAddress(family)];
    let meant = [Source::OriginalDestination(family), Source::Protocol, Source::OriginalPort];
    let own = from_node(Comparison::Equal);
    let outside = from_outside(config, family);
    let translated = |conditions: &[Expr], sources: &[Source], set: &str| {
        [&Expr::flow_is_translated()[..], conditions, &is_in(sources, set, Expr::Masquerade)].concat()
    };
    let mut rules = vec![
        translated(&[], &ends, "hairpin"),
        translated(&[], &meant, "external"),
        translated(&own, &meant, "external-local"),
    ];
    if config.masquerade_all {
        rules.push(translated(&[], &meant[..1], "cluster-ips"));
    } else if !outside.is_empty() {
        rules.push(translated(&outside, &meant[..1], "cluster-ips"));
    }
    rules
}

/// Goes on with packets whose source is no pod's; with all if the pods' networks are not known.
fn from_outside(config: &ProxyConfig, family: Family) -> Vec<Expr> {
    let inside = config.cluster_cidrs.iter().filter(|cidr| family_of(cidr) == family);
    inside.flat_map(|cidr| Expr::network(Source::SourceAddress(family), *cidr, true)).collect()
}

fn from_node(by: Comparison) -> [Expr; 2] {
    let data = KIND_LOCAL.to_ne_bytes().to_vec();
    [Expr::Load { source: Source::SourceKind, to: Reg(0) }, Expr::Compare { from: Reg(0), by, data }]
}

fn frontend(family: Family) -> [Source; 3] {
    [Source::DestinationAddress(family), Source::Protocol, Source::DestinationPort]
}

/// Does `action` if what `sources` make is in `set`.
fn is_in(sources: &[Source], set: &str, action: Expr) -> Vec<Expr> {
    let mut rule = Expr::loads(0, sources);
    rule.extend([Expr::InSet { set: set.to_owned(), key: Reg(0), not: false }, action]);
    rule
}

fn jump(chain: &str) -> Expr {
    Expr::Verdict(Verdict::Jump(chain.into()))
}

fn with(conditions: &[&[Expr]], action: Expr) -> Vec<Expr> {
    [conditions.concat(), vec![action]].concat()
}

fn address_type(family: Family) -> DataType {
    if family == Family::Ip6 { DataType::Ipv6 } else { DataType::Ipv4 }
}

/// How many registers an address takes.
fn words(family: Family) -> u8 {
    address_type(family).words()
}
