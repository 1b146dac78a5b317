//! What happened in a run, as one number: two runs of a seed have to come to the same.

use std::fmt::Arguments;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

/// The trace of a run. Cloning shares it.
#[derive(Clone)]
pub(crate) struct Trace(Arc<Mutex<State>>);

struct State {
    began: Instant,
    hasher: DefaultHasher,
    count: u64,
    /// Every line, where somebody wants to compare them.
    lines: Option<Vec<String>>,
    failure: Option<String>,
}

// === impl Trace ===

impl Trace {
    /// An empty trace, which keeps its lines if `keep`.
    pub(crate) fn new(keep: bool) -> Trace {
        Trace(Arc::new(Mutex::new(State {
            began: Instant::now(),
            hasher: DefaultHasher::new(),
            count: 0,
            lines: keep.then(Vec::new),
            failure: None,
        })))
    }

    /// Adds something that happened now.
    pub(crate) fn note(&self, what: Arguments) {
        let mut state = self.lock();
        let line = format!("{:.3} {what}", state.began.elapsed().as_secs_f64());
        line.hash(&mut state.hasher);
        state.count += 1;
        if let Some(lines) = &mut state.lines {
            lines.push(line);
        }
    }

    /// Says that something is wrong; the first word of it counts.
    pub(crate) fn fail(&self, why: String) {
        let mut state = self.lock();
        if state.failure.is_none() {
            let at = state.began.elapsed().as_secs_f64();
            state.failure = Some(format!("after {at:.3} s: {why}"));
        }
    }

    /// What is wrong, if anything is.
    pub(crate) fn failure(&self) -> Option<String> {
        self.lock().failure.clone()
    }

    /// The number, and how much happened.
    pub(crate) fn sum(&self) -> (u64, u64) {
        let state = self.lock();
        (state.hasher.finish(), state.count)
    }

    /// The lines, if they are kept.
    pub(crate) fn take_lines(&self) -> Vec<String> {
        self.lock().lines.take().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A figure that tells bodies apart.
pub(crate) fn digest(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}
