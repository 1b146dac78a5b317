//! The decision: snapshot and pod in, a node or a diagnosis out. No clock, no IO; chance only breaks ties.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use decapod_api::Str;

use crate::columns::Slot;
use crate::diagnosis::Diagnosis;
use crate::event::Event;
use crate::framework::{Cycle, Filter, Narrow, Needs, Plugin};
use crate::labels::Selector;
use crate::plugins;
use crate::pod::{PodInfo, Shape};
use crate::snapshot::Snapshot;

/// What has been decided.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// It goes to the node of this name.
    Node(Str),
    /// It fits nowhere.
    NoFit(Diagnosis),
    /// There are no nodes.
    NoNodes,
}

/// The plugins, and what they have said of classes of pods.
pub struct Decider {
    plugins: Vec<Enabled>,
    /// The most recent last.
    verdicts: VecDeque<Verdicts>,
}

/// A plugin and what its scores weigh; 0 when it gives none.
pub struct Enabled {
    /// The plugin.
    pub plugin: Box<dyn Plugin>,
    /// The weight.
    pub weight: i64,
}

/// What local plugins say of every node, for one class of pods.
struct Verdicts {
    shape: Arc<Shape>,
    /// Up to which change of nodes this holds.
    epoch: Option<u64>,
    /// By slot: the first plugin that refuses, plus one; 0 for none.
    refused_by: Vec<u8>,
    /// By plugin, then by slot: the raw scores, if it gives any.
    scores: Vec<Option<Vec<i32>>>,
    /// Which pods are of one kind with these, up to which change of workloads.
    kin: Option<Selector>,
    kin_version: Option<u64>,
}

/// The nodes that pass, and who refused the others.
struct Filtered {
    feasible: Vec<Slot>,
    /// By plugin.
    refused: Vec<(usize, Vec<Slot>)>,
    /// How many nodes were not looked at, and why.
    skipped: (usize, Option<Cow<'static, str>>),
}

/// A source of chance: a number below the one given.
pub type Chance<'a> = &'a mut dyn FnMut(u64) -> u64;

/// For how many classes verdicts are kept, and for how many nodes of all of them together.
const MAX_VERDICTS: usize = 64;
const MAX_VERDICT_SLOTS: usize = 1 << 20;

// === impl Decider ===

impl Default for Decider {
    fn default() -> Decider {
        Decider::new(plugins::default_profile())
    }
}

impl Decider {
    /// Decides by `plugins`, in this order.
    pub fn new(plugins: Vec<Enabled>) -> Decider {
        Decider { plugins, verdicts: VecDeque::new() }
    }

    /// The plugins' names, in order.
    pub fn plugins(&self) -> impl Iterator<Item = &'static str> {
        self.plugins.iter().map(|enabled| enabled.plugin.name())
    }

    /// Why `pod` must not be scheduled yet, and which plugin says so.
    pub fn gate(&self, pod: &PodInfo) -> Option<(&'static str, String)> {
        self.plugins.iter().find_map(|enabled| Some((enabled.plugin.name(), enabled.plugin.gate(pod)?)))
    }

    /// Whether `event` may let `pod` through, which `plugins` have refused.
    pub fn hint(&self, snapshot: &Snapshot, pod: &PodInfo, plugins: &[&'static str], event: &Event) -> bool {
        let cycle = Cycle { snapshot, pod, kin: None };
        let refused = self.plugins.iter().filter(|enabled| plugins.contains(&enabled.plugin.name()));
        refused.into_iter().any(|enabled| enabled.plugin.hint(cycle, event))
    }

    /// Decides where `pod` goes.
    pub fn decide(&mut self, snapshot: &mut Snapshot, pod: &PodInfo, chance: Chance) -> Decision {
        if snapshot.live().is_empty() {
            return Decision::NoNodes;
        }
        let pod = PodInfo { shape: snapshot.share(&pod.shape), ..pod.clone() };
        let mut verdicts = self.take_verdicts(&pod.shape);
        let kin = verdicts.kin(snapshot);
        self.make_counts(snapshot, &pod, kin.as_ref());
        let narrow = self.narrow(Cycle { snapshot, pod: &pod, kin: None });
        // A pod that names its nodes, as those of daemons do, has few to ask about and few like it.
        let all = narrow == Narrow::All;
        if all {
            verdicts.refresh(&self.plugins, snapshot, &pod);
        }
        let kept = all.then_some(&verdicts);
        let mut filtered = self.filter(Cycle { snapshot, pod: &pod, kin: kin.as_ref() }, narrow, kept);
        self.mind_nominated(snapshot, &pod, &mut filtered);
        let cycle = Cycle { snapshot, pod: &pod, kin: kin.as_ref() };
        let nominated = cycle.snapshot.slot(&pod.nominated).filter(|slot| filtered.feasible.contains(slot));
        let slot = match (nominated, filtered.feasible.as_slice()) {
            (Some(slot), _) => Some(slot),
            (None, []) => None,
            (None, [slot]) => Some(*slot),
            (None, feasible) => Some(self.best(cycle, kept, feasible, chance)),
        };
        let decision = match slot {
            Some(slot) => Decision::Node(snapshot.node(slot).name.clone()),
            None => Decision::NoFit(self.diagnose(cycle, &filtered)),
        };
        if all {
            self.keep_verdicts(verdicts);
        }
        decision
    }

    fn take_verdicts(&mut self, shape: &Arc<Shape>) -> Verdicts {
        let place = self.verdicts.iter().position(|verdicts| Arc::ptr_eq(&verdicts.shape, shape));
        let kept = place.and_then(|place| self.verdicts.remove(place));
        kept.unwrap_or_else(|| Verdicts::new(shape.clone(), self.plugins.len()))
    }

    fn keep_verdicts(&mut self, verdicts: Verdicts) {
        let max = (MAX_VERDICT_SLOTS / verdicts.refused_by.len().max(1)).clamp(4, MAX_VERDICTS);
        while self.verdicts.len() >= max {
            self.verdicts.pop_front();
        }
        self.verdicts.push_back(verdicts);
    }

    /// Has everything counted that plugins need to decide about `pod`.
    fn make_counts(&self, snapshot: &mut Snapshot, pod: &PodInfo, kin: Option<&Selector>) {
        let mut needs = Needs::default();
        let cycle = Cycle { snapshot, pod, kin };
        self.plugins.iter().for_each(|enabled| enabled.plugin.needs(cycle, &mut needs));
        needs.counted.iter().for_each(|counted| snapshot.count(counted));
        needs.keys.iter().for_each(|key| snapshot.divide(key));
    }

    fn filter(&self, cycle: Cycle<'_>, narrow: Narrow, kept: Option<&Verdicts>) -> Filtered {
        let live = cycle.snapshot.live();
        let mut filtered = Filtered { feasible: Vec::new(), refused: Vec::new(), skipped: (0, None) };
        let mut nodes: Vec<Slot> = match narrow {
            Narrow::All => live.to_vec(),
            Narrow::Named(names) => {
                let mut slots: Vec<Slot> =
                    names.iter().filter_map(|name| cycle.snapshot.slot(name)).collect();
                slots.sort_unstable();
                slots
            }
            Narrow::None(reason) => {
                filtered.skipped = (live.len(), Some(reason));
                return filtered;
            }
        };
        filtered.skipped.0 = live.len() - nodes.len();
        for (i, enabled) in self.plugins.iter().enumerate() {
            let mut refused = Vec::new();
            match kept.filter(|_| enabled.plugin.is_local()) {
                Some(verdicts) => verdicts.retain(i, &mut nodes, &mut refused),
                None => {
                    if let Some(filter) = enabled.plugin.filter(cycle) {
                        filter.retain(&mut nodes, &mut refused);
                    }
                }
            }
            if !refused.is_empty() {
                filtered.refused.push((i, refused));
            }
        }
        filtered.feasible = nodes;
        filtered
    }

    /// Narrowest first; two that leave nothing in common leave nothing.
    fn narrow(&self, cycle: Cycle<'_>) -> Narrow {
        let mut narrowest = Narrow::All;
        for enabled in &self.plugins {
            narrowest = match (narrowest, enabled.plugin.narrow(cycle)) {
                (Narrow::All, other) => other,
                (Narrow::Named(names), Narrow::Named(others)) => {
                    Narrow::Named(names.into_iter().filter(|name| others.contains(name)).collect())
                }
                (_, Narrow::None(reason)) => return Narrow::None(reason),
                (narrow, _) => narrow,
            };
        }
        narrowest
    }

    /// Nodes on which others of no less priority wait for room have to do with those others there as well.
    fn mind_nominated(&self, snapshot: &mut Snapshot, pod: &PodInfo, filtered: &mut Filtered) {
        let waiting = |other: &&Arc<PodInfo>| other.priority >= pod.priority && other.uid != pod.uid;
        let others: Vec<Arc<PodInfo>> = snapshot.nominated().filter(waiting).cloned().collect();
        let mut slots: Vec<Slot> =
            others.iter().filter_map(|other| snapshot.slot(&other.nominated)).collect();
        slots.sort_unstable();
        slots.dedup();
        for slot in slots {
            let Some(place) = filtered.feasible.iter().position(|feasible| *feasible == slot) else {
                continue;
            };
            let refusing = self.with_nominated(snapshot, pod, slot, |decider, snapshot| {
                decider.refusing(snapshot, pod, slot)
            });
            if let Some(plugin) = refusing {
                filtered.feasible.remove(place);
                filtered.refused.push((plugin, vec![slot]));
            }
        }
    }

    /// Does `what` while the pods that wait for room on the node at `slot`, of no less priority than `pod`, are on it.
    pub fn with_nominated<T>(
        &self,
        snapshot: &mut Snapshot,
        pod: &PodInfo,
        slot: Slot,
        what: impl FnOnce(&Decider, &mut Snapshot) -> T,
    ) -> T {
        let waits = |other: &&Arc<PodInfo>| {
            other.priority >= pod.priority
                && other.uid != pod.uid
                && snapshot.slot(&other.nominated) == Some(slot)
        };
        let others: Vec<Arc<PodInfo>> = snapshot.nominated().filter(waits).cloned().collect();
        others.iter().for_each(|other| snapshot.suppose(slot, other));
        let result = what(self, snapshot);
        others.iter().for_each(|other| snapshot.retract(slot, other));
        result
    }

    /// The first plugin that refuses the node at `slot` as it is now; the counts must have been made.
    pub fn refusing(&self, snapshot: &Snapshot, pod: &PodInfo, slot: Slot) -> Option<usize> {
        self.refusal(snapshot, pod, slot).map(|(plugin, _)| plugin)
    }

    /// Who refuses the node at `slot` as it is now, and why.
    pub fn refusal(
        &self,
        snapshot: &Snapshot,
        pod: &PodInfo,
        slot: Slot,
    ) -> Option<(usize, crate::framework::Refusal)> {
        let cycle = Cycle { snapshot, pod, kin: None };
        self.plugins.iter().enumerate().find_map(|(i, enabled)| {
            let filter = enabled.plugin.filter(cycle)?;
            (!filter.passes(slot)).then(|| (i, filter.refusal(slot)))
        })
    }

    fn diagnose(&self, cycle: Cycle<'_>, filtered: &Filtered) -> Diagnosis {
        let mut diagnosis = Diagnosis::new(cycle.snapshot.live().len());
        diagnosis.narrowed = filtered.skipped.1.clone();
        let narrowing: Vec<&'static str> = self
            .plugins
            .iter()
            .filter(|enabled| enabled.plugin.narrow(cycle) != Narrow::All)
            .map(|enabled| enabled.plugin.name())
            .collect();
        for (i, slots) in &filtered.refused {
            let plugin = &self.plugins[*i].plugin;
            let Some(filter) = plugin.filter(cycle) else { continue };
            slots.iter().for_each(|slot| diagnosis.refuse(*slot, plugin.name(), filter.refusal(*slot)));
        }
        diagnosis
            .skip(filtered.skipped.0, format!("node(s) didn't satisfy plugin(s) [{}]", narrowing.join(" ")));
        diagnosis.plugins.extend(narrowing);
        diagnosis.resolvable.sort_unstable();
        diagnosis
    }

    fn best(&self, cycle: Cycle<'_>, kept: Option<&Verdicts>, feasible: &[Slot], chance: Chance) -> Slot {
        let mut totals = vec![0i64; feasible.len()];
        let mut scores = vec![0i64; feasible.len()];
        for (i, enabled) in self.plugins.iter().enumerate().filter(|(_, enabled)| enabled.weight != 0) {
            let Some(scorer) = enabled.plugin.score(cycle, feasible) else { continue };
            match kept.and_then(|verdicts| verdicts.scores[i].as_ref()) {
                Some(raw) => {
                    feasible.iter().zip(&mut scores).for_each(|(slot, s)| *s = raw[*slot as usize].into())
                }
                None => scorer.fill(feasible, &mut scores),
            }
            scorer.normalize(feasible, &mut scores);
            totals.iter_mut().zip(&scores).for_each(|(total, score)| *total += score * enabled.weight);
        }
        let top = totals.iter().copied().max().unwrap_or(0);
        let ties = totals.iter().filter(|total| **total == top).count();
        let winner = if ties > 1 { chance(ties as u64) as usize } else { 0 };
        let mut tied = feasible.iter().zip(&totals).filter(|(_, total)| **total == top);
        tied.nth(winner).map_or(feasible[0], |(slot, _)| *slot)
    }
}

// === impl Verdicts ===

impl Verdicts {
    fn new(shape: Arc<Shape>, plugins: usize) -> Verdicts {
        let scores = (0..plugins).map(|_| None).collect();
        Verdicts { shape, epoch: None, refused_by: Vec::new(), scores, kin: None, kin_version: None }
    }

    /// Which pods are of one kind with these.
    fn kin(&mut self, snapshot: &Snapshot) -> Option<Selector> {
        let version = snapshot.workloads().version();
        if self.kin_version != Some(version) {
            self.kin = snapshot.workloads().selector(&self.shape);
            self.kin_version = Some(version);
        }
        self.kin.clone()
    }

    /// As [`Filter::retain`], for the local plugin in this place.
    fn retain(&self, plugin: usize, nodes: &mut Vec<Slot>, refused: &mut Vec<Slot>) {
        let by = plugin as u8 + 1;
        if self.refused_by.contains(&by) {
            let refuses = |slot: &Slot| self.refused_by[*slot as usize] == by;
            refused.extend(nodes.iter().copied().filter(refuses));
            nodes.retain(|slot| !refuses(slot));
        }
    }

    /// Asks the local plugins about the nodes that have changed.
    fn refresh(&mut self, plugins: &[Enabled], snapshot: &Snapshot, pod: &PodInfo) {
        if self.epoch == Some(snapshot.epoch()) {
            return;
        }
        self.refused_by.resize(snapshot.slots(), 0);
        let changed = |slot: &&Slot| self.epoch.is_none_or(|epoch| snapshot.changed_at(**slot) > epoch);
        let slots: Vec<Slot> = snapshot.live().iter().filter(changed).copied().collect();
        let cycle = Cycle { snapshot, pod, kin: None };
        let is_local = |(_, enabled): &(usize, &Enabled)| enabled.plugin.is_local();
        let mut filters: Vec<(u8, Box<dyn Filter + '_>)> = Vec::new();
        for (i, enabled) in plugins.iter().enumerate().filter(is_local) {
            filters.extend(enabled.plugin.filter(cycle).map(|filter| (i as u8 + 1, filter)));
            let Some(scorer) = enabled.plugin.score(cycle, &[]).filter(|_| enabled.weight != 0) else {
                continue;
            };
            let column = self.scores[i].get_or_insert_default();
            column.resize(snapshot.slots(), 0);
            for slot in &slots {
                column[*slot as usize] = i32::try_from(scorer.score(*slot)).unwrap_or(i32::MAX);
            }
        }
        for slot in slots {
            let refusing = filters.iter().find(|(_, filter)| !filter.passes(slot));
            self.refused_by[slot as usize] = refusing.map_or(0, |(by, _)| *by);
        }
        self.epoch = Some(snapshot.epoch());
    }
}
