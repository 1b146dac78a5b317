//! The proxy's table: which sets and chains there are, and the rules in them. Pure.
//!
//! A flow's way: `firewall` before anything else; `services` says which chain its service picks an endpoint in: one
//! for each number of endpoints, which rolls a number and looks it up together with the service; what was not sent
//! anywhere and should not pass ends in `check`; `nat-postrouting` gives flows the node's address that would not come
//! back else. Nothing marks packets: what a flow first meant is read from connection tracking.
//!
//! The maps that grow with services hold data, not verdicts: when an element that leads to a chain is added, the
//! kernel walks all of its map to look for loops.

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use decapod_sys::nftables::expr::KIND_LOCAL;
use decapod_sys::nftables::{
    Batch, Chain, ChainKind, Change, Comparison, Concat, DataType, Expr, Family, Hook, Reg, Set, Source,
    UpdateKind, Verdict,
};
use ipnet::IpNet;

use crate::config::{ProxyConfig, family_of};
use crate::frontend::FrontendKey;

/// The sets of a table.
#[derive(Clone, Debug)]
pub struct Sets {
    /// Frontend to the number of the chain that picks an endpoint.
    pub services: Arc<Set>,
    /// The same for flows from outside, where they go elsewhere; 0 is nowhere.
    pub outside: Arc<Set>,
    /// Number to the chain that picks an endpoint.
    pub picks: Arc<Set>,
    /// Frontend and place to endpoint.
    pub endpoints: Arc<Set>,
    /// Frontends whose flows all get the node's address.
    pub external: Arc<Set>,
    /// Frontends whose flows from the node itself get its address.
    pub external_local: Arc<Set>,
    /// Frontends that refuse.
    pub rejected: Arc<Set>,
    /// Frontends that drop.
    pub dropped: Arc<Set>,
    /// Frontends that are not for everybody, to who they are for.
    pub firewall: Arc<Set>,
    /// All cluster addresses.
    pub cluster_ips: Arc<Set>,
    /// Endpoints on this node, twice.
    pub hairpin: Arc<Set>,
    /// Client and frontend to the token of the endpoint that the client stays with.
    pub affinity: Arc<Set>,
    /// Frontend and place to token, where clients stay.
    pub places: Arc<Set>,
    /// Frontend and token to endpoint, where clients stay.
    pub tokens: Arc<Set>,
}

/// A chain that picks an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pick {
    /// Whether it is for flows from outside that have endpoints of their own.
    pub outside: bool,
    /// How many endpoints there are.
    pub count: u16,
    /// How long a client stays with an endpoint, in seconds.
    pub affinity_seconds: Option<u32>,
}

/// The places of endpoints for flows from outside begin here; so there are at most as many in each.
pub const OUTSIDE_OFFSET: u32 = 1 << 16;

/// How many clients' choices are remembered at most.
const AFFINITY_MAX: u32 = 1 << 18;

// === impl Sets ===

impl Sets {
    /// The sets of a table of `family`.
    pub fn new(family: Family) -> Sets {
        let address = address_type(family);
        let frontend = || vec![address, DataType::Proto, DataType::Port];
        let and = |mut types: Vec<DataType>, more: &[DataType]| {
            types.extend(more);
            types
        };
        let target = || vec![address, DataType::Port];
        let client = and(vec![address], &frontend());
        let number = || vec![DataType::Number];
        let place = || and(frontend(), &number());
        Sets {
            services: Arc::new(Set::map("services", frontend(), number())),
            outside: Arc::new(Set::map("services-from-outside", frontend(), number())),
            picks: Arc::new(Set::verdicts("picks", number())),
            endpoints: Arc::new(Set::map("endpoints", place(), target())),
            external: Arc::new(Set::set("external", frontend())),
            external_local: Arc::new(Set::set("external-local", frontend())),
            rejected: Arc::new(Set::set("rejected", frontend())),
            dropped: Arc::new(Set::set("dropped", frontend())),
            firewall: Arc::new(Set::verdicts("firewall", frontend())),
            cluster_ips: Arc::new(Set::set("cluster-ips", vec![address])),
            hairpin: Arc::new(Set::set("hairpin", vec![address, address])),
            affinity: Arc::new(Set { dynamic: Some(AFFINITY_MAX), ..Set::map("affinity", client, number()) }),
            places: Arc::new(Set::map("affinity-places", place(), number())),
            tokens: Arc::new(Set::map("affinity-endpoints", place(), target())),
        }
    }

    fn all(&self) -> [&Arc<Set>; 14] {
        [
            &self.services,
            &self.outside,
            &self.picks,
            &self.endpoints,
            &self.external,
            &self.external_local,
            &self.rejected,
            &self.dropped,
            &self.firewall,
            &self.cluster_ips,
            &self.hairpin,
            &self.affinity,
            &self.places,
            &self.tokens,
        ]
    }
}

// === impl Pick ===

impl Pick {
    /// The chain's name.
    pub fn name(&self) -> Arc<str> {
        let whence = if self.outside { "pick-outside" } else { "pick" };
        match self.affinity_seconds {
            None => format!("{whence}-{}", self.count).into(),
            Some(seconds) => format!("{whence}-{}-affinity-{seconds}", self.count).into(),
        }
    }

    /// Adds the chain to `batch`.
    pub fn add(&self, batch: &mut Batch) {
        let rules = match self.affinity_seconds {
            None => vec![self.pick(batch.family)],
            Some(seconds) => self.pick_with_affinity(batch.family, seconds),
        };
        batch.chain(Chain::regular(&*self.name()), rules);
    }

    fn roll(&self) -> Source {
        let offset = if self.outside { OUTSIDE_OFFSET } else { 0 };
        Source::Random { modulus: self.count.into(), offset }
    }

    fn pick(&self, family: Family) -> Vec<Expr> {
        let mut rule = Expr::loads(0, &frontend(family));
        let place = Reg(words(family) + 2);
        rule.push(Expr::Load { source: self.roll(), to: place });
        rule.extend(go(family, "endpoints", Reg(0), place));
        rule
    }

    /// Registers: client, frontend, place or token, one after another, so that each key is a stretch of them; then
    /// the endpoint.
    fn pick_with_affinity(&self, family: Family, seconds: u32) -> Vec<Vec<Expr>> {
        let (client, place_of, token) = (Reg(0), Reg(words(family)), Reg(2 * words(family) + 2));
        let mut key = Expr::loads(0, &[Source::SourceAddress(family)]);
        key.extend(Expr::loads(place_of.0, &frontend(family)));
        let look_up =
            |map: &str, key| Expr::Map { map: map.to_owned(), key, to: token, types: vec![DataType::Number] };
        let change = |kind, timeout_ms| Expr::Update {
            map: "affinity".to_owned(),
            kind,
            key: client,
            value: token,
            timeout_ms,
        };
        let stay = change(UpdateKind::Update, Some(u64::from(seconds) * 1000));
        let [endpoint, translate] = go(family, "affinity-endpoints", place_of, Reg(token.0 + 1));
        // A client that was here goes where it went, if that is still an endpoint.
        let mut known = key.clone();
        known.extend([look_up("affinity", client), endpoint.clone(), stay.clone(), translate.clone()]);
        // Another goes anywhere. An element keeps what it led to, so an old one has to go first.
        let roll = Expr::Load { source: self.roll(), to: token };
        let mut new = key.clone();
        new.extend([roll.clone(), look_up("affinity-places", place_of), endpoint.clone()]);
        new.extend([change(UpdateKind::Delete, None), stay, translate.clone()]);
        // The map may be full.
        let mut full = key;
        full.extend([roll, look_up("affinity-places", place_of), endpoint, translate]);
        vec![known, new, full]
    }
}

/// Looks up an endpoint and sends the flow there.
fn go(family: Family, map: &str, key: Reg, target: Reg) -> [Expr; 2] {
    let types = vec![address_type(family), DataType::Port];
    let port = Reg(target.0 + words(family));
    [
        Expr::Map { map: map.to_owned(), key, to: target, types },
        Expr::DestinationNat { family, address: target, port },
    ]
}

/// The table anew, with all sets and fixed chains, and nothing in the sets.
pub fn skeleton(config: &ProxyConfig, family: Family, sets: &Sets) -> Batch {
    use Hook::{Output, Postrouting, Prerouting};
    let mut batch = Batch::anew(family, &config.table);
    batch.changes.extend(sets.all().map(|set| Change::AddSet(Arc::clone(set))));
    batch.chain(Chain::regular("check-firewall"), [firewall(family)]);
    batch.chain(Chain::regular("dispatch"), dispatch(config, family));
    batch.chain(Chain::regular("check"), check(config, family));
    let new = |chain: &str| [with(&[&Expr::flow_is_new()], jump(chain))];
    batch.chain(
        Chain::base("firewall-prerouting", ChainKind::Filter, Prerouting, -110),
        new("check-firewall"),
    );
    batch.chain(Chain::base("firewall-output", ChainKind::Filter, Output, -110), new("check-firewall"));
    batch.chain(Chain::base("nat-prerouting", ChainKind::Nat, Prerouting, -100), [vec![jump("dispatch")]]);
    batch.chain(Chain::base("nat-output", ChainKind::Nat, Output, -100), [vec![jump("dispatch")]]);
    batch.chain(Chain::base("check-prerouting", ChainKind::Filter, Prerouting, -90), new("check"));
    batch.chain(Chain::base("check-output", ChainKind::Filter, Output, -90), new("check"));
    batch
        .chain(Chain::base("nat-postrouting", ChainKind::Nat, Postrouting, 100), postrouting(config, family));
    batch
}

/// The name of the chain that lets only `ranges` through.
pub fn firewall_name(ranges: &[IpNet]) -> Arc<str> {
    let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
    ranges.iter().for_each(|range| range.to_string().hash(&mut hasher));
    format!("firewall-{:016x}", hasher.finish()).into()
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

/// Lets through who may use a frontend.
fn firewall(family: Family) -> Vec<Expr> {
    let mut rule = Expr::loads(0, &frontend(family));
    rule.push(Expr::VerdictMap { map: "firewall".to_owned(), key: Reg(0) });
    rule
}

/// Sends flows to services' endpoints.
fn dispatch(config: &ProxyConfig, family: Family) -> Vec<Vec<Expr>> {
    let pick = |map: &str| {
        let mut rule = Expr::loads(0, &frontend(family));
        let (map, to) = (map.to_owned(), Reg(words(family) + 2));
        rule.push(Expr::Map { map, key: Reg(0), to, types: vec![DataType::Number] });
        rule.push(Expr::VerdictMap { map: "picks".to_owned(), key: to });
        rule
    };
    let outside = from_outside(config, family);
    vec![
        [&outside[..], &from_node(Comparison::NotEqual), &pick("services-from-outside")].concat(),
        pick("services"),
    ]
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

/// FNV-1a: the same in every process, for names that have to be found again.
struct Fnv(u64);

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        self.0 = bytes.iter().fold(self.0, step);
    }
}
