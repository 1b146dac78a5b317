//! What the kernel's table holds, and the changes that turn it into what it should hold. Pure.
//!
//! A [`State`] is always what the table holds once the last batch is applied. When a batch is refused, or at first,
//! [`State::rebuild`] gives the whole table anew.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use decapod_client::ObjectKey;
use decapod_sys::nftables::{Batch, Change, Concat, Element, Family, Set, Verdict};
use ipnet::IpNet;
use jiff::Timestamp;

use crate::config::ProxyConfig;
use crate::frontend::{Compiled, Frontend, FrontendKey, Kind, Way};
use crate::table::{self, OUTSIDE_OFFSET, Pick, Sets};

/// The number of the chain that there is not: flows there are dropped.
const NOWHERE: u32 = 0;

/// The table of one family.
pub struct State {
    config: Arc<ProxyConfig>,
    family: Family,
    sets: Sets,
    services: HashMap<ObjectKey, Compiled>,
    claims: HashMap<FrontendKey, BTreeSet<(Timestamp, ObjectKey)>>,
    installed: HashMap<FrontendKey, Installed>,
    cluster_ips: Counted,
    hairpins: Counted,
    /// Chains are few and stay: kernels before 6.2 refuse to end one right after the last element that led there.
    picks: BTreeMap<u32, Pick>,
    firewalls: BTreeSet<Vec<IpNet>>,
    /// The timeouts of session affinity, in order of their first use: a part of a chain's number.
    timeouts: Vec<u32>,
}

/// A frontend in the table, with its endpoints in the places that they have there.
struct Installed {
    frontend: Frontend,
    inside: Vec<SocketAddr>,
    outside: Vec<SocketAddr>,
    /// The numbers of the chains that pick one, for flows from inside and outside.
    picks: [Option<u32>; 2],
    /// What clients that stay remember their endpoint by. It keeps its token as long as it is one.
    tokens: BTreeMap<SocketAddr, u32>,
}

/// Addresses that several services may have.
#[derive(Default)]
struct Counted(HashMap<IpAddr, u32>);

/// Changes of elements, by set.
#[derive(Default)]
struct Delta {
    chains: Vec<Change>,
    delete: BTreeMap<String, (Arc<Set>, Vec<Element>)>,
    add: BTreeMap<String, (Arc<Set>, Vec<Element>)>,
}

// === impl State ===

impl State {
    /// A table without services.
    pub fn new(config: Arc<ProxyConfig>, family: Family) -> State {
        State {
            config,
            family,
            sets: Sets::new(family),
            services: HashMap::new(),
            claims: HashMap::new(),
            installed: HashMap::new(),
            cluster_ips: Counted::default(),
            hairpins: Counted::default(),
            picks: BTreeMap::new(),
            firewalls: BTreeSet::new(),
            timeouts: Vec::new(),
        }
    }

    /// Which packets the table sees.
    pub fn family(&self) -> Family {
        self.family
    }

    /// How many services there are.
    pub fn services(&self) -> usize {
        self.services.len()
    }

    /// What `service` was last compiled to.
    pub fn compiled(&self, service: &ObjectKey) -> Option<&Compiled> {
        self.services.get(service)
    }

    /// The changes that make the services what they are given as; `None` for one that is gone.
    pub fn update(&mut self, services: impl IntoIterator<Item = (ObjectKey, Option<Compiled>)>) -> Batch {
        let mut delta = Delta::default();
        let mut touched = BTreeSet::new();
        for (key, compiled) in services {
            self.replace(&mut delta, &mut touched, key, compiled);
        }
        for key in touched {
            self.install(&mut delta, key);
        }
        delta.into_batch(self.family, &self.config.table)
    }

    /// The whole table anew.
    pub fn rebuild(&self) -> Batch {
        let mut batch = table::skeleton(&self.config, self.family, &self.sets);
        self.picks.values().for_each(|pick| pick.add(&mut batch));
        self.firewalls.iter().for_each(|sources| table::add_firewall(&mut batch, sources));
        let mut delta = Delta::default();
        delta.add(&self.sets.picks, Element::verdict(number(NOWHERE), Verdict::Drop));
        self.picks.iter().for_each(|(id, pick)| delta.add(&self.sets.picks, pick_element(*id, pick)));
        let mut installed: Vec<&Installed> = self.installed.values().collect();
        installed.sort_by_key(|installed| installed.frontend.key);
        installed.into_iter().for_each(|installed| add_frontend(&mut delta, &self.sets, installed));
        for address in self.cluster_ips.sorted() {
            delta.add(&self.sets.cluster_ips, cluster_ip(address));
        }
        for address in self.hairpins.sorted() {
            delta.add(&self.sets.hairpin, Element::key(table::twice(address)));
        }
        batch.changes.extend(delta.into_batch(self.family, &self.config.table).changes);
        batch
    }

    /// Puts `compiled` in the service's place, and notes the frontends that this may change.
    fn replace(
        &mut self,
        delta: &mut Delta,
        touched: &mut BTreeSet<FrontendKey>,
        key: ObjectKey,
        compiled: Option<Compiled>,
    ) {
        let none = Compiled::default();
        let old = self.services.remove(&key);
        let (before, after) = (old.as_ref().unwrap_or(&none), compiled.as_ref().unwrap_or(&none));
        for frontend in &before.frontends {
            if let Some(claims) = self.claims.get_mut(&frontend.key) {
                claims.remove(&(before.created, key.clone()));
            }
            touched.insert(frontend.key);
        }
        for frontend in &after.frontends {
            self.claims.entry(frontend.key).or_default().insert((after.created, key.clone()));
            touched.insert(frontend.key);
        }
        let sets = &self.sets;
        self.cluster_ips.exchange(&before.cluster_ips, &after.cluster_ips, |address, there| {
            delta.set(there, &sets.cluster_ips, cluster_ip(address));
        });
        self.hairpins.exchange(&before.hairpins, &after.hairpins, |address, there| {
            delta.set(there, &sets.hairpin, Element::key(table::twice(address)));
        });
        if let Some(compiled) = compiled {
            self.services.insert(key, compiled);
        }
    }

    /// Makes the table's frontend `key` that of the service that has it.
    fn install(&mut self, delta: &mut Delta, key: FrontendKey) {
        let owner = self.claims.get(&key).and_then(|claims| claims.first());
        let frontend = owner.and_then(|(_, owner)| {
            self.services.get(owner)?.frontends.iter().find(|frontend| frontend.key == key).cloned()
        });
        let old = self.installed.remove(&key);
        let Some(frontend) = frontend else {
            self.claims.remove(&key);
            old.iter().for_each(|old| delete_frontend(delta, &self.sets, old));
            return;
        };
        if old.as_ref().is_some_and(|old| old.frontend == frontend) {
            self.installed.extend(old.map(|old| (key, old)));
            return;
        }
        let places = |old: Option<&Vec<SocketAddr>>, way: Option<&Way>| match way {
            Some(Way::Endpoints(targets)) => arrange(old.map_or(&[][..], Vec::as_slice), targets),
            _ => Vec::new(),
        };
        let inside = places(old.as_ref().map(|old| &old.inside), Some(&frontend.inside));
        let outside = places(old.as_ref().map(|old| &old.outside), frontend.outside.as_ref());
        let picks = [
            self.pick(delta, false, &inside, frontend.affinity_seconds),
            self.pick(delta, true, &outside, frontend.affinity_seconds),
        ];
        let known = old.as_ref().map(|old| &old.tokens);
        let targets = inside.iter().chain(&outside).filter(|_| frontend.affinity_seconds.is_some());
        let tokens = assign_tokens(known, targets);
        self.ensure_firewall(delta, &frontend.sources);
        let new = Installed { frontend, inside, outside, picks, tokens };
        match &old {
            Some(old) => change_frontend(delta, &self.sets, old, &new),
            None => add_frontend(delta, &self.sets, &new),
        }
        self.installed.insert(key, new);
    }

    /// The number of the chain that picks one of `targets`; adds the chain if it is not there.
    fn pick(
        &mut self,
        delta: &mut Delta,
        outside: bool,
        targets: &[SocketAddr],
        affinity_seconds: Option<u32>,
    ) -> Option<u32> {
        let count = u16::try_from(targets.len()).unwrap_or(u16::MAX);
        let timeout = affinity_seconds.map_or(0, |seconds| {
            let known = self.timeouts.iter().position(|timeout| *timeout == seconds);
            known.unwrap_or_else(|| {
                self.timeouts.push(seconds);
                self.timeouts.len() - 1
            }) as u32
                + 1
        });
        let id = timeout << 17 | u32::from(outside) << 16 | u32::from(count);
        if count > 0 && !self.picks.contains_key(&id) {
            let pick = Pick { outside, count, affinity_seconds };
            self.picks.insert(id, pick);
            let mut batch = Batch::new(self.family, "");
            pick.add(&mut batch);
            delta.chains.append(&mut batch.changes);
            delta.add(&self.sets.picks, pick_element(id, &pick));
        }
        (count > 0).then_some(id)
    }

    /// Adds the chain that lets only `sources` through, if it is not there.
    fn ensure_firewall(&mut self, delta: &mut Delta, sources: &[IpNet]) {
        if !sources.is_empty() && !self.firewalls.contains(sources) {
            self.firewalls.insert(sources.to_vec());
            let mut batch = Batch::new(self.family, "");
            table::add_firewall(&mut batch, sources);
            delta.chains.append(&mut batch.changes);
        }
    }
}

// === impl Installed ===

impl Installed {
    /// The elements that there are one of for each frontend.
    fn elements(&self, sets: &Sets) -> Vec<(Arc<Set>, Element)> {
        let Frontend { key, kind, inside, outside, sources, .. } = &self.frontend;
        let key = || table::key(key).build();
        let [pick, pick_outside] = self.picks;
        let mut elements = Vec::with_capacity(3);
        let mut push = |set: &Arc<Set>, element: Element| elements.push((Arc::clone(set), element));
        match inside {
            Way::Endpoints(_) => {
                pick.iter().for_each(|id| push(&sets.services, Element::data(key(), number(*id))));
            }
            Way::Drop => push(&sets.dropped, Element::key(key())),
            Way::Reject => push(&sets.rejected, Element::key(key())),
        }
        // Where there are no endpoints at all, there are none inside either.
        match outside {
            Some(Way::Endpoints(_) | Way::Drop) => {
                let id = pick_outside.unwrap_or(NOWHERE);
                push(&sets.outside, Element::data(key(), number(id)));
            }
            Some(Way::Reject) | None => {}
        }
        match kind {
            Kind::Cluster => {}
            Kind::External => push(&sets.external, Element::key(key())),
            Kind::ExternalLocal => push(&sets.external_local, Element::key(key())),
        }
        if !sources.is_empty() {
            let only = Verdict::Jump(table::firewall_name(sources));
            push(&sets.firewall, Element::verdict(key(), only));
        }
        elements
    }

    /// The element for the endpoint at a place: it leads there, or to its token where clients stay.
    fn place<'a>(&self, sets: &'a Sets, number: u32, at: &SocketAddr) -> (&'a Arc<Set>, Element) {
        let key = table::key(&self.frontend.key).number(number).build();
        match self.tokens.get(at) {
            Some(token) => (&sets.places, Element::data(key, self::number(*token))),
            None => (&sets.endpoints, Element::data(key, table::target(at))),
        }
    }

    /// The element for the endpoint with a token.
    fn token(&self, token: u32, at: &SocketAddr) -> Element {
        Element::data(table::key(&self.frontend.key).number(token).build(), table::target(at))
    }
}

fn add_frontend(delta: &mut Delta, sets: &Sets, new: &Installed) {
    new.elements(sets).into_iter().for_each(|(set, element)| delta.add(&set, element));
    change_places(delta, sets, None, Some(new));
}

fn delete_frontend(delta: &mut Delta, sets: &Sets, old: &Installed) {
    old.elements(sets).into_iter().for_each(|(set, element)| delta.delete(&set, element));
    change_places(delta, sets, Some(old), None);
}

fn change_frontend(delta: &mut Delta, sets: &Sets, old: &Installed, new: &Installed) {
    let (before, after) = (old.elements(sets), new.elements(sets));
    before
        .iter()
        .filter(|held| !after.contains(held))
        .for_each(|(set, element)| delta.delete(set, element.clone()));
    after
        .iter()
        .filter(|held| !before.contains(held))
        .for_each(|(set, element)| delta.add(set, element.clone()));
    change_places(delta, sets, Some(old), Some(new));
}

/// Changes the places and tokens of a frontend's endpoints where they differ.
fn change_places(delta: &mut Delta, sets: &Sets, old: Option<&Installed>, new: Option<&Installed>) {
    type Targets = fn(&Installed) -> &[SocketAddr];
    let sides: [(u32, Targets); 2] = [(0, |of| &of.inside), (OUTSIDE_OFFSET, |of| &of.outside)];
    for (offset, targets) in sides {
        let count = |of: Option<&Installed>| of.map_or(0, |of| targets(of).len());
        for (number, index) in (offset..).zip(0..count(old).max(count(new))) {
            let at = |of: Option<&Installed>| of.and_then(|of| targets(of).get(index).copied());
            let token = |of: Option<&Installed>| at(of).and_then(|at| of?.tokens.get(&at).copied());
            if at(old) == at(new) && token(old) == token(new) {
                continue;
            }
            if let Some((set, element)) = old.zip(at(old)).map(|(old, at)| old.place(sets, number, &at)) {
                delta.delete(set, element);
            }
            if let Some((set, element)) = new.zip(at(new)).map(|(new, at)| new.place(sets, number, &at)) {
                delta.add(set, element);
            }
        }
    }
    let (none, tokens) = (BTreeMap::new(), |of: &Installed| of.tokens.clone());
    let (before, after) = (old.map_or_else(|| none.clone(), tokens), new.map_or(none, tokens));
    for (at, token) in before.iter().filter(|(at, token)| after.get(at) != Some(token)) {
        old.iter().for_each(|old| delta.delete(&sets.tokens, old.token(*token, at)));
    }
    for (at, token) in after.iter().filter(|(at, token)| before.get(at) != Some(token)) {
        new.iter().for_each(|new| delta.add(&sets.tokens, new.token(*token, at)));
    }
}

/// Tokens for `targets`: those that are known keep theirs, others get the least that is free.
fn assign_tokens<'a>(
    known: Option<&BTreeMap<SocketAddr, u32>>,
    targets: impl Iterator<Item = &'a SocketAddr>,
) -> BTreeMap<SocketAddr, u32> {
    let targets: BTreeSet<SocketAddr> = targets.copied().collect();
    let mut tokens: BTreeMap<SocketAddr, u32> = known.cloned().unwrap_or_default();
    tokens.retain(|target, _| targets.contains(target));
    let used: HashSet<u32> = tokens.values().copied().collect();
    let mut free = (1..).filter(|token| !used.contains(token));
    for target in targets {
        tokens.entry(target).or_insert_with(|| free.next().expect("there are more numbers than endpoints"));
    }
    tokens
}

/// The bytes of a number.
fn number(number: u32) -> Vec<u8> {
    Concat::new().number(number).build()
}

fn pick_element(id: u32, pick: &Pick) -> Element {
    Element::verdict(number(id), Verdict::Goto(pick.name()))
}

/// Places for `targets` that leave as many as can be where they are: the last ones move into holes.
fn arrange(before: &[SocketAddr], targets: &[SocketAddr]) -> Vec<SocketAddr> {
    let wanted: HashSet<&SocketAddr> = targets.iter().collect();
    let held: HashSet<&SocketAddr> = before.iter().collect();
    let count = targets.len();
    let mut places: Vec<Option<SocketAddr>> =
        before.iter().take(count).map(|target| wanted.contains(target).then_some(*target)).collect();
    places.resize(count, None);
    let moved = before.iter().skip(count).filter(|target| wanted.contains(target));
    let mut homeless = moved.chain(targets.iter().filter(|target| !held.contains(target)));
    for place in places.iter_mut().filter(|place| place.is_none()) {
        *place = homeless.next().copied();
    }
    places.into_iter().flatten().collect()
}

fn cluster_ip(address: IpAddr) -> Element {
    Element::key(Concat::new().ip(address).build())
}

// === impl Counted ===

impl Counted {
    /// One service's addresses become others; tells of those that are new and that are gone for all.
    fn exchange(&mut self, before: &[IpAddr], after: &[IpAddr], mut tell: impl FnMut(IpAddr, bool)) {
        for address in after.iter().filter(|address| !before.contains(address)) {
            let count = self.0.entry(*address).or_default();
            *count += 1;
            if *count == 1 {
                tell(*address, true);
            }
        }
        for address in before.iter().filter(|address| !after.contains(address)) {
            let Some(count) = self.0.get_mut(address) else { continue };
            *count -= 1;
            if *count == 0 {
                self.0.remove(address);
                tell(*address, false);
            }
        }
    }

    fn sorted(&self) -> BTreeSet<IpAddr> {
        self.0.keys().copied().collect()
    }
}

// === impl Delta ===

impl Delta {
    fn set(&mut self, there: bool, set: &Arc<Set>, element: Element) {
        if there { self.add(set, element) } else { self.delete(set, element) }
    }

    fn add(&mut self, set: &Arc<Set>, element: Element) {
        push(&mut self.add, set, element);
    }

    fn delete(&mut self, set: &Arc<Set>, element: Element) {
        push(&mut self.delete, set, element);
    }

    /// New chains come first, for elements lead there; what goes comes before what takes its key.
    fn into_batch(self, family: Family, table: &str) -> Batch {
        let mut batch = Batch::new(family, table);
        batch.changes = self.chains;
        let delete =
            self.delete.into_values().map(|(set, elements)| Change::DeleteElements { set, elements });
        batch.changes.extend(delete);
        batch
            .changes
            .extend(self.add.into_values().map(|(set, elements)| Change::AddElements { set, elements }));
        batch
    }
}

fn push(to: &mut BTreeMap<String, (Arc<Set>, Vec<Element>)>, set: &Arc<Set>, element: Element) {
    match to.get_mut(&set.name) {
        Some((_, elements)) => elements.push(element),
        None => drop(to.insert(set.name.clone(), (Arc::clone(set), vec![element]))),
    }
}
