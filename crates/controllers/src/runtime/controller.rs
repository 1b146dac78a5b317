//! A running controller: the queue between its watches and its workers.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use decapod_api::Status;
use decapod_client::{Change, Client, ObjectInformer, Queue, Recorder};
use decapod_sys::Env;
use jiff::Timestamp;

use super::Informers;
use super::execute::Executor;
use super::plan::{Live, Plan};

/// How often a reconcile may ask for more reads before it counts as gone astray.
const ROUNDS_MAX: u32 = 16;

/// What makes one controller differ from another.
pub trait Reconcile: Send + Sync + 'static {
    /// What it is asked about, mostly an [`decapod_client::ObjectKey`].
    type Key: Clone + Ord + Debug + Send + Sync + 'static;
    /// What it needs to know to decide.
    type State: Send + Sync;

    /// Its service account in `kube-system`, such as `replicaset-controller`.
    fn name(&self) -> &'static str;

    /// What its events say that they come from.
    fn component(&self) -> &'static str {
        self.name()
    }

    /// The state of `key`, from informers only; `None` if there is nothing left to do for it.
    fn gather(&self, key: &Self::Key) -> Option<Self::State>;

    /// What to do. Pure.
    fn reconcile(&self, key: &Self::Key, state: &Self::State, live: &Live, now: Timestamp) -> Plan;
}

/// Puts a controller together.
pub struct Builder<R: Reconcile> {
    core: Core<R>,
    needs: Vec<ObjectInformer>,
    watches: Vec<Watch<R::Key>>,
    workers: u32,
}

type Keys<K> = Box<dyn Fn(&Change) -> Vec<K> + Send + Sync>;

struct Watch<K> {
    informer: ObjectInformer,
    keys: Keys<K>,
}

struct Core<R: Reconcile> {
    env: Env,
    executor: Executor,
    queue: Queue<R::Key>,
    failures: Mutex<BTreeMap<R::Key, Status>>,
    reconcile: R,
}

/// A key that is being worked on; dropped, it is so no more, whatever happened.
struct Working<'a, K: Clone + Ord>(&'a Queue<K>, K);

// === impl Builder ===

impl<R: Reconcile> Builder<R> {
    /// The controller that decides as `reconcile` does and acts as `client`.
    pub fn new(env: &Env, informers: &Informers, client: Client, reconcile: R) -> Builder<R> {
        let recorder = Recorder::new(env, &client, reconcile.component());
        let executor = Executor::new(env, client, recorder, informers.clone());
        let core =
            Core { env: env.clone(), executor, queue: Queue::new(), failures: Mutex::default(), reconcile };
        Builder { core, needs: Vec::new(), watches: Vec::new(), workers: 5 }
    }

    /// Looks at the keys that `keys` says, whenever something in `informer` changes.
    pub fn watch<F>(mut self, informer: &ObjectInformer, keys: F) -> Builder<R>
    where
        F: Fn(&Change) -> Vec<R::Key> + Send + Sync + 'static,
    {
        self.watches.push(Watch { informer: informer.clone(), keys: Box::new(keys) });
        self
    }

    /// Waits for `informer` before it begins, for `gather` reads it.
    pub fn reads(mut self, informer: &ObjectInformer) -> Builder<R> {
        self.needs.push(informer.clone());
        self
    }

    /// How many keys it works on at once: 5 unless it is told otherwise, as upstream.
    pub fn workers(mut self, workers: u32) -> Builder<R> {
        self.workers = workers;
        self
    }

    /// Its queue, for wiring that no watch can do.
    pub fn queue(&self) -> Queue<R::Key> {
        self.core.queue.clone()
    }

    /// Starts it.
    pub fn start(self) {
        let core = Arc::new(self.core);
        let env = core.env.clone();
        let needs: Vec<ObjectInformer> =
            self.needs.into_iter().chain(self.watches.iter().map(|watch| watch.informer.clone())).collect();
        for watch in self.watches {
            env.spawn("watch", follow(watch, core.queue.clone()));
        }
        for _ in 0..self.workers {
            let (core, needs) = (Arc::clone(&core), needs.clone());
            env.supervise(core.reconcile.name(), move || work(Arc::clone(&core), needs.clone()));
        }
    }
}

async fn follow<K: Clone + Ord>(watch: Watch<K>, queue: Queue<K>) {
    let mut changes = watch.informer.subscribe();
    while let Some(change) = changes.next().await {
        (watch.keys)(&change).into_iter().for_each(|key| queue.add(key));
    }
}

async fn work<R: Reconcile>(core: Arc<Core<R>>, needs: Vec<ObjectInformer>) {
    for informer in &needs {
        informer.synced().await;
    }
    loop {
        let key = core.queue.get().await;
        let working = Working(&core.queue, key.clone());
        core.process(&key).await;
        drop(working);
    }
}

impl<K: Clone + Ord> Drop for Working<'_, K> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.add_rate_limited(self.1.clone());
        }
        self.0.done(&self.1);
    }
}

// === impl Core ===

impl<R: Reconcile> Core<R> {
    fn failures(&self) -> std::sync::MutexGuard<'_, BTreeMap<R::Key, Status>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn process(&self, key: &R::Key) {
        match self.sync(key).await {
            Ok(again_after) => {
                self.failures().remove(key);
                self.queue.forget(key);
                if let Some(delay) = again_after {
                    self.queue.add_after(key.clone(), delay);
                }
            }
            Err(status) => {
                // A conflict only says that somebody was faster, which the informer is about to tell.
                if status.is_conflict() {
                    tracing::debug!(controller = self.reconcile.name(), ?key, error = %status, "trying again");
                } else {
                    tracing::info!(controller = self.reconcile.name(), ?key, error = %status, "trying again");
                }
                self.failures().insert(key.clone(), status);
                self.queue.add_rate_limited(key.clone());
            }
        }
    }

    async fn sync(&self, key: &R::Key) -> Result<Option<std::time::Duration>, Status> {
        let Some(state) = self.reconcile.gather(key) else {
            return Ok(None);
        };
        let mut live = Live::after(self.failures().get(key).cloned());
        for _ in 0..ROUNDS_MAX {
            let mut plan = self.reconcile.reconcile(key, &state, &live, self.env.now());
            plan.reads.retain(|read| !live.has(read));
            if plan.reads.is_empty() {
                self.executor.run(plan.actions).await?;
                return Ok(plan.again_after);
            }
            self.executor.read(plan.reads, &mut live).await?;
        }
        Err(Status::internal("the reconcile asks for ever more reads"))
    }
}
