//! Counters that `/metrics` shows.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What the server counts.
#[derive(Default)]
pub struct Metrics {
    /// Requests over HTTP.
    pub requests: Counter,
    /// Requests that panicked.
    pub panics: Counter,
    /// Whether the server has said that it is ready.
    pub ready: Flag,
}

/// A number that only grows.
#[derive(Default)]
pub struct Counter(AtomicU64);

/// Something that becomes true once.
#[derive(Default)]
pub struct Flag(AtomicBool);

impl Counter {
    /// One more.
    pub fn inc(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// The number now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Flag {
    /// It is true from now on.
    pub fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it is true.
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
