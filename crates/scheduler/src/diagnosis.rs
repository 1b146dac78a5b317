//! Why a pod fits no node, in upstream's words (pkg/scheduler/framework/types.go, `FitError`).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::columns::Slot;
use crate::framework::Refusal;

/// Why a pod fits no node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Diagnosis {
    /// How many nodes there are.
    pub nodes: usize,
    /// How many nodes gave each reason.
    pub reasons: BTreeMap<Cow<'static, str>, usize>,
    /// What kept all nodes from being looked at.
    pub narrowed: Option<Cow<'static, str>>,
    /// The plugins that refused.
    pub plugins: BTreeSet<&'static str>,
    /// The nodes on which taking other pods off might help, ascending.
    pub resolvable: Vec<Slot>,
    /// What preemption said.
    pub afterwards: String,
}

/// What a pod is told while there are no nodes at all.
pub const NO_NODES: &str = "no nodes available to schedule pods";

// === impl Diagnosis ===

impl Diagnosis {
    /// Of `nodes` nodes.
    pub fn new(nodes: usize) -> Diagnosis {
        Diagnosis { nodes, ..Diagnosis::default() }
    }

    /// Counts one node's refusal by `plugin`.
    pub fn refuse(&mut self, slot: Slot, plugin: &'static str, refusal: Refusal) {
        self.plugins.insert(plugin);
        if !refusal.unresolvable {
            self.resolvable.push(slot);
        }
        for reason in refusal.reasons {
            *self.reasons.entry(reason).or_insert(0) += 1;
        }
    }

    /// Counts `nodes` nodes that were not looked at.
    pub fn skip(&mut self, nodes: usize, reason: impl Into<Cow<'static, str>>) {
        if nodes > 0 {
            *self.reasons.entry(reason.into()).or_insert(0) += nodes;
        }
    }
}

impl std::fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "0/{} nodes are available:", self.nodes)?;
        let mut lines: Vec<String> = match &self.narrowed {
            Some(reason) => vec![reason.clone().into_owned()],
            None => self.reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect(),
        };
        lines.sort_unstable();
        if !lines.is_empty() {
            write!(f, " {}.", lines.join(", "))?;
        }
        if !self.afterwards.is_empty() {
            write!(f, " {}", self.afterwards)?;
        }
        Ok(())
    }
}
