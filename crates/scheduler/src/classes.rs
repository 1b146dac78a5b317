//! Classes of equal pods, where they run, and counts of pods per node that follow every pod that comes or goes.
//!
//! A selector is matched once per class, not once per pod; a count is an addition when a pod is placed, not a walk
//! over all pods when one is decided.

use std::sync::Arc;

use crate::columns::Slot;
use crate::labels::Labels;
use crate::pod::{Shape, Whom};
use crate::topology::FixedMap;

/// A class of equal pods.
#[derive(Clone, Debug, Default)]
pub struct Class {
    /// What they have in common.
    pub shape: Arc<Shape>,
    /// How many of them run on each node.
    pub nodes: FixedMap<Slot, u32>,
    /// The counters that count them.
    counters: Vec<usize>,
}

/// Which pods a counter counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Counted {
    /// Pods that are among all of these.
    pub whom: Vec<Whom>,
    /// Whether pods that are being deleted count too.
    pub terminating: bool,
}

/// How many pods of a kind run on each node.
#[derive(Clone, Debug)]
pub struct Counter {
    counted: Counted,
    nodes: Vec<u32>,
    used_at: u64,
}

/// The labels of namespaces, by name.
pub type Namespaces = FixedMap<decapod_api::Str, Labels>;

/// All classes and counters.
#[derive(Clone, Debug, Default)]
pub struct Classes {
    ids: FixedMap<Arc<Shape>, usize>,
    classes: Vec<Class>,
    free: Vec<usize>,
    /// Classes with pods that have affinity terms.
    bearers: std::collections::BTreeSet<usize>,
    counters: Vec<Option<Counter>>,
    counter_ids: FixedMap<Counted, usize>,
    clock: u64,
}

/// Above this many cells of all counters together, the one unused for longest goes.
const MAX_CELLS: usize = 4 << 20;
/// How many classes without pods are kept before they are swept.
const MAX_IDLE: usize = 1024;

// === impl Class ===

impl Class {
    /// How many of its pods run.
    pub fn is_idle(&self) -> bool {
        self.nodes.is_empty()
    }
}

// === impl Counted ===

impl Counted {
    fn matches(&self, shape: &Shape, namespaces: &Namespaces) -> bool {
        let none = Labels::default();
        let labels = namespaces.get(&shape.namespace).unwrap_or(&none);
        (self.terminating || !shape.terminating) && self.whom.iter().all(|whom| whom.matches(shape, labels))
    }
}

// === impl Counter ===

impl Counter {
    /// How many run on the node at `slot`.
    pub fn at(&self, slot: Slot) -> u32 {
        self.nodes.get(slot as usize).copied().unwrap_or(0)
    }

    fn add(&mut self, slot: Slot, count: i64) {
        let i = slot as usize;
        if self.nodes.len() <= i {
            self.nodes.resize(i + 1, 0);
        }
        self.nodes[i] = u32::try_from(i64::from(self.nodes[i]) + count).unwrap_or(0);
    }
}

// === impl Classes ===

impl Classes {
    /// The class of `shape`, made if there is none.
    pub fn intern(&mut self, shape: &Arc<Shape>, namespaces: &Namespaces) -> usize {
        if let Some(id) = self.ids.get(shape) {
            return *id;
        }
        self.sweep();
        let counters = self.counter_ids.iter().filter(|(counted, _)| counted.matches(shape, namespaces));
        let class = Class {
            shape: shape.clone(),
            nodes: FixedMap::default(),
            counters: counters.map(|(_, id)| *id).collect(),
        };
        let id = match self.free.pop() {
            Some(id) => {
                self.classes[id] = class;
                id
            }
            None => {
                self.classes.push(class);
                self.classes.len() - 1
            }
        };
        self.ids.insert(shape.clone(), id);
        id
    }

    /// Forgets classes without pods when there are many of them.
    fn sweep(&mut self) {
        let idle = self.ids.values().filter(|id| self.classes[**id].is_idle());
        if self.ids.len() < MAX_IDLE
            || !self.ids.len().is_multiple_of(MAX_IDLE)
            || idle.count() < MAX_IDLE / 2
        {
            return;
        }
        let Classes { ids, classes, free, .. } = self;
        ids.retain(|_, id| {
            let idle = classes[*id].is_idle();
            if idle {
                classes[*id] = Class::default();
                free.push(*id);
            }
            !idle
        });
    }

    /// The one shared value of `shape`.
    pub fn shape(&self, class: usize) -> &Arc<Shape> {
        &self.classes[class].shape
    }

    /// Counts a pod of `class` that comes to (`1`) or goes from (`-1`) the node at `slot`.
    pub fn book(&mut self, class: usize, slot: Slot, sign: i64) {
        let Classes { classes, counters, bearers, .. } = self;
        let entry = &mut classes[class];
        let count = entry.nodes.entry(slot).or_insert(0);
        *count = u32::try_from(i64::from(*count) + sign).unwrap_or(0);
        if *count == 0 {
            entry.nodes.remove(&slot);
        }
        if entry.shape.has_affinity() {
            if entry.is_idle() {
                bearers.remove(&class);
            } else {
                bearers.insert(class);
            }
        }
        for id in &entry.counters {
            if let Some(counter) = &mut counters[*id] {
                counter.add(slot, sign);
            }
        }
    }

    /// The classes whose running pods have affinity terms, in a fixed order.
    pub fn bearers(&self) -> impl Iterator<Item = &Class> {
        self.bearers.iter().map(|id| &self.classes[*id])
    }

    /// Makes sure that `counted` is being counted, over `slots` slots.
    pub fn count(&mut self, counted: &Counted, slots: usize, namespaces: &Namespaces) {
        self.clock += 1;
        if let Some(counter) = self.counter_ids.get(counted).and_then(|id| self.counters[*id].as_mut()) {
            counter.used_at = self.clock;
            return;
        }
        while (self.counter_ids.len() + 1) * slots.max(1) > MAX_CELLS && self.forget_oldest() {}
        let id = self.counters.iter().position(Option::is_none).unwrap_or(self.counters.len());
        let mut counter = Counter { counted: counted.clone(), nodes: vec![0; slots], used_at: self.clock };
        for class_id in self.ids.values() {
            let class = &mut self.classes[*class_id];
            if counted.matches(&class.shape, namespaces) {
                class.counters.push(id);
                class.nodes.iter().for_each(|(slot, count)| counter.add(*slot, i64::from(*count)));
            }
        }
        if id == self.counters.len() {
            self.counters.push(None);
        }
        self.counters[id] = Some(counter);
        self.counter_ids.insert(counted.clone(), id);
    }

    /// The counter of `counted`, if [`Classes::count`] was asked for it.
    pub fn counter(&self, counted: &Counted) -> Option<&Counter> {
        self.counters[*self.counter_ids.get(counted)?].as_ref()
    }

    fn forget_oldest(&mut self) -> bool {
        // Never one that the decision at hand has just asked for.
        let old = self
            .counters
            .iter()
            .enumerate()
            .filter_map(|(id, counter)| Some((counter.as_ref()?.used_at, id)));
        let Some((_, id)) = old.filter(|(used_at, _)| used_at + 64 < self.clock).min() else { return false };
        self.forget(id);
        true
    }

    fn forget(&mut self, id: usize) {
        if let Some(counter) = self.counters[id].take() {
            self.counter_ids.remove(&counter.counted);
        }
        for class in &mut self.classes {
            class.counters.retain(|counter| *counter != id);
        }
    }

    /// Forgets all counters: the labels of a namespace have changed, and with them who is counted.
    pub fn recount(&mut self) {
        self.counters.clear();
        self.counter_ids.clear();
        self.classes.iter_mut().for_each(|class| class.counters.clear());
    }
}
