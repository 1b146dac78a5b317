//! What every component gets handed instead of reaching for it: the wall clock, randomness and a scope for tasks.
//!
//! Durations and deadlines come from tokio's clock, which a test pauses; only what is written into objects or
//! certificates needs [`Env::now`]. A scope ends all its tasks together; scopes nest.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

/// The wall clock.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;
}

/// Randomness.
pub trait Random: Send + Sync {
    /// Fills `bytes` with random ones.
    fn fill(&self, bytes: &mut [u8]);
}

/// The surroundings of a component. Cloning shares them.
#[derive(Clone)]
pub struct Env {
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    cancel: CancellationToken,
    tasks: TaskTracker,
    panics: Arc<AtomicU64>,
}

/// The machine's clock.
struct SystemClock;

/// The kernel's randomness.
struct SystemRandom;

/// A clock that moves with tokio's, from a fixed start: for tests and the simulation.
pub struct TokioClock {
    start: Timestamp,
    base: tokio::time::Instant,
}

/// Randomness from a seed (SplitMix64): for tests and the simulation, never for keys in earnest.
pub struct SeededRandom(AtomicU64);

/// How long a component that panicked waits before it starts again, at first and at most.
const RESTART_DELAY_MIN: Duration = Duration::from_millis(100);
const RESTART_DELAY_MAX: Duration = Duration::from_secs(30);

// === impl Env ===

impl Env {
    /// The machine's own clock and randomness.
    pub fn system() -> Env {
        Env::new(Arc::new(SystemClock), Arc::new(SystemRandom))
    }

    /// A world of its own, replayed exactly by `seed`. Call it within a tokio runtime.
    pub fn simulated(seed: u64) -> Env {
        let start = Timestamp::from_second(1_700_000_000).expect("a time in range");
        let clock = TokioClock { start, base: tokio::time::Instant::now() };
        Env::new(Arc::new(clock), Arc::new(SeededRandom(AtomicU64::new(seed))))
    }

    /// These surroundings.
    pub fn new(clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Env {
        let (cancel, tasks) = (CancellationToken::new(), TaskTracker::new());
        Env { clock, random, cancel, tasks, panics: Arc::default() }
    }

    /// A scope within this one: it ends with it, and can be ended alone.
    pub fn scope(&self) -> Env {
        Env { cancel: self.cancel.child_token(), tasks: TaskTracker::new(), ..self.clone() }
    }

    /// The wall clock's time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Fills `bytes` with random ones.
    pub fn fill(&self, bytes: &mut [u8]) {
        self.random.fill(bytes);
    }

    /// A random number.
    pub fn random_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// A random number in `0..below`; 0 when `below` is 0.
    pub fn random_below(&self, below: u64) -> u64 {
        ((u128::from(self.random_u64()) * u128::from(below)) >> 64) as u64
    }

    /// A random UUID (version 4).
    pub fn uuid(&self) -> String {
        let mut b = [0u8; 16];
        self.fill(&mut b);
        b[6] = (b[6] & 0x0f) | 0x40;
        b[8] = (b[8] & 0x3f) | 0x80;
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        format!("{}-{}-{}-{}-{}", hex(&b[..4]), hex(&b[4..6]), hex(&b[6..8]), hex(&b[8..10]), hex(&b[10..]))
    }

    /// Five letters and digits that read well (k8s.io/apimachinery/pkg/util/rand: no vowels, nothing alike).
    pub fn suffix(&self) -> String {
        const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        (0..5).map(|_| char::from(ALPHABET[self.random_below(ALPHABET.len() as u64) as usize])).collect()
    }

    /// Runs `future` until it ends or this scope does.
    #[allow(clippy::disallowed_methods, reason = "this is the one spawner")]
    pub fn spawn<F>(&self, name: &'static str, future: F) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let cancel = self.cancel.clone();
        let scoped = async move {
            tokio::select! {
                biased;
                () = cancel.cancelled() => {}
                () = future => {}
            }
        };
        self.tasks.spawn(scoped.instrument(tracing::debug_span!("task", name)))
    }

    /// Runs what `start` makes for as long as this scope lives: begins it again, with back-off, when it ends or
    /// panics. The others never notice.
    pub fn supervise<S, F>(&self, name: &'static str, mut start: S) -> JoinHandle<()>
    where
        S: FnMut() -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let env = self.clone();
        self.spawn(name, async move {
            let mut delay = RESTART_DELAY_MIN;
            loop {
                let began = tokio::time::Instant::now();
                if let Err(error) = env.spawn(name, start()).await {
                    env.panics.fetch_add(1, Ordering::Relaxed);
                    tracing::error!(component = name, %error, "component failed; starting it again");
                }
                if began.elapsed() > RESTART_DELAY_MAX {
                    delay = RESTART_DELAY_MIN;
                }
                tokio::time::sleep(delay).await;
                delay = (delay * 2).min(RESTART_DELAY_MAX);
            }
        })
    }

    /// Runs blocking work beside the executor.
    #[allow(clippy::disallowed_methods, reason = "this is the one spawner")]
    pub async fn spawn_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        tokio::task::spawn_blocking(work).await.ok()
    }

    /// A thread of its own: for namespaces, which belong to threads, and for the log's disk.
    #[allow(clippy::disallowed_methods, reason = "this is the one spawner")]
    pub fn thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> std::thread::JoinHandle<T> {
        std::thread::spawn(work)
    }

    /// How many components have panicked and been started again.
    pub fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// Returns when this scope ends.
    pub async fn cancelled(&self) {
        self.cancel.cancelled().await;
    }

    /// Whether this scope has ended.
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Ends this scope and waits for its tasks.
    pub async fn shutdown(&self) {
        self.cancel.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

// === impl Clock, Random ===

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the one wall clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        let elapsed = jiff::SignedDuration::try_from(self.base.elapsed()).unwrap_or_default();
        self.start.checked_add(elapsed).unwrap_or(self.start)
    }
}

impl Random for SystemRandom {
    #[allow(clippy::disallowed_methods, reason = "this is the one source of chance")]
    fn fill(&self, bytes: &mut [u8]) {
        let mut filled = 0;
        while filled < bytes.len() {
            // Blocks only before the kernel's pool is first ready; a signal may cut it short.
            filled += rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty())
                .unwrap_or(0);
        }
    }
}

impl Random for SeededRandom {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let mut z = self
                .0
                .fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed)
                .wrapping_add(0x9e37_79b9_7f4a_7c15);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            chunk.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_seed_replays_and_time_is_paused() {
        let (a, b) = (Env::simulated(7), Env::simulated(7));
        assert_eq!(a.uuid(), b.uuid());
        let before = a.now();
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(a.now().duration_since(before).as_secs(), 3600);
    }

    #[tokio::test(start_paused = true)]
    async fn a_component_that_panics_starts_again() {
        let env = Env::simulated(1);
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        env.supervise("flaky", move || {
            let sender = sender.clone();
            async move {
                sender.send(()).expect("receiver");
                panic!("planted");
            }
        });
        receiver.recv().await;
        receiver.recv().await;
        assert!(env.panics() >= 1);
        env.shutdown().await;
    }
}
