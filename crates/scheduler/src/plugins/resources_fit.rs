//! NodeResourcesFit: what a pod asks for has to be free; the least allocated node scores best.

use crate::columns::{Columns, Slot};
use crate::event::Event;
use crate::framework::{Cycle, Filter, MAX_SCORE, Plugin, Refusal, Score};
use crate::resources::Resources;

/// pkg/scheduler/framework/plugins/noderesources, with the `LeastAllocated` strategy over CPU and memory.
pub struct ResourcesFit;

struct Fit<'c> {
    columns: &'c Columns,
    wanted: &'c Resources,
    /// Column and amount of each extended resource; no column when no node ever had it.
    extended: Vec<(Option<usize>, i64)>,
    asks: bool,
}

struct LeastAllocated<'c> {
    columns: &'c Columns,
    cpu_milli: i64,
    memory_bytes: i64,
}

// === impl ResourcesFit ===

impl Plugin for ResourcesFit {
    fn name(&self) -> &'static str {
        "NodeResourcesFit"
    }

    fn is_local(&self) -> bool {
        true
    }

    fn filter<'c>(&self, cycle: Cycle<'c>) -> Option<Box<dyn Filter + 'c>> {
        let (columns, wanted) = (cycle.snapshot.columns(), &cycle.shape().requests.resources);
        let extended =
            wanted.extended.iter().map(|(name, amount)| (columns.extended_column(name), *amount)).collect();
        Some(Box::new(Fit { columns, wanted, extended, asks: !wanted.is_zero() }))
    }

    fn score<'c>(&self, cycle: Cycle<'c>, _: &'c [Slot]) -> Option<Box<dyn Score + 'c>> {
        let requests = &cycle.shape().requests;
        Some(Box::new(LeastAllocated {
            columns: cycle.snapshot.columns(),
            cpu_milli: requests.scored_cpu_milli,
            memory_bytes: requests.scored_memory_bytes,
        }))
    }

    fn hint(&self, cycle: Cycle<'_>, event: &Event) -> bool {
        let wanted = &cycle.shape().requests.resources;
        let fits =
            |node: &crate::node::NodeInfo| node.allocatable_pods > 0 && node.allocatable.covers(wanted);
        match event {
            Event::NodeAdded(node) => fits(node),
            Event::NodeUpdated(old, new) => {
                fits(new)
                    && (new.allocatable_pods > old.allocatable_pods
                        || new.allocatable.exceeds_for(&old.allocatable, wanted))
            }
            Event::PodDeleted(_) => true,
            Event::PodUpdated(old, new) => {
                let (old, new) = (&old.shape.requests.resources, &new.shape.requests.resources);
                old.exceeds_for(new, wanted)
            }
            Event::SelfUpdated(old, new) => old.shape.requests != new.shape.requests,
            _ => false,
        }
    }
}

// === impl Fit ===

impl Fit<'_> {
    /// Calls `lack` with every resource of which there is not enough, and whether there ever could be.
    fn lacks(&self, slot: Slot, mut lack: impl FnMut(&str, bool)) {
        let (i, has, taken) = (slot as usize, &self.columns.allocatable, &self.columns.requested);
        if self.columns.pods[i] + 1 > self.columns.allocatable_pods[i] {
            lack("", false);
        }
        if !self.asks {
            return;
        }
        let mut check = |name: &str, wanted: i64, has: i64, taken: i64| {
            if wanted > 0 && wanted > has - taken {
                lack(name, wanted > has);
            }
        };
        check("cpu", self.wanted.cpu_milli, has.cpu_milli[i], taken.cpu_milli[i]);
        check("memory", self.wanted.memory_bytes, has.memory_bytes[i], taken.memory_bytes[i]);
        check(
            "ephemeral-storage",
            self.wanted.ephemeral_bytes,
            has.ephemeral_bytes[i],
            taken.ephemeral_bytes[i],
        );
        for ((name, _), (column, wanted)) in self.wanted.extended.iter().zip(&self.extended) {
            let of = |amounts: &[Vec<i64>]| column.map_or(0, |column| amounts[column][i]);
            check(name, *wanted, of(&has.extended), of(&taken.extended));
        }
    }
}

impl Filter for Fit<'_> {
    fn passes(&self, slot: Slot) -> bool {
        let mut passes = true;
        self.lacks(slot, |_, _| passes = false);
        passes
    }

    fn refusal(&self, slot: Slot) -> Refusal {
        let mut refusal = Refusal { reasons: Vec::new(), unresolvable: false };
        self.lacks(slot, |name, never| {
            refusal.unresolvable |= never;
            refusal.reasons.push(match name {
                "" => "Too many pods".into(),
                "cpu" => "Insufficient cpu".into(),
                "memory" => "Insufficient memory".into(),
                name => format!("Insufficient {name}").into(),
            });
        });
        refusal
    }
}

// === impl LeastAllocated ===

impl Score for LeastAllocated<'_> {
    fn score(&self, slot: Slot) -> i64 {
        let i = slot as usize;
        let free = |has: i64, taken: i64| match has {
            0 => None,
            has if taken > has => Some(0),
            has => Some((has - taken) * MAX_SCORE / has),
        };
        let cpu =
            free(self.columns.allocatable.cpu_milli[i], self.columns.scored_cpu_milli[i] + self.cpu_milli);
        let memory = free(
            self.columns.allocatable.memory_bytes[i],
            self.columns.scored_memory_bytes[i] + self.memory_bytes,
        );
        match (cpu, memory) {
            (Some(cpu), Some(memory)) => (cpu + memory) / 2,
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => 0,
        }
    }
}
