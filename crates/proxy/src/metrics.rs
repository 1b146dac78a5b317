//! What the proxy has done, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counts since the start, and the last values. Shared.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Syncs that succeeded.
    pub syncs: AtomicU64,
    /// Of those, the ones that made the whole table anew.
    pub full_syncs: AtomicU64,
    /// Syncs that the kernel refused.
    pub failures: AtomicU64,
    /// Services now.
    pub services: AtomicU64,
    /// Endpoint slices now.
    pub slices: AtomicU64,
    /// Changes and elements that the last sync sent.
    pub last_changes: AtomicU64,
    /// How long the last sync took, in microseconds.
    pub last_sync_us: AtomicU64,
    /// How long the last change waited for its sync and the sync took, in microseconds.
    pub last_latency_us: AtomicU64,
    /// UDP flows that were forgotten.
    pub flows_forgotten: AtomicU64,
}

// === impl Metrics ===

impl Metrics {
    /// Adds to a count.
    pub(crate) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }

    /// Sets a value.
    pub(crate) fn set(value: &AtomicU64, to: u64) {
        value.store(to, Ordering::Relaxed);
    }

    /// Sets a value to a duration.
    pub(crate) fn set_duration(value: &AtomicU64, to: Duration) {
        Metrics::set(value, u64::try_from(to.as_micros()).unwrap_or(u64::MAX));
    }
}
