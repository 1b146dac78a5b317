//! PodTopologySpread: pods of one kind spread evenly over domains of nodes, by their own constraints or, when they
//! have none, by the system's (hosts, then zones) for all pods of one service or controller.

use crate::classes::{Counted, Counter};
use crate::columns::Slot;
use crate::event::Event;
use crate::framework::{Cycle, Filter, MAX_SCORE, Needs, Plugin, Refusal, Score};
use crate::labels::{Labels, Selector};
use crate::node::NodeInfo;
use crate::pod::{PodInfo, Shape, Spread, Whom};
use crate::topology::Domains;

/// pkg/scheduler/framework/plugins/podtopologyspread
pub struct PodTopologySpread;

const HOSTNAME: &str = "kubernetes.io/hostname";
const ZONE: &str = "topology.kubernetes.io/zone";
const SKEWED: &str = "node(s) didn't match pod topology spread constraints";
const UNLABELLED: &str = "node(s) didn't match pod topology spread constraints (missing required label)";

/// One constraint with what it looks things up in.
struct Constraint<'c> {
    spread: Spread,
    /// Whether every node is a domain of its own.
    by_host: bool,
    domains: Option<&'c Domains>,
    /// `None` when its selector selects everything: upstream then counts nothing.
    counter: Option<&'c Counter>,
}

struct Skews<'c> {
    /// Each with pods by domain, the least of them, and 1 if the pod itself is selected.
    constraints: Vec<(Constraint<'c>, Vec<i64>, i64, i64)>,
}

struct Spreading<'c> {
    /// Each with pods by domain (empty for hosts) and the weight that evens out many and few domains.
    constraints: Vec<(Constraint<'c>, Vec<i64>, f64)>,
    /// Whether nodes that lack a label are left out; they are not for the system's constraints.
    strict: bool,
}

/// The constraints on the pod that refuse (`hard`) or that only score.
fn spreads(cycle: Cycle<'_>, hard: bool) -> Vec<Spread> {
    let own = &cycle.shape().spread;
    if !own.is_empty() {
        return own.iter().filter(|spread| spread.hard == hard).cloned().collect();
    }
    let Some(kin) = cycle.kin.filter(|_| !hard) else { return Vec::new() };
    let system = |key: &str, max_skew| Spread {
        max_skew,
        key: key.into(),
        hard: false,
        selector: kin.clone(),
        min_domains: 1,
        honors_affinity: true,
        honors_taints: false,
    };
    vec![system(HOSTNAME, 3), system(ZONE, 5)]
}

fn counted(shape: &Shape, spread: &Spread) -> Counted {
    let whom = Whom {
        namespaces: vec![shape.namespace.clone()],
        namespace_selector: Selector::nothing(),
        selector: spread.selector.clone(),
    };
    Counted { whom: vec![whom], terminating: false }
}

fn constraints(cycle: Cycle<'_>, hard: bool) -> Vec<Constraint<'_>> {
    let look_up = |spread: Spread| Constraint {
        domains: cycle.snapshot.domains(&spread.key),
        counter: cycle.snapshot.counter(&counted(cycle.shape(), &spread)),
        by_host: spread.key == HOSTNAME,
        spread,
    };
    spreads(cycle, hard).into_iter().map(look_up).collect()
}

/// Whether the node has the labels of all constraints.
fn is_labelled(constraints: &[&Constraint<'_>], slot: Slot) -> bool {
    constraints.iter().all(|constraint| constraint.domain(slot) != 0)
}

// === impl PodTopologySpread ===

impl Plugin for PodTopologySpread {
    fn name(&self) -> &'static str {
        "PodTopologySpread"
    }

    fn needs(&self, cycle: Cycle<'_>, needs: &mut Needs) {
        for spread in spreads(cycle, true).into_iter().chain(spreads(cycle, false)) {
            if !spread.selector.is_everything() {
                needs.counted.push(counted(cycle.shape(), &spread));
            }
            needs.keys.push(spread.key);
        }
    }

    fn filter<'c>(&self, cycle: Cycle<'c>) -> Option<Box<dyn Filter + 'c>> {
        let constraints = constraints(cycle, true);
        if constraints.is_empty() {
            return None;
        }
        let all: Vec<&Constraint<'c>> = constraints.iter().collect();
        let counts: Vec<(Vec<i64>, i64)> =
            all.iter().map(|constraint| least(cycle, constraint, &all)).collect();
        let with_counts = constraints.into_iter().zip(counts).map(|(constraint, (by_domain, least))| {
            let itself = i64::from(constraint.spread.selector.matches(&cycle.shape().labels));
            (constraint, by_domain, least, itself)
        });
        Some(Box::new(Skews { constraints: with_counts.collect() }))
    }

    fn score<'c>(&self, cycle: Cycle<'c>, feasible: &'c [Slot]) -> Option<Box<dyn Score + 'c>> {
        let constraints = constraints(cycle, false);
        if constraints.is_empty() {
            return None;
        }
        let strict = !cycle.shape().spread.is_empty();
        let all: Vec<&Constraint<'c>> = constraints.iter().collect();
        let counts: Vec<(Vec<i64>, f64)> = all
            .iter()
            .map(|constraint| {
                let labelled = |slot: &&Slot| !strict || is_labelled(&all, **slot);
                let nodes = feasible.iter().filter(labelled);
                if constraint.by_host {
                    return (Vec::new(), weight(nodes.count()));
                }
                let mut seen = vec![false; constraint.domains.map_or(1, Domains::len)];
                nodes.for_each(|slot| seen[constraint.domain(*slot)] = true);
                let size = seen.iter().filter(|seen| **seen).count();
                (by_domain(cycle, constraint, if strict { &all } else { &[] }).0, weight(size))
            })
            .collect();
        let constraints =
            constraints.into_iter().zip(counts).map(|(c, (by_domain, weight))| (c, by_domain, weight));
        Some(Box::new(Spreading { constraints: constraints.collect(), strict }))
    }

    fn hint(&self, cycle: Cycle<'_>, event: &Event) -> bool {
        hint(cycle, event)
    }
}

/// Pods by domain, and which domains there are, over the nodes that count.
fn by_domain(
    cycle: Cycle<'_>,
    constraint: &Constraint<'_>,
    labelled: &[&Constraint<'_>],
) -> (Vec<i64>, Vec<bool>) {
    let domains = constraint.domains.map_or(1, Domains::len);
    let (mut pods, mut seen) = (vec![0i64; domains], vec![false; domains]);
    let (spread, shape) = (&constraint.spread, cycle.shape());
    let selects =
        spread.honors_affinity && !(shape.node_selector.is_everything() && shape.required.is_none());
    for slot in cycle.snapshot.live() {
        let node = || cycle.snapshot.node(*slot);
        let counts = is_labelled(labelled, *slot)
            && (!selects || shape.selects_node(&node().name, &node().labels))
            && (!spread.honors_taints || shape.tolerates_all(&node().taints));
        if counts {
            let domain = constraint.domain(*slot);
            seen[domain] = true;
            pods[domain] += constraint.pods(*slot);
        }
    }
    (pods, seen)
}

/// Pods by domain, and how many the emptiest has.
fn least(cycle: Cycle<'_>, constraint: &Constraint<'_>, all: &[&Constraint<'_>]) -> (Vec<i64>, i64) {
    let (pods, seen) = by_domain(cycle, constraint, all);
    let present = || pods.iter().zip(&seen).filter(|(_, seen)| **seen).map(|(pods, _)| *pods);
    let enough = present().count() as i64 >= i64::from(constraint.spread.min_domains);
    let least = if enough { present().min().unwrap_or(0) } else { 0 };
    (pods, least)
}

fn weight(domains: usize) -> f64 {
    ((domains + 2) as f64).ln()
}

// === impl Constraint ===

impl Constraint<'_> {
    fn domain(&self, slot: Slot) -> usize {
        self.domains.map_or(0, |domains| domains.of(slot))
    }

    fn pods(&self, slot: Slot) -> i64 {
        self.counter.map_or(0, |counter| counter.at(slot).into())
    }
}

// === impl Skews ===

impl Skews<'_> {
    fn reason(&self, slot: Slot) -> Option<&'static str> {
        self.constraints.iter().find_map(|(constraint, by_domain, least, itself)| {
            let domain = constraint.domain(slot);
            if domain == 0 {
                return Some(UNLABELLED);
            }
            (by_domain[domain] + itself - least > i64::from(constraint.spread.max_skew)).then_some(SKEWED)
        })
    }
}

impl Filter for Skews<'_> {
    fn passes(&self, slot: Slot) -> bool {
        self.reason(slot).is_none()
    }

    fn refusal(&self, slot: Slot) -> Refusal {
        match self.reason(slot) {
            Some(UNLABELLED) => Refusal::unresolvable(UNLABELLED),
            _ => Refusal::resolvable(SKEWED),
        }
    }
}

// === impl Spreading ===

impl Spreading<'_> {
    fn ignores(&self, slot: Slot) -> bool {
        self.strict && self.constraints.iter().any(|(constraint, ..)| constraint.domain(slot) == 0)
    }
}

impl Score for Spreading<'_> {
    fn score(&self, slot: Slot) -> i64 {
        if self.ignores(slot) {
            return 0;
        }
        let scores = self.constraints.iter().map(|(constraint, by_domain, weight)| {
            let pods = match constraint.domain(slot) {
                0 => return 0.0,
                _ if constraint.by_host => constraint.pods(slot),
                domain => by_domain[domain],
            };
            pods as f64 * weight + f64::from(constraint.spread.max_skew - 1)
        });
        scores.sum::<f64>().round() as i64
    }

    fn normalize(&self, nodes: &[Slot], scores: &mut [i64]) {
        let (mut min, mut max) = (i64::MAX, 0);
        for (_, score) in nodes.iter().zip(&*scores).filter(|(slot, _)| !self.ignores(**slot)) {
            (min, max) = (min.min(*score), max.max(*score));
        }
        for (slot, score) in nodes.iter().zip(scores) {
            *score = match max {
                _ if self.ignores(*slot) => 0,
                0 => MAX_SCORE,
                max => MAX_SCORE * (max + min - *score) / max,
            };
        }
    }
}

// === hints ===

fn hint(cycle: Cycle<'_>, event: &Event) -> bool {
    let spreads = spreads(cycle, true);
    let selects = |pod: &PodInfo| {
        let labels = &pod.shape.labels;
        pod.namespace == cycle.pod.namespace && spreads.iter().any(|spread| spread.selector.matches(labels))
    };
    let labelled = |labels: &Labels| spreads.iter().all(|spread| labels.get(&spread.key).is_some());
    match event {
        Event::PodAssigned(pod) | Event::PodDeleted(pod) => selects(pod),
        Event::PodUpdated(old, new) => {
            let changes =
                |s: &Spread| s.selector.matches(&old.shape.labels) != s.selector.matches(&new.shape.labels);
            new.namespace == cycle.pod.namespace && spreads.iter().any(changes)
        }
        Event::SelfUpdated(old, new) => {
            let tolerations = old.shape.tolerations != new.shape.tolerations;
            (tolerations && spreads.iter().any(|spread| spread.honors_taints))
                || old.shape.labels != new.shape.labels
        }
        Event::NodeAdded(node) | Event::NodeDeleted(node) => labelled(&node.labels),
        Event::NodeUpdated(old, new) => {
            let moved = |old: &NodeInfo, new: &NodeInfo| {
                old.taints != new.taints
                    || spreads.iter().any(|spread| old.labels.get(&spread.key) != new.labels.get(&spread.key))
            };
            labelled(&old.labels) != labelled(&new.labels) || (labelled(&new.labels) && moved(old, new))
        }
        Event::ClaimChanged(_) | Event::VolumeChanged | Event::ClassChanged => false,
    }
}
