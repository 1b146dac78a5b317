//! SchedulingGates: pods wait until all their gates are taken off.

use crate::event::Event;
use crate::framework::{Cycle, Plugin};
use crate::pod::PodInfo;

/// pkg/scheduler/framework/plugins/schedulinggates
pub struct SchedulingGates;

impl Plugin for SchedulingGates {
    fn name(&self) -> &'static str {
        "SchedulingGates"
    }

    fn gate(&self, pod: &PodInfo) -> Option<String> {
        (!pod.gates.is_empty()).then(|| format!("waiting for scheduling gates: [{}]", pod.gates.join(" ")))
    }

    fn hint(&self, _: Cycle<'_>, event: &Event) -> bool {
        matches!(event, Event::SelfUpdated(old, new) if !old.gates.is_empty() && new.gates.is_empty())
    }
}
