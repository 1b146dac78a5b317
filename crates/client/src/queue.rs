//! The work queue (k8s.io/client-go/util/workqueue): keyed, de-duplicated, with delays and rate limits.
//!
//! A key that is being worked on is not handed out a second time; if it is added meanwhile, it comes again after
//! [`Queue::done`]. Time is tokio's; nothing is spawned.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// The wait after the first failure of a key, doubled with each further one, and the longest.
const RETRY_MIN: Duration = Duration::from_millis(5);
const RETRY_MAX: Duration = Duration::from_secs(1000);
/// How many retries of all keys together there may be: per second, and at once.
const RETRIES_PER_SECOND: u32 = 10;
const RETRIES_BURST: u32 = 100;

/// A queue of keys. Cloning shares it.
pub struct Queue<T>(Arc<Inner<T>>);

struct Inner<T> {
    state: Mutex<State<T>>,
    wake: Notify,
}

struct State<T> {
    ready: VecDeque<T>,
    /// Those that are to be worked on: in `ready`, or added while in `working`.
    dirty: BTreeSet<T>,
    working: BTreeSet<T>,
    /// Each key is to become ready at one time only, the earliest.
    delayed: BTreeMap<T, Instant>,
    due: BTreeSet<(Instant, T)>,
    failures: BTreeMap<T, u32>,
    bucket: Bucket,
}

/// When the next retry may be, so that no more than the burst are ahead of their turn.
struct Bucket {
    next: Option<Instant>,
}

// === impl Queue ===

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Queue<T> {
        Queue(Arc::clone(&self.0))
    }
}

impl<T: Clone + Ord> Default for Queue<T> {
    fn default() -> Queue<T> {
        Queue::new()
    }
}

impl<T: Clone + Ord> Queue<T> {
    /// An empty queue.
    pub fn new() -> Queue<T> {
        let state = State {
            ready: VecDeque::new(),
            dirty: BTreeSet::new(),
            working: BTreeSet::new(),
            delayed: BTreeMap::new(),
            due: BTreeSet::new(),
            failures: BTreeMap::new(),
            bucket: Bucket { next: None },
        };
        Queue(Arc::new(Inner { state: Mutex::new(state), wake: Notify::new() }))
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds `key`, unless it waits already.
    pub fn add(&self, key: T) {
        self.lock().add(key);
        self.0.wake.notify_one();
    }

    /// Adds `key` after `delay`, or earlier if it was to come earlier.
    pub fn add_after(&self, key: T, delay: Duration) {
        if delay.is_zero() {
            return self.add(key);
        }
        self.lock().delay(key, Instant::now() + delay);
        self.0.wake.notify_one();
    }

    /// Adds `key` after a failure: later each time, until [`Queue::forget`].
    pub fn add_rate_limited(&self, key: T) {
        let now = Instant::now();
        let mut state = self.lock();
        let failures = state.failures.entry(key.clone()).or_default();
        let own = RETRY_MIN.saturating_mul(1u32.checked_shl(*failures).unwrap_or(u32::MAX)).min(RETRY_MAX);
        *failures = failures.saturating_add(1);
        let shared = state.bucket.take(now);
        state.delay(key, (now + own).max(shared));
        drop(state);
        self.0.wake.notify_one();
    }

    /// Forgets that `key` has failed.
    pub fn forget(&self, key: &T) {
        self.lock().failures.remove(key);
    }

    /// How often `key` has failed since it was forgotten.
    pub fn failures(&self, key: &T) -> u32 {
        self.lock().failures.get(key).copied().unwrap_or_default()
    }

    /// Says that work on `key` is over; if it was added meanwhile, it comes again.
    pub fn done(&self, key: &T) {
        let mut state = self.lock();
        state.working.remove(key);
        if state.dirty.contains(key) {
            state.ready.push_back(key.clone());
        }
        drop(state);
        self.0.wake.notify_one();
    }

    /// How many keys are ready to be worked on.
    pub fn len(&self) -> usize {
        self.lock().ready.len()
    }

    /// Whether no key is ready.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The next key; it counts as worked on until [`Queue::done`].
    pub async fn get(&self) -> T {
        loop {
            let next_due = {
                let mut state = self.lock();
                state.promote(Instant::now());
                if let Some(key) = state.take() {
                    if !state.ready.is_empty() || !state.due.is_empty() {
                        // Another worker, if one waits, has the rest, or has to watch the clock.
                        self.0.wake.notify_one();
                    }
                    return key;
                }
                state.due.first().map(|(at, _)| *at)
            };
            match next_due {
                Some(at) => tokio::select! {
                    biased;
                    () = self.0.wake.notified() => {}
                    () = tokio::time::sleep_until(at) => {}
                },
                None => self.0.wake.notified().await,
            }
        }
    }
}

// === impl State ===

impl<T: Clone + Ord> State<T> {
    fn add(&mut self, key: T) {
        if !self.dirty.insert(key.clone()) || self.working.contains(&key) {
            return;
        }
        self.ready.push_back(key);
    }

    fn delay(&mut self, key: T, at: Instant) {
        if let Some(earlier) = self.delayed.get(&key) {
            if *earlier <= at {
                return;
            }
            self.due.remove(&(*earlier, key.clone()));
        }
        self.delayed.insert(key.clone(), at);
        self.due.insert((at, key));
    }

    fn promote(&mut self, now: Instant) {
        while self.due.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, key)) = self.due.pop_first() {
                self.delayed.remove(&key);
                self.add(key);
            }
        }
    }

    fn take(&mut self) -> Option<T> {
        let key = self.ready.pop_front()?;
        self.dirty.remove(&key);
        self.working.insert(key.clone());
        Some(key)
    }
}

// === impl Bucket ===

impl Bucket {
    fn take(&mut self, now: Instant) -> Instant {
        let interval = Duration::from_secs(1) / RETRIES_PER_SECOND;
        // A full bucket is as if the next turn had been `burst` intervals ago.
        let full = now.checked_sub(interval * RETRIES_BURST);
        let turn = match (self.next, full) {
            (Some(next), Some(full)) => next.max(full),
            (Some(next), None) => next,
            (None, full) => full.unwrap_or(now),
        };
        self.next = Some(turn + interval);
        now.max(turn + interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_key_waits_once_and_is_worked_on_once() {
        let queue = Queue::new();
        queue.add("a");
        queue.add("a");
        queue.add("b");
        assert_eq!(queue.get().await, "a");
        queue.add("a");
        assert_eq!(queue.get().await, "b");
        assert!(queue.is_empty(), "a is being worked on");
        queue.done(&"a");
        assert_eq!(queue.get().await, "a");
    }

    #[tokio::test(start_paused = true)]
    async fn delays_end_in_order_and_the_earliest_counts() {
        let (queue, began) = (Queue::new(), Instant::now());
        queue.add_after("late", Duration::from_secs(60));
        queue.add_after("a", Duration::from_secs(30));
        queue.add_after("a", Duration::from_secs(10));
        queue.add_after("a", Duration::from_secs(20));
        assert_eq!((queue.get().await, began.elapsed().as_secs()), ("a", 10));
        assert_eq!((queue.get().await, began.elapsed().as_secs()), ("late", 60));
    }

    #[tokio::test(start_paused = true)]
    async fn failures_double_the_wait_until_forgotten() {
        let (queue, began) = (Queue::new(), Instant::now());
        let mut waits = Vec::new();
        for _ in 0..4 {
            let before = began.elapsed();
            queue.add_rate_limited("a");
            queue.get().await;
            queue.done(&"a");
            waits.push((began.elapsed() - before).as_millis());
        }
        assert_eq!(waits, [5, 10, 20, 40]);
        queue.forget(&"a");
        assert_eq!(queue.failures(&"a"), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn all_workers_see_what_is_due() {
        let queue = Queue::new();
        let (one, two) = (queue.clone(), queue.clone());
        queue.add_after(1, Duration::from_secs(1));
        queue.add_after(2, Duration::from_secs(1));
        let (a, b) = tokio::join!(one.get(), two.get());
        assert_eq!(a + b, 3);
    }
}
