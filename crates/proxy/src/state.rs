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
use crate::frontend::{Affinity, Compiled, Frontend, FrontendKey, Kind, Way};
use crate::table::{self, OUTSIDE_OFFSET, Pick, Sets};

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
    /// How many frontends there are of each kind of pick.
    uses: BTreeMap<Pick, usize>,
    /// The kinds of picks that have a set and a rule, in the rules' order: the most used come first.
    picks: Vec<Pick>,
    /// The firewalls' chains stay: they are few, and kernels before 6.2 refuse to end a chain right after the last
    /// element that led there. The affinities' chains stay too, empty.
    firewalls: BTreeSet<Vec<IpNet>>,
}

/// A frontend in the table, with its endpoints in the places that they have there.
struct Installed {
    frontend: Frontend,
    inside: Vec<SocketAddr>,
    outside: Vec<SocketAddr>,
}

/// Addresses that several services may have.
#[derive(Default)]
struct Counted(HashMap<IpAddr, u32>);

/// Changes: of chains and sets that elements and rules need, of elements by set, and of rules.
struct Delta {
    before: Batch,
    delete: BTreeMap<String, (Arc<Set>, Vec<Element>)>,
    add: BTreeMap<String, (Arc<Set>, Vec<Element>)>,
    after: Vec<Change>,
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
            uses: BTreeMap::new(),
            picks: Vec::new(),
            firewalls: BTreeSet::new(),
        }
    }

    /// Which packets the table sees.
    pub fn family(&self) -> Family {
        self.family
    }

    /// What `service` was last compiled to.
    pub fn compiled(&self, service: &ObjectKey) -> Option<&Compiled> {
        self.services.get(service)
    }

    /// The changes that make the services what they are given as; `None` for one that is gone.
    pub fn update(&mut self, services: impl IntoIterator<Item = (ObjectKey, Option<Compiled>)>) -> Batch {
        let mut delta = Delta::new(self.family, &self.config.table);
        let mut touched = BTreeSet::new();
        for (key, compiled) in services {
            self.replace(&mut delta, &mut touched, key, compiled);
        }
        for key in touched {
            self.install(&mut delta, key);
        }
        self.arrange_picks(&mut delta);
        delta.into_batch()
    }

    /// The whole table anew.
    pub fn rebuild(&self) -> Batch {
        let mut delta = Delta::new(self.family, &self.config.table);
        delta.before = table::skeleton(&self.config, self.family, &self.sets);
        for pick in &self.picks {
            delta.before.changes.push(Change::AddSet(pick.set(self.family)));
        }
        self.firewalls.iter().for_each(|sources| table::add_firewall(&mut delta.before, sources));
        let mut affinities: Vec<&Affinity> = self.services.values().flat_map(|of| &of.affinities).collect();
        affinities.sort_by(|a, b| a.name.cmp(&b.name));
        affinities.into_iter().for_each(|affinity| change_affinity(&mut delta, None, Some(affinity)));
        let mut installed: Vec<&Installed> = self.installed.values().collect();
        installed.sort_by_key(|installed| installed.frontend.key);
        installed.into_iter().for_each(|new| change_frontend(&mut delta, &self.sets, None, Some(new)));
        for address in self.cluster_ips.sorted() {
            delta.add(&self.sets.cluster_ips, cluster_ip(address));
        }
        for address in self.hairpins.sorted() {
            delta.add(&self.sets.hairpin, Element::key(table::twice(address)));
        }
        let mut rules = Batch::new(self.family, "");
        table::dispatch(&mut rules, &self.picks);
        delta.after.append(&mut rules.changes);
        delta.into_batch()
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
        for old in &before.affinities {
            let new = after.affinities.iter().find(|new| new.name == old.name);
            change_affinity(delta, Some(old), new);
        }
        for new in &after.affinities {
            if !before.affinities.iter().any(|old| old.name == new.name) {
                change_affinity(delta, None, Some(new));
            }
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
        if frontend.is_none() {
            self.claims.remove(&key);
        }
        if old.as_ref().map(|old| &old.frontend) == frontend.as_ref() {
            self.installed.extend(old.map(|old| (key, old)));
            return;
        }
        let places = |old: Option<&Vec<SocketAddr>>, way: Option<&Way>| match way {
            Some(Way::Endpoints(targets)) => arrange(old.map_or(&[][..], Vec::as_slice), targets),
            _ => Vec::new(),
        };
        let new = frontend.map(|frontend| {
            // Affinities have their endpoints in rules.
            let plain = frontend.affinity.is_none();
            let inside = Some(&frontend.inside).filter(|_| plain);
            let outside = frontend.outside.as_ref().filter(|_| plain);
            Installed {
                inside: places(old.as_ref().map(|old| &old.inside), inside),
                outside: places(old.as_ref().map(|old| &old.outside), outside),
                frontend,
            }
        });
        self.count_picks(old.as_ref(), new.as_ref());
        let sources = new.as_ref().map(|new| &new.frontend.sources).filter(|sources| !sources.is_empty());
        if let Some(sources) = sources.filter(|sources| !self.firewalls.contains(*sources)) {
            table::add_firewall(&mut delta.before, sources);
            self.firewalls.insert(sources.clone());
        }
        change_frontend(delta, &self.sets, old.as_ref(), new.as_ref());
        self.installed.extend(new.map(|new| (key, new)));
    }

    fn count_picks(&mut self, old: Option<&Installed>, new: Option<&Installed>) {
        for pick in new.iter().flat_map(|new| new.picks()).flatten() {
            *self.uses.entry(pick).or_default() += 1;
        }
        for pick in old.iter().flat_map(|old| old.picks()).flatten() {
            match self.uses.get_mut(&pick) {
                Some(uses) if *uses > 1 => *uses -= 1,
                _ => drop(self.uses.remove(&pick)),
            }
        }
    }

    /// Gives each kind of pick that is used a set and a rule. Only when there is a new kind are the rules written
    /// again, and those that nobody uses left out.
    fn arrange_picks(&mut self, delta: &mut Delta) {
        let known: HashSet<Pick> = self.picks.iter().copied().collect();
        if self.uses.keys().all(|pick| known.contains(pick)) {
            return;
        }
        let mut picks: Vec<(usize, Pick)> = self.uses.iter().map(|(pick, uses)| (*uses, *pick)).collect();
        picks.sort_by_key(|(uses, pick)| (std::cmp::Reverse(*uses), *pick));
        let picks: Vec<Pick> = picks.into_iter().map(|(_, pick)| pick).collect();
        let family = self.family;
        let sets = |picks: &[Pick], except: &[Pick]| -> Vec<Arc<Set>> {
            picks.iter().filter(|pick| !except.contains(pick)).map(|pick| pick.set(family)).collect()
        };
        delta.before.changes.extend(sets(&picks, &self.picks).into_iter().map(Change::AddSet));
        let mut rules = Batch::new(family, "");
        table::dispatch(&mut rules, &picks);
        delta.after.append(&mut rules.changes);
        delta.after.extend(sets(&self.picks, &picks).into_iter().map(Change::DeleteSet));
        self.picks = picks;
    }
}

// === impl Installed ===

impl Installed {
    /// The kinds of picks for flows from inside and outside.
    fn picks(&self) -> [Option<Pick>; 2] {
        let pick = |outside: bool, targets: &[SocketAddr]| {
            let count = u16::try_from(targets.len()).unwrap_or(u16::MAX);
            (count > 0).then_some(Pick { outside, count })
        };
        [pick(false, &self.inside), pick(true, &self.outside)]
    }

    /// The elements that there are one of for each frontend.
    fn elements(&self, sets: &Sets) -> Vec<(Arc<Set>, Element)> {
        let Frontend { key, kind, inside, outside, affinity, sources } = &self.frontend;
        let ipv4 = key.address.is_ipv4();
        let key = || table::key(key).build();
        let chain = |chain: &Arc<str>| Element::verdict(key(), Verdict::Goto(Arc::clone(chain)));
        let set_of = |pick: Pick| pick.set(if ipv4 { Family::Ip } else { Family::Ip6 });
        let [pick, pick_outside] = self.picks();
        let mut elements = Vec::with_capacity(3);
        let mut push = |set: &Arc<Set>, element: Element| elements.push((Arc::clone(set), element));
        match (inside, affinity) {
            (Way::Endpoints(_), Some([name, _])) => push(&sets.affinity, chain(name)),
            (Way::Endpoints(_), None) => {
                pick.iter().for_each(|pick| push(&set_of(*pick), Element::key(key())))
            }
            (Way::Drop, _) => push(&sets.dropped, Element::key(key())),
            (Way::Reject, _) => push(&sets.rejected, Element::key(key())),
        }
        match (outside, affinity) {
            (Some(Way::Endpoints(_)), Some([_, name])) => push(&sets.affinity_outside, chain(name)),
            (Some(Way::Endpoints(_)), None) => {
                pick_outside.iter().for_each(|pick| push(&set_of(*pick), Element::key(key())));
            }
            (Some(Way::Drop), _) => push(&sets.dropped_outside, Element::key(key())),
            // Where there are no endpoints at all, there are none inside either.
            (Some(Way::Reject) | None, _) => {}
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
}

/// Changes the elements of a frontend where they differ.
fn change_frontend(delta: &mut Delta, sets: &Sets, old: Option<&Installed>, new: Option<&Installed>) {
    let Some(key) = new.or(old).map(|of| of.frontend.key) else { return };
    let before = old.map(|old| old.elements(sets)).unwrap_or_default();
    let after = new.map(|new| new.elements(sets)).unwrap_or_default();
    before
        .iter()
        .filter(|held| !after.contains(held))
        .for_each(|(set, element)| delta.delete(set, element.clone()));
    after
        .iter()
        .filter(|held| !before.contains(held))
        .for_each(|(set, element)| delta.add(set, element.clone()));
    type Targets = fn(&Installed) -> &[SocketAddr];
    let sides: [(u32, Targets); 2] = [(0, |of| &of.inside), (OUTSIDE_OFFSET, |of| &of.outside)];
    for (offset, targets) in sides {
        let (before, after) = (old.map_or(&[][..], targets), new.map_or(&[][..], targets));
        for (number, place) in (offset..).zip(0..before.len().max(after.len())) {
            let (was, is) = (before.get(place), after.get(place));
            if was == is {
                continue;
            }
            let element =
                |at: &SocketAddr| Element::data(table::key(&key).number(number).build(), table::target(at));
            was.iter().for_each(|was| delta.delete(&sets.endpoints, element(was)));
            is.iter().for_each(|is| delta.add(&sets.endpoints, element(is)));
        }
    }
}

/// Writes an affinity's rules where they differ. Endpoints that stay keep their clients.
fn change_affinity(delta: &mut Delta, old: Option<&Affinity>, new: Option<&Affinity>) {
    if old == new {
        return;
    }
    let family = delta.before.family;
    let targets = |of: Option<&Affinity>| of.map(Affinity::targets).unwrap_or_default();
    let (before, after) = (targets(old), targets(new));
    if let Some(new) = new {
        let added = after.difference(&before).map(|at| Change::AddSet(table::clients(family, new, at)));
        delta.before.changes.extend(added);
        table::affinity(&mut delta.before, new, false);
        table::affinity(&mut delta.before, new, true);
    } else if let Some(old) = old {
        let chains = [old.chain(false), old.chain(true)];
        delta.before.changes.extend(chains.map(|chain| Change::FlushChain(chain.to_string())));
    }
    if let Some(old) = old {
        let gone = before.difference(&after).map(|at| Change::DeleteSet(table::clients(family, old, at)));
        delta.before.changes.extend(gone);
    }
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
    fn new(family: Family, table: &str) -> Delta {
        let before = Batch::new(family, table);
        Delta { before, delete: BTreeMap::new(), add: BTreeMap::new(), after: Vec::new() }
    }

    fn set(&mut self, there: bool, set: &Arc<Set>, element: Element) {
        if there { self.add(set, element) } else { self.delete(set, element) }
    }

    fn add(&mut self, set: &Arc<Set>, element: Element) {
        push(&mut self.add, set, element);
    }

    fn delete(&mut self, set: &Arc<Set>, element: Element) {
        push(&mut self.delete, set, element);
    }

    /// What goes comes before what takes its key.
    fn into_batch(self) -> Batch {
        let mut batch = self.before;
        let delete =
            self.delete.into_values().map(|(set, elements)| Change::DeleteElements { set, elements });
        batch.changes.extend(delete);
        batch
            .changes
            .extend(self.add.into_values().map(|(set, elements)| Change::AddElements { set, elements }));
        batch.changes.extend(self.after);
        batch
    }
}

fn push(to: &mut BTreeMap<String, (Arc<Set>, Vec<Element>)>, set: &Arc<Set>, element: Element) {
    match to.get_mut(&set.name) {
        Some((_, elements)) => elements.push(element),
        None => drop(to.insert(set.name.clone(), (Arc::clone(set), vec![element]))),
    }
}
