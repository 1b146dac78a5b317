//! A scenario from many seeds, each twice.

use crate::scenario::{Outcome, Scenario};

/// What a seed found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Which seed; it replays the run.
    pub seed: u64,
    /// What was wrong.
    pub what: String,
    /// The number of the run.
    pub trace: u64,
}

/// Runs `scenario` twice from `seed`: nothing may be wrong, and both runs have to be the same.
pub fn check(scenario: &Scenario, seed: u64) -> Result<Outcome, Found> {
    let (first, _) = scenario.run(seed, false);
    if let Some(failure) = first.failure {
        return Err(Found { seed, what: failure, trace: first.trace });
    }
    let (second, _) = scenario.run(seed, false);
    if (first.trace, first.events) != (second.trace, second.events) {
        return Err(Found { seed, what: difference(scenario, seed), trace: first.trace });
    }
    Ok(first)
}

/// Where two runs of `seed` part.
fn difference(scenario: &Scenario, seed: u64) -> String {
    let ((_, first), (_, second)) = (scenario.run(seed, true), scenario.run(seed, true));
    let at = first.iter().zip(&second).position(|(one, other)| one != other);
    let Some(at) = at else {
        return format!("two runs differ, of {} and {} lines", first.len(), second.len());
    };
    let from = at.saturating_sub(5);
    let part = |lines: &[String]| lines[from..lines.len().min(at + 3)].join("\n");
    format!("two runs differ from line {at} on:\n{}\n--- and ---\n{}", part(&first), part(&second))
}

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "seed {}: {}\nDECAPOD_SIM_SEED={} replays it", self.seed, self.what, self.seed)
    }
}
