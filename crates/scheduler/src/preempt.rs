//! DefaultPreemption: when a pod fits nowhere, find the node on which taking off the fewest and least important pods
//! of lower priority makes room (pkg/scheduler/framework/preemption and plugins/defaultpreemption).

use std::cmp::Reverse;
use std::sync::Arc;

use decapod_api::Str;

use crate::columns::Slot;
use crate::decide::{Chance, Decider};
use crate::diagnosis::Diagnosis;
use crate::framework::Refusal;
use crate::labels::Selector;
use crate::pod::PodInfo;
use crate::snapshot::Snapshot;

/// A PodDisruptionBudget, as far as preemption minds it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Budget {
    /// Its namespace.
    pub namespace: Str,
    /// The pods that it is about.
    pub selector: Selector,
    /// How many more may go.
    pub allowed: i32,
    /// Pods that are counted as gone already, by name.
    pub disrupted: Vec<Str>,
}

/// Who has to go from where.
#[derive(Clone, Debug, PartialEq)]
pub struct Preemption {
    /// The node.
    pub node: Str,
    /// The pods, the most important first; never none.
    pub victims: Vec<Arc<PodInfo>>,
}

/// Why nobody is preempted.
#[derive(Clone, Debug, PartialEq)]
pub struct Unhelpful {
    /// In upstream's words.
    pub message: String,
    /// Whether the pod goes on waiting for the room that it was promised.
    pub still_nominated: bool,
}

/// A node with its victims.
struct Candidate {
    slot: Slot,
    victims: Vec<Arc<PodInfo>>,
    violations: usize,
}

/// How many candidates are looked at: a tenth of the nodes, and no fewer than this (`minCandidateNodesAbsolute`).
const MIN_CANDIDATES: usize = 100;
const CANDIDATES_PERCENT: usize = 10;

/// Finds whom to preempt for `pod`, which has just been refused with `diagnosis`; or says why nobody.
pub fn preempt(
    decider: &Decider,
    snapshot: &mut Snapshot,
    pod: &PodInfo,
    diagnosis: &Diagnosis,
    budgets: &[Budget],
    chance: Chance,
) -> Result<Preemption, Unhelpful> {
    if let Some(reason) = ineligible(snapshot, pod, diagnosis) {
        return Err(Unhelpful { message: format!("preemption: {reason}"), still_nominated: true });
    }
    let nodes = &diagnosis.resolvable;
    let wanted = (nodes.len() * CANDIDATES_PERCENT / 100).max(MIN_CANDIDATES).min(nodes.len());
    let offset = chance(nodes.len() as u64) as usize;
    let mut refused = Diagnosis::new(snapshot.live().len());
    let (mut candidates, mut harmless) = (Vec::new(), 0);
    for i in 0..nodes.len() {
        let slot = nodes[(offset + i) % nodes.len()];
        match victims_on(decider, snapshot, pod, slot, budgets) {
            Ok(candidate) => {
                harmless += usize::from(candidate.violations == 0);
                candidates.push(candidate);
            }
            Err(refusal) => refused.refuse(slot, "DefaultPreemption", refusal),
        }
        if harmless > 0 && candidates.len() >= wanted {
            break;
        }
    }
    // The least harm: see `pickOneNodeForPreemption`. The earlier of equals, which the offset has shuffled.
    match candidates.into_iter().min_by_key(Candidate::harm) {
        Some(best) => Ok(Preemption { node: snapshot.node(best.slot).name.clone(), victims: best.victims }),
        None => {
            refused.skip(snapshot.live().len() - nodes.len(), "Preemption is not helpful for scheduling");
            Err(Unhelpful { message: format!("preemption: {refused}"), still_nominated: false })
        }
    }
}

fn ineligible(snapshot: &Snapshot, pod: &PodInfo, diagnosis: &Diagnosis) -> Option<&'static str> {
    if pod.never_preempts {
        return Some("not eligible due to preemptionPolicy=Never.");
    }
    let slot = snapshot.slot(&pod.nominated).filter(|slot| diagnosis.resolvable.contains(slot))?;
    let leaving = |other: &Arc<PodInfo>| other.priority < pod.priority && other.preempted;
    snapshot
        .residents(slot)
        .iter()
        .any(leaving)
        .then_some("not eligible due to a terminating pod on the nominated node.")
}

/// Who has to go from the node at `slot`. The snapshot is changed on the way and left as it was.
fn victims_on(
    decider: &Decider,
    snapshot: &mut Snapshot,
    pod: &PodInfo,
    slot: Slot,
    budgets: &[Budget],
) -> Result<Candidate, Refusal> {
    let lower = |other: &&Arc<PodInfo>| other.priority < pod.priority;
    let mut lesser: Vec<Arc<PodInfo>> = snapshot.residents(slot).iter().filter(lower).cloned().collect();
    if lesser.is_empty() {
        return Err(Refusal::unresolvable("No preemption victims found for incoming pod"));
    }
    lesser.sort_by_key(importance);
    lesser.iter().for_each(|other| snapshot.retract(slot, other));
    let refuses = |snapshot: &mut Snapshot| {
        decider.with_nominated(snapshot, pod, slot, |decider, snapshot| decider.refusal(snapshot, pod, slot))
    };
    if let Some((_, refusal)) = refuses(snapshot) {
        lesser.iter().for_each(|other| snapshot.suppose(slot, other));
        return Err(refusal);
    }
    let (violating, others) = split_by_budgets(lesser, budgets);
    let (mut victims, mut violations) = (Vec::new(), 0);
    // The most important stay if they can, those whose going would break a budget before all others.
    for (other, violates) in
        violating.into_iter().map(|p| (p, true)).chain(others.into_iter().map(|p| (p, false)))
    {
        snapshot.suppose(slot, &other);
        if refuses(snapshot).is_some() {
            snapshot.retract(slot, &other);
            violations += usize::from(violates);
            victims.push(other);
        }
    }
    victims.iter().for_each(|victim| snapshot.suppose(slot, victim));
    victims.sort_by_key(importance);
    if victims.is_empty() {
        // It fits as it is: whoever refused it has changed their mind since.
        return Err(Refusal::unresolvable("No preemption victims found for incoming pod"));
    }
    Ok(Candidate { slot, victims, violations })
}

/// The most important first: by priority, then by how long they have run (pkg/scheduler/util, `MoreImportantPod`).
fn importance(pod: &Arc<PodInfo>) -> (Reverse<i32>, i64, Str) {
    (Reverse(pod.priority), pod.started_at_ns, pod.uid.clone())
}

/// The pods whose going would break a budget, and the others.
fn split_by_budgets(pods: Vec<Arc<PodInfo>>, budgets: &[Budget]) -> (Vec<Arc<PodInfo>>, Vec<Arc<PodInfo>>) {
    let mut allowed: Vec<i32> = budgets.iter().map(|budget| budget.allowed).collect();
    pods.into_iter().partition(|pod| {
        let mut breaks = false;
        for (budget, allowed) in budgets.iter().zip(&mut allowed) {
            let about = budget.namespace == pod.namespace
                && !pod.shape.labels.is_empty()
                && !budget.selector.is_everything()
                && budget.selector.matches(&pod.shape.labels)
                && !budget.disrupted.contains(&pod.name);
            if about {
                *allowed -= 1;
                breaks |= *allowed < 0;
            }
        }
        breaks
    })
}

// === impl Candidate ===

impl Candidate {
    /// Fewest broken budgets, then lowest highest priority, lowest sum of priorities, fewest pods, latest start.
    fn harm(&self) -> (usize, i32, i64, usize, Reverse<i64>) {
        let highest = self.victims.first().map_or(i32::MIN, |victim| victim.priority);
        let sum =
            self.victims.iter().map(|victim| i64::from(victim.priority) + i64::from(i32::MAX) + 1).sum();
        let of_highest = self.victims.iter().filter(|victim| victim.priority == highest);
        let earliest = of_highest.map(|victim| victim.started_at_ns).min().unwrap_or(i64::MAX);
        (self.violations, highest, sum, self.victims.len(), Reverse(earliest))
    }
}
