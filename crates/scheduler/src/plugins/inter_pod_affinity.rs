//! InterPodAffinity: pods near to and away from other pods, by their own terms and by those of the others.

use crate::classes::Counted;
use crate::columns::Slot;
use crate::event::Event;
use crate::framework::{Cycle, Filter, MAX_SCORE, Needs, Plugin, Refusal, Score};
use crate::labels::Labels;
use crate::pod::{PodInfo, Shape, Term};
use crate::topology::Domains;

/// pkg/scheduler/framework/plugins/interpodaffinity
pub struct InterPodAffinity;

/// What a running pod's required affinity to the incoming one is worth as a preference (`hardPodAffinityWeight`).
const REQUIRED_WEIGHT: i64 = 1;

const AWAY_FROM_FRIENDS: &str = "node(s) didn't match pod affinity rules";
const NEAR_FOES: &str = "node(s) didn't match pod anti-affinity rules";
const FOE_OF_OTHERS: &str = "node(s) didn't satisfy existing pods anti-affinity rules";

/// Pods (or what they are worth) by the domains of one label.
struct Tally<'c> {
    key: &'c str,
    domains: &'c Domains,
    by_domain: Vec<i64>,
}

struct Neighbours<'c> {
    /// One for each required affinity term: pods that match all of them.
    friends: Vec<Tally<'c>>,
    /// How many required affinity terms there are; a label that no node has leaves no tally.
    wants_friends: bool,
    /// Whether the pod may go anywhere, being the first of those that it wants to be near to.
    is_first: bool,
    foes: Vec<Tally<'c>>,
    foe_of: Vec<Tally<'c>>,
}

struct Likes<'c>(Vec<Tally<'c>>);

fn all_of(terms: &[Term]) -> Counted {
    Counted { whom: terms.iter().map(|term| term.whom.clone()).collect(), terminating: true }
}

fn matches_all(terms: &[Term], shape: &Shape, namespace: &Labels) -> bool {
    !terms.is_empty() && terms.iter().all(|term| term.whom.matches(shape, namespace))
}

/// How many of `counted` run in each domain of `key`, times `weight`.
fn tally<'c>(cycle: Cycle<'c>, counted: &Counted, key: &'c str, weight: i64) -> Option<Tally<'c>> {
    let (domains, counter) = (cycle.snapshot.domains(key)?, cycle.snapshot.counter(counted)?);
    let mut by_domain = vec![0; domains.len()];
    for slot in cycle.snapshot.live() {
        by_domain[domains.of(*slot)] += weight * i64::from(counter.at(*slot));
    }
    by_domain[0] = 0;
    Some(Tally { key, domains, by_domain })
}

/// Adds what running pods have to say of the incoming one: those of `terms` that are about it.
fn listen<'c>(cycle: Cycle<'c>, terms: impl Fn(&'c Shape) -> Vec<(i64, &'c Term)>) -> Vec<Tally<'c>> {
    let namespace = cycle.snapshot.namespace(&cycle.pod.namespace);
    let mut tallies: Vec<Tally<'c>> = Vec::new();
    for class in cycle.snapshot.bearers() {
        for (weight, term) in terms(&class.shape) {
            if !term.whom.matches(cycle.shape(), &namespace) {
                continue;
            }
            let Some(domains) = cycle.snapshot.domains(&term.key) else { continue };
            let known = tallies.iter().position(|tally| tally.key == term.key);
            let place = known.unwrap_or_else(|| {
                tallies.push(Tally { key: &term.key, domains, by_domain: vec![0; domains.len()] });
                tallies.len() - 1
            });
            for (slot, count) in &class.nodes {
                tallies[place].by_domain[domains.of(*slot)] += weight * i64::from(*count);
            }
            tallies[place].by_domain[0] = 0;
        }
    }
    tallies
}

// === impl InterPodAffinity ===

impl Plugin for InterPodAffinity {
    fn name(&self) -> &'static str {
        "InterPodAffinity"
    }

    fn needs(&self, cycle: Cycle<'_>, needs: &mut Needs) {
        let shape = cycle.shape();
        if !shape.affinity.is_empty() {
            needs.counted.push(all_of(&shape.affinity));
        }
        let singly = shape.anti_affinity.iter().chain(shape.preferences.iter().map(|(_, term)| term));
        needs.counted.extend(singly.map(|term| all_of(std::slice::from_ref(term))));
        let shapes = cycle.snapshot.bearers().map(|class| &*class.shape).chain([shape]);
        let terms = shapes.flat_map(|shape| {
            shape
                .affinity
                .iter()
                .chain(&shape.anti_affinity)
                .chain(shape.preferences.iter().map(|(_, term)| term))
        });
        let unknown = terms.map(|term| &term.key).filter(|key| cycle.snapshot.domains(key).is_none());
        needs.keys.extend(unknown.cloned());
    }

    fn filter<'c>(&self, cycle: Cycle<'c>) -> Option<Box<dyn Filter + 'c>> {
        let shape = cycle.shape();
        let foe_of = listen(cycle, |other| other.anti_affinity.iter().map(|term| (1, term)).collect());
        if shape.affinity.is_empty() && shape.anti_affinity.is_empty() && foe_of.is_empty() {
            return None;
        }
        let everyone = all_of(&shape.affinity);
        let friends: Vec<Tally<'c>> =
            shape.affinity.iter().filter_map(|term| tally(cycle, &everyone, &term.key, 1)).collect();
        let foes = shape.anti_affinity.iter();
        let foes =
            foes.filter_map(|term| tally(cycle, &all_of(std::slice::from_ref(term)), &term.key, 1)).collect();
        let lonely = friends.iter().all(|tally| tally.by_domain.iter().all(|pods| *pods == 0));
        let namespace = cycle.snapshot.namespace(&cycle.pod.namespace);
        Some(Box::new(Neighbours {
            wants_friends: !shape.affinity.is_empty(),
            is_first: lonely && matches_all(&shape.affinity, shape, &namespace),
            friends,
            foes,
            foe_of,
        }))
    }

    fn score<'c>(&self, cycle: Cycle<'c>, _: &'c [Slot]) -> Option<Box<dyn Score + 'c>> {
        let own = cycle.shape().preferences.iter().filter_map(|(weight, term)| {
            tally(cycle, &all_of(std::slice::from_ref(term)), &term.key, i64::from(*weight))
        });
        let mut tallies: Vec<Tally<'c>> = own.collect();
        tallies.extend(listen(cycle, |other| {
            let preferred = other.preferences.iter().map(|(weight, term)| (i64::from(*weight), term));
            other.affinity.iter().map(|term| (REQUIRED_WEIGHT, term)).chain(preferred).collect()
        }));
        tallies.retain(|tally| tally.by_domain.iter().any(|worth| *worth != 0));
        (!tallies.is_empty()).then(|| Box::new(Likes(tallies)) as _)
    }

    fn hint(&self, cycle: Cycle<'_>, event: &Event) -> bool {
        hint(cycle, event)
    }
}

// === impl Tally ===

impl Tally<'_> {
    fn at(&self, slot: Slot) -> i64 {
        self.by_domain[self.domains.of(slot)]
    }

    fn any(tallies: &[Tally<'_>], slot: Slot) -> bool {
        tallies.iter().any(|tally| tally.at(slot) > 0)
    }
}

// === impl Neighbours ===

impl Neighbours<'_> {
    fn has_friends(&self, slot: Slot) -> bool {
        let labelled = self.friends.iter().all(|tally| tally.domains.of(slot) != 0);
        !self.wants_friends
            || (labelled && (self.is_first || self.friends.iter().all(|tally| tally.at(slot) > 0)))
    }
}

impl Filter for Neighbours<'_> {
    fn passes(&self, slot: Slot) -> bool {
        self.has_friends(slot) && !Tally::any(&self.foes, slot) && !Tally::any(&self.foe_of, slot)
    }

    fn refusal(&self, slot: Slot) -> Refusal {
        if !self.has_friends(slot) {
            Refusal::unresolvable(AWAY_FROM_FRIENDS)
        } else if Tally::any(&self.foes, slot) {
            Refusal::resolvable(NEAR_FOES)
        } else {
            Refusal::resolvable(FOE_OF_OTHERS)
        }
    }
}

// === impl Likes ===

impl Score for Likes<'_> {
    fn score(&self, slot: Slot) -> i64 {
        self.0.iter().map(|tally| tally.at(slot)).sum()
    }

    fn normalize(&self, _: &[Slot], scores: &mut [i64]) {
        let (min, max) =
            (scores.iter().copied().min().unwrap_or(0), scores.iter().copied().max().unwrap_or(0));
        for score in scores {
            let share = if max > min { (*score - min) as f64 / (max - min) as f64 } else { 0.0 };
            *score = (MAX_SCORE as f64 * share) as i64;
        }
    }
}

// === hints ===

fn hint(cycle: Cycle<'_>, event: &Event) -> bool {
    let shape = cycle.shape();
    let all = |terms: &[Term], pod: &PodInfo| {
        matches_all(terms, &pod.shape, &cycle.snapshot.namespace(&pod.namespace))
    };
    match event {
        Event::SelfUpdated(old, new) => old.shape.labels != new.shape.labels,
        Event::PodAssigned(pod) => all(&shape.affinity, pod),
        Event::PodUpdated(old, new) => {
            (!all(&shape.affinity, old) && all(&shape.affinity, new))
                || (all(&shape.anti_affinity, old) && !all(&shape.anti_affinity, new))
        }
        Event::PodDeleted(pod) => all(&shape.anti_affinity, pod) || all(&pod.shape.anti_affinity, cycle.pod),
        Event::NodeAdded(node) => {
            !shape.anti_affinity.is_empty()
                || shape.affinity.iter().any(|term| node.labels.get(&term.key).is_some())
        }
        Event::NodeUpdated(old, new) => {
            let values =
                |term: &Term| (old.labels.get(&term.key).map(str::to_owned), new.labels.get(&term.key));
            let joins = |term: &Term| matches!(values(term), (old, Some(new)) if old.as_deref() != Some(new));
            let leaves = |term: &Term| matches!(values(term), (Some(old), new) if Some(old.as_str()) != new);
            shape.affinity.iter().any(joins) || shape.anti_affinity.iter().any(leaves)
        }
        Event::NodeDeleted(_) | Event::ClaimChanged(_) | Event::VolumeChanged | Event::ClassChanged => false,
    }
}
