//! The frame that plugins stand in: upstream's extension points, in the form of columns
//! (k8s.io/kube-scheduler/framework).
//!
//! | upstream | here |
//! |---|---|
//! | PreEnqueue | [`Plugin::gate`] |
//! | PreFilter | [`Plugin::needs`], [`Plugin::narrow`] and whatever [`Plugin::filter`] works out before it returns |
//! | Filter | [`Filter::passes`], and [`Filter::refusal`] only when a reason is asked for |
//! | PreScore, Score | [`Plugin::score`], [`Score::score`] |
//! | NormalizeScore | [`Score::normalize`] |
//! | QueueingHintFn | [`Plugin::hint`] |
//! | PostFilter | [`crate::preempt`] |

use std::borrow::Cow;

use decapod_api::Str;

use crate::classes::Counted;
use crate::columns::Slot;
use crate::event::Event;
use crate::labels::Selector;
use crate::pod::{PodInfo, Shape};
use crate::snapshot::Snapshot;

/// The best score that a plugin gives, before its weight.
pub const MAX_SCORE: i64 = 100;

/// One decision: whom it is about and what it follows from.
#[derive(Clone, Copy)]
pub struct Cycle<'a> {
    /// The cluster.
    pub snapshot: &'a Snapshot,
    /// The pod that wants a node.
    pub pod: &'a PodInfo,
    /// Which pods are of one kind with it, when services and controllers say so.
    pub kin: Option<&'a Selector>,
}

/// What a plugin wants counted before it filters and scores.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    /// Pods to count by node.
    pub counted: Vec<Counted>,
    /// Labels whose domains have to be known.
    pub keys: Vec<Str>,
}

/// Which nodes are worth a look at all.
#[derive(Clone, Debug, PartialEq)]
pub enum Narrow {
    /// All.
    All,
    /// Those of these names.
    Named(Vec<Str>),
    /// None, because of this.
    None(Cow<'static, str>),
}

/// Why a node will not do.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// In upstream's words.
    pub reasons: Vec<Cow<'static, str>>,
    /// Whether taking other pods off the node would not help.
    pub unresolvable: bool,
}

/// One extension of the scheduler.
pub trait Plugin: Send + Sync {
    /// Upstream's name.
    fn name(&self) -> &'static str;

    /// Whether what it says of a node follows from that node, the pods on it and the pod's shape alone. It is then asked
    /// once for a class of pods, and again only for nodes on which something has changed.
    fn is_local(&self) -> bool {
        false
    }

    /// Why `pod` must not be scheduled yet.
    fn gate(&self, _pod: &PodInfo) -> Option<String> {
        None
    }

    /// Asks for counts and domains.
    fn needs(&self, _cycle: Cycle<'_>, _needs: &mut Needs) {}

    /// Narrows the search, when the pod names its nodes.
    fn narrow(&self, _cycle: Cycle<'_>) -> Narrow {
        Narrow::All
    }

    /// The filter for this pod; `None` when it lets every node pass.
    fn filter<'c>(&self, _cycle: Cycle<'c>) -> Option<Box<dyn Filter + 'c>> {
        None
    }

    /// The scorer for this pod among the `feasible` nodes; `None` when all would score the same.
    fn score<'c>(&self, _cycle: Cycle<'c>, _feasible: &'c [Slot]) -> Option<Box<dyn Score + 'c>> {
        None
    }

    /// Whether `event` may let `pod` through, which this plugin has refused.
    fn hint(&self, _cycle: Cycle<'_>, _event: &Event) -> bool {
        false
    }
}

/// What lets nodes pass or not.
pub trait Filter {
    /// Whether the node at `slot` will do.
    fn passes(&self, slot: Slot) -> bool;

    /// Why it will not do.
    fn refusal(&self, slot: Slot) -> Refusal;

    /// Moves the nodes that will not do from `nodes` to `refused`.
    fn retain(&self, nodes: &mut Vec<Slot>, refused: &mut Vec<Slot>) {
        nodes.retain(|slot| {
            let passes = self.passes(*slot);
            if !passes {
                refused.push(*slot);
            }
            passes
        });
    }
}

/// What scores nodes.
pub trait Score {
    /// The raw score of the node at `slot`.
    fn score(&self, slot: Slot) -> i64;

    /// The raw scores of `nodes`.
    fn fill(&self, nodes: &[Slot], scores: &mut [i64]) {
        for (slot, score) in nodes.iter().zip(scores) {
            *score = self.score(*slot);
        }
    }

    /// Makes raw `scores` of `nodes` into ones of `0..=MAX_SCORE`.
    fn normalize(&self, _nodes: &[Slot], _scores: &mut [i64]) {}
}

// === impl Cycle ===

impl<'a> Cycle<'a> {
    /// What decides about the pod.
    pub fn shape(self) -> &'a Shape {
        &self.pod.shape
    }
}

// === impl Refusal ===

impl Refusal {
    /// Taking other pods off the node might help.
    pub fn resolvable(reason: &'static str) -> Refusal {
        Refusal { reasons: vec![reason.into()], unresolvable: false }
    }

    /// Nothing that happens to other pods helps.
    pub fn unresolvable(reason: &'static str) -> Refusal {
        Refusal { reasons: vec![reason.into()], unresolvable: true }
    }
}

/// Stretches `scores` to `0..=MAX_SCORE`, upside down if `reverse`
/// (pkg/scheduler/framework/plugins/helper, `DefaultNormalizeScore`).
pub fn normalize(scores: &mut [i64], reverse: bool) {
    let max = scores.iter().copied().max().unwrap_or(0).max(0);
    for score in scores {
        let stretched = if max == 0 { 0 } else { MAX_SCORE * *score / max };
        *score = if reverse { MAX_SCORE - stretched } else { stretched };
    }
}
