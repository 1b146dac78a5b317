//! How long to wait before trying again.

use std::time::Duration;

use decapod_sys::Env;

/// Doubling waits with jitter: each is between its base and twice that.
pub struct Backoff {
    env: Env,
    min: Duration,
    max: Duration,
    next: Duration,
}

// === impl Backoff ===

impl Backoff {
    /// Waits whose base goes from `min` to `max`.
    pub fn new(env: &Env, min: Duration, max: Duration) -> Backoff {
        Backoff { env: env.clone(), min, max, next: min }
    }

    /// The next wait.
    pub fn next_delay(&mut self) -> Duration {
        let base = self.next;
        self.next = (base * 2).min(self.max);
        let jitter_us = self.env.random_below(base.as_micros().try_into().unwrap_or(u64::MAX));
        base + Duration::from_micros(jitter_us)
    }

    /// Begins at the shortest wait again.
    pub fn reset(&mut self) {
        self.next = self.min;
    }
}
