//! NodeResourcesBalancedAllocation: a node scores better the more evenly the pod leaves its CPU and memory used.

use crate::columns::{Columns, Slot};
use crate::framework::{Cycle, MAX_SCORE, Plugin, Score};

/// pkg/scheduler/framework/plugins/noderesources
pub struct BalancedAllocation;

struct Balance<'c> {
    columns: &'c Columns,
    cpu_milli: i64,
    memory_bytes: i64,
}

impl Plugin for BalancedAllocation {
    fn name(&self) -> &'static str {
        "NodeResourcesBalancedAllocation"
    }

    fn is_local(&self) -> bool {
        true
    }

    fn score<'c>(&self, cycle: Cycle<'c>, _: &'c [Slot]) -> Option<Box<dyn Score + 'c>> {
        let wanted = &cycle.shape().requests.resources;
        let (cpu_milli, memory_bytes) = (wanted.cpu_milli, wanted.memory_bytes);
        let asks = cpu_milli != 0 || memory_bytes != 0;
        asks.then(|| Box::new(Balance { columns: cycle.snapshot.columns(), cpu_milli, memory_bytes }) as _)
    }
}

/// How even the shares of two resources are; a resource that the node lacks does not count.
fn evenness(cpu: (i64, i64), memory: (i64, i64)) -> i64 {
    let share = |(used, has): (i64, i64)| (has != 0).then(|| (used as f64 / has as f64).min(1.0));
    let deviation = match (share(cpu), share(memory)) {
        (Some(cpu), Some(memory)) => ((cpu - memory) / 2.0).abs(),
        _ => 0.0,
    };
    ((1.0 - deviation) * MAX_SCORE as f64) as i64
}

impl Score for Balance<'_> {
    fn score(&self, slot: Slot) -> i64 {
        let (i, has, taken) = (slot as usize, &self.columns.allocatable, &self.columns.requested);
        let (cpu, memory) = (taken.cpu_milli[i], taken.memory_bytes[i]);
        let (has_cpu, has_memory) = (has.cpu_milli[i], has.memory_bytes[i]);
        let with = evenness((cpu + self.cpu_milli, has_cpu), (memory + self.memory_bytes, has_memory));
        let without = evenness((cpu, has_cpu), (memory, has_memory));
        MAX_SCORE / 2 + (MAX_SCORE / 2 + with - without) / 2
    }
}

#[cfg(test)]
mod tests {
    use super::evenness;

    #[test]
    fn shares_of_what_there_is() {
        assert_eq!(evenness((1, 2), (1, 2)), 100);
        assert_eq!(evenness((2, 2), (0, 2)), 50);
        assert_eq!(evenness((9, 2), (0, 2)), 50, "never more than all");
        assert_eq!(evenness((1, 2), (1, 0)), 100, "one resource is always even");
    }
}
