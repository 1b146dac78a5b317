//! All pods of this node: a worker for each, told what happens to it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use decapod_sys::Env;
use tokio::sync::watch;

use crate::pod::NodePod;
use crate::worker::{Order, Shared, Worker};

/// How long a worker that panicked waits before it begins anew.
const RESTART_DELAY: Duration = Duration::from_secs(5);

/// The workers. Cloning shares them.
#[derive(Clone)]
pub struct Workers(Arc<Inner>);

struct Inner {
    env: Env,
    shared: Arc<Shared>,
    workers: Mutex<BTreeMap<String, Handle>>,
}

struct Handle {
    orders: watch::Sender<Order>,
    /// The same pod come back before its last life here was over, as static pods do.
    again: Option<NodePod>,
}

// === impl Workers ===

impl Workers {
    /// Workers that end with `env`; pods are left as they are.
    pub fn new(env: &Env, shared: &Arc<Shared>) -> Workers {
        Workers(Arc::new(Inner { env: env.clone(), shared: Arc::clone(shared), workers: Mutex::default() }))
    }

    /// A pod is new, or has changed.
    pub fn update(&self, pod: NodePod) {
        let mut workers = self.0.lock();
        match workers.get_mut(pod.uid()) {
            Some(handle) if handle.orders.borrow().removed => handle.again = Some(pod),
            Some(handle) => {
                handle.orders.send_if_modified(|order| {
                    let changed = *order.pod != pod;
                    if changed {
                        order.pod = Arc::new(pod);
                    }
                    changed
                });
            }
            None => self.start(&mut workers, pod, false),
        }
    }

    /// The source of the pod knows it no more.
    pub fn remove(&self, uid: &str) {
        if let Some(handle) = self.0.lock().get_mut(uid) {
            handle.again = None;
            handle.orders.send_if_modified(|order| !std::mem::replace(&mut order.removed, true));
        }
    }

    /// Of a pod that nobody knows something runs here: it is to go.
    pub fn remove_orphan(&self, pod: NodePod) {
        let mut workers = self.0.lock();
        if !workers.contains_key(pod.uid()) {
            tracing::info!(pod = %pod.format(), "removing a pod that is in the API no more");
            self.start(&mut workers, pod, true);
        }
    }

    /// Something has happened to the pod.
    pub fn wake(&self, uid: &str) {
        if let Some(handle) = self.0.lock().get(uid) {
            handle.orders.send_modify(|order| order.wakes += 1);
        }
    }

    /// Something may have happened to all pods.
    pub fn wake_all(&self) {
        self.0.lock().values().for_each(|handle| handle.orders.send_modify(|order| order.wakes += 1));
    }

    /// An object that the pod names has changed.
    pub fn objects_changed(&self, uid: &str) {
        if let Some(handle) = self.0.lock().get(uid) {
            handle.orders.send_modify(|order| order.objects += 1);
        }
    }

    /// Whether the pod has a worker.
    pub fn contains(&self, uid: &str) -> bool {
        self.0.lock().contains_key(uid)
    }

    /// The pod of that name, the newest if there are several.
    pub fn find(&self, namespace: &str, name: &str) -> Option<Arc<NodePod>> {
        let mut found = self.list();
        found.retain(|pod| pod.namespace() == namespace && pod.name() == name);
        found.into_iter().max_by_key(|pod| pod.pod.metadata.creation_timestamp.clone())
    }

    /// All pods.
    pub fn list(&self) -> Vec<Arc<NodePod>> {
        self.0.lock().values().map(|handle| Arc::clone(&handle.orders.borrow().pod)).collect()
    }

    fn start(&self, workers: &mut BTreeMap<String, Handle>, pod: NodePod, removed: bool) {
        let uid = pod.uid().to_owned();
        let (orders, receiver) = watch::channel(Order { pod: Arc::new(pod), removed, wakes: 0, objects: 0 });
        workers.insert(uid.clone(), Handle { orders, again: None });
        let all = self.clone();
        self.0.env.spawn("pod", async move {
            let env = &all.0.env;
            loop {
                let scope = env.scope();
                let (waker, of_pod) = (all.clone(), uid.clone());
                let worker =
                    Worker::new(&all.0.shared, &scope, receiver.clone(), move || waker.wake(&of_pod));
                let ended = scope.spawn("pod-worker", worker.run()).await;
                scope.shutdown().await;
                match ended {
                    Ok(()) => break,
                    Err(error) => {
                        tracing::error!(pod = uid, %error, "a pod's worker failed; starting it again")
                    }
                }
                tokio::time::sleep(RESTART_DELAY).await;
            }
            all.ended(&uid);
        });
    }

    fn ended(&self, uid: &str) {
        let mut workers = self.0.lock();
        if let Some(pod) = workers.remove(uid).and_then(|handle| handle.again) {
            self.start(&mut workers, pod, false);
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Handle>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
