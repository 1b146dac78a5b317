//! Random histories of the store against a model, with every kind of fault at every call to the disk.
//!
//! One seed replays exactly: paused time, one thread, a fake disk. `DECAPOD_STORE_HISTORIES=100000` runs more;
//! `DECAPOD_STORE_SEED=7` runs one.

mod client;
mod model;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use decapod_store::disk::fake::{FakeDisk, Fault, Loss};
use decapod_store::{At, Config, OpenError, Place, Store};
use decapod_sys::Env;

use client::{Record, Shared};
use model::{Model, State, body};

/// How many random histories a plain `cargo test` runs.
const HISTORIES: u64 = 400;
/// How many of them also get every fault at every call.
const FAULTY_HISTORIES: u64 = 3;

/// Small, so that a history fills many.
const SEGMENT_BYTES: u64 = 8192;

/// How a history goes.
#[derive(Clone, Copy, Debug)]
struct Plan {
    seed: u64,
    /// Lives of the store.
    lives: u64,
    /// Writes per client and life.
    writes: u64,
    fault: Option<(u64, Fault)>,
    /// How much room there is on disk.
    capacity: u64,
}

/// What came of a history.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Outcome {
    trace: u64,
    fired: bool,
    acknowledged: u64,
    unknown: u64,
    conflicts: u64,
    refused: u64,
    seen: u64,
    cleaned: u64,
}

/// A history while it runs.
struct World {
    disk: FakeDisk,
    env: Env,
    model: Model,
    outcome: Outcome,
    /// Up to where history was forgotten, which must stay so.
    compacted: u64,
    /// Where each watcher is, over restarts.
    places: Vec<(String, Arc<Mutex<u64>>)>,
}

#[test]
fn random_histories_agree_with_the_model() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (count, first) = match number("DECAPOD_STORE_SEED") {
        Some(seed) => (1, seed),
        None => (number("DECAPOD_STORE_HISTORIES").unwrap_or(HISTORIES), 0),
    };
    let mut sum = Outcome::default();
    for seed in first..first + count {
        add(&mut sum, run(random_plan(seed)));
    }
    println!("{count} histories, {sum:?}");
    if count >= HISTORIES {
        assert!(sum.acknowledged > 10 * sum.unknown, "the histories are about writes that succeed");
        assert!([sum.unknown, sum.conflicts, sum.refused, sum.cleaned].iter().all(|n| *n > 0), "{sum:?}");
    }
}

#[test]
fn every_fault_at_every_call_loses_nothing_acknowledged() {
    let (mut count, mut sum) = (0, Outcome::default());
    for seed in 0..FAULTY_HISTORIES {
        for fault in [Fault::Crash, Fault::Io, Fault::IoForever, Fault::NoSpace] {
            for nth in 1.. {
                let outcome =
                    run(Plan { seed, lives: 2, writes: 12, fault: Some((nth, fault)), capacity: u64::MAX });
                if !outcome.fired {
                    break;
                }
                count += 1;
                add(&mut sum, outcome);
            }
        }
    }
    println!("{count} faults, {sum:?}");
}

#[test]
fn a_seed_replays_exactly() {
    for seed in 0..20 {
        assert_eq!(run(random_plan(seed)), run(random_plan(seed)), "seed {seed}");
    }
}

fn random_plan(seed: u64) -> Plan {
    let mix = |n: u64| seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(n as u32 * 13);
    let fault = [Fault::Crash, Fault::Crash, Fault::Io, Fault::NoSpace][(mix(1) % 4) as usize];
    let at = 1 + mix(2) % 400;
    Plan {
        seed,
        lives: 1 + mix(3) % 4,
        writes: 10 + mix(4) % 60,
        fault: (mix(5) % 3 > 0).then_some((at, fault)),
        capacity: if mix(6) % 4 == 0 { SEGMENT_BYTES * (4 + mix(7) % 4) } else { u64::MAX },
    }
}

fn add(sum: &mut Outcome, one: Outcome) {
    sum.acknowledged += one.acknowledged;
    sum.unknown += one.unknown;
    sum.conflicts += one.conflicts;
    sum.refused += one.refused;
    sum.seen += one.seen;
    sum.cleaned += one.cleaned;
}

fn run(plan: Plan) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime");
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.block_on(history(plan))));
    result.unwrap_or_else(|panic| {
        eprintln!("the history was {plan:?}");
        std::panic::resume_unwind(panic)
    })
}

async fn history(plan: Plan) -> Outcome {
    let env = Env::simulated(plan.seed);
    let mut world = World {
        disk: FakeDisk::new(plan.seed),
        places: (0..3).map(|_| (client::random_prefix(&env), Arc::new(Mutex::new(1)))).collect(),
        env,
        model: Model::new(),
        outcome: Outcome::default(),
        compacted: 0,
    };
    world.disk.set_capacity(plan.capacity);
    if let Some((nth, fault)) = plan.fault {
        world.disk.fail(nth, fault);
    }
    let mut unknown = Vec::new();
    for life in 0..=plan.lives {
        let store = world.open().await;
        let record = world.recovered(&store, std::mem::take(&mut unknown)).await;
        // The last life only looks at what the one before left; so do others, and what they saw must last.
        let idle = life == plan.lives || world.env.random_below(4) == 0;
        let writes = if idle { 0 } else { plan.writes };
        unknown = world.live(store, record, writes).await;
    }
    world.outcome.trace = world.disk.trace();
    world.outcome.fired = world.disk.fired();
    world.outcome
}

impl World {
    fn config(&self) -> Config {
        let few = self.env.random_below(2) == 0;
        Config {
            segment_bytes: SEGMENT_BYTES,
            txn_bytes_max: 3000,
            log_bytes_min: 10_000,
            history_events: if few { 12 } else { 10_000 },
            history_bytes: if self.env.random_below(3) == 0 { 4000 } else { 1 << 20 },
            compact_every: (self.env.random_below(2) == 0).then_some(Duration::from_millis(40)),
            ..Config::new(Place::Disk(Arc::new(self.disk.clone())))
        }
    }

    /// Opens the store, again if a fault comes in between.
    async fn open(&mut self) -> Store {
        loop {
            match Store::open(self.config(), &self.env).await {
                Ok(store) => return store,
                Err(OpenError::Io { .. } | OpenError::NoRoom { .. }) if self.disk.fired() => {
                    self.disk.reboot(self.loss());
                }
                Err(error) => panic!("the store does not open: {error}"),
            }
        }
    }

    /// What a crash loses this time.
    fn loss(&self) -> Loss {
        [Loss::Nothing, Loss::Everything, Loss::Anything, Loss::Anything][self.env.random_below(4) as usize]
    }

    /// Checks that `store` holds what was acknowledged, and of the unknown all or nothing.
    async fn recovered(&mut self, store: &Store, unknown: Vec<decapod_store::Txn>) -> Shared {
        let mut state = State::new();
        for prefix in ["pods/", "leases/", "example.com/widgets/", "services/specs/"] {
            let snapshot =
                store.snapshot(&format!("/registry/{prefix}"), At::Latest).await.expect("a snapshot");
            assert_eq!(snapshot.revision(), store.revision());
            state.extend(snapshot.iter().map(|(key, object)| (key.to_string(), body(object))));
        }
        self.model.settle(&unknown, store.revision(), &state);
        assert_eq!(store.stats().objects as usize, state.len());
        assert!(store.compacted() >= self.compacted, "what was forgotten is back");
        Shared::default()
    }

    /// Lets clients at the store until they are done or it fails; ends it; checks what they saw. Gives back the
    /// transactions of which nobody knows.
    async fn live(&mut self, store: Store, shared: Shared, writes: u64) -> Vec<decapod_store::Txn> {
        let clients = self.env.scope();
        let watchers = self.env.scope();
        for (prefix, place) in &self.places {
            let after = *place.lock().expect("no panic");
            let (store, scope, shared) = (store.clone(), watchers.clone(), shared.clone());
            let (prefix, place) = (prefix.clone(), place.clone());
            // It ends by itself when the scope does, to tell how far it came.
            self.env.spawn("watcher", client::watch(store, scope, prefix, after, shared, place));
        }
        let mut tasks = Vec::new();
        for _ in 0..4 {
            let work = client::write(store.clone(), clients.clone(), writes, shared.clone());
            tasks.push(clients.spawn("client", work));
        }
        tasks.push(
            clients.spawn("reader", client::read(store.clone(), clients.clone(), writes, shared.clone())),
        );
        for task in tasks {
            task.await.expect("a client that does not panic");
        }
        self.end(store, &watchers).await;
        let record = std::mem::take(&mut *shared.lock().expect("no panic"));
        self.check(record)
    }

    /// Ends a life of the store: in order, by a kill, or by a power cut.
    async fn end(&mut self, store: Store, watchers: &Env) {
        self.outcome.cleaned += store.stats().cleaned_segments;
        let gentle = self.env.random_below(3) == 0;
        if gentle {
            drop(store.close().await);
        }
        // Watchers see what is visible, and end.
        tokio::time::sleep(Duration::from_millis(1)).await;
        watchers.shutdown().await;
        tokio::time::sleep(Duration::from_millis(30)).await;
        // A kill in the middle of a write is a fault of the plan; this one comes when all is quiet.
        self.disk.cut_power();
        drop(store);
        tokio::time::sleep(Duration::from_millis(10)).await;
        self.disk.reboot(self.loss());
    }

    fn check(&mut self, mut record: Record) -> Vec<decapod_store::Txn> {
        record.acknowledged.sort_by_key(|(revision, _)| *revision);
        for (revision, txn) in &record.acknowledged {
            assert!(self.model.apply(txn), "a transaction at {revision} was not allowed");
            assert_eq!(self.model.revision(), *revision, "revisions have gaps, or repeat");
        }
        for seen in &record.seen {
            self.model.check(seen);
        }
        self.compacted = self.compacted.max(record.compacted);
        self.outcome.acknowledged += record.acknowledged.len() as u64;
        self.outcome.unknown += record.unknown.len() as u64;
        self.outcome.conflicts += record.conflicts;
        self.outcome.refused += record.refused;
        self.outcome.seen += record.seen.len() as u64;
        record.unknown
    }
}
