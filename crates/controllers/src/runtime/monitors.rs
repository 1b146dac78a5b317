//! A controller of every resource that is served: one informer each, as resources come and go.

use std::collections::BTreeMap;
use std::sync::Arc;

use decapod_api::meta::GroupVersionResource;
use decapod_client::{Change, ObjectInformer, Queue};
use decapod_sys::Env;

use super::{Builder, Informers, Reconcile};
use crate::resources::{ApiResource, Resources};

/// What a controller of many resources looks at.
pub struct Monitors<K> {
    env: Env,
    informers: Informers,
    resources: Resources,
    is_watched: fn(&ApiResource) -> bool,
    keys: Keys<K>,
}

type Keys<K> = Arc<dyn Fn(&GroupVersionResource, &Change) -> Vec<K> + Send + Sync>;

/// What is watched, each in a scope of its own.
struct Running<K> {
    monitors: Monitors<K>,
    queue: Queue<K>,
    scopes: BTreeMap<GroupVersionResource, Env>,
}

// === impl Monitors ===

impl<K: Clone + Ord + Send + Sync + 'static> Monitors<K> {
    /// Those of `resources` that `is_watched` says, whose changes concern what `keys` says.
    pub fn new(
        env: &Env,
        informers: &Informers,
        resources: Resources,
        is_watched: fn(&ApiResource) -> bool,
        keys: impl Fn(&GroupVersionResource, &Change) -> Vec<K> + Send + Sync + 'static,
    ) -> Monitors<K> {
        let keys = Arc::new(keys);
        Monitors { env: env.clone(), informers: informers.clone(), resources, is_watched, keys }
    }

    /// Starts the workers once the first resources are known and listed, and follows changes from then on.
    pub async fn run<R: Reconcile<Key = K>>(self, mut builder: Builder<R>) {
        let mut resources = self.resources.clone();
        let mut running = Running { monitors: self, queue: builder.queue(), scopes: BTreeMap::new() };
        while running.wanted().is_empty() {
            if resources.changed().await.is_err() {
                return;
            }
        }
        resources.mark_unchanged();
        for informer in running.follow().await {
            builder = builder.reads(&informer);
        }
        builder.start();
        while resources.changed().await.is_ok() {
            running.follow().await;
        }
        // Nobody tells of changes any more; what is watched stays watched.
        std::future::pending().await
    }
}

// === impl Running ===

impl<K: Clone + Ord + Send + Sync + 'static> Running<K> {
    fn wanted(&self) -> Vec<GroupVersionResource> {
        let all = self.monitors.resources.borrow();
        all.iter().filter(|one| (self.monitors.is_watched)(one)).map(|one| one.resource.clone()).collect()
    }

    /// Begins to watch what is new, and ends what is served no more; the informers that are new.
    async fn follow(&mut self) -> Vec<ObjectInformer> {
        let wanted = self.wanted();
        let unwanted: Vec<GroupVersionResource> =
            self.scopes.keys().filter(|resource| !wanted.contains(resource)).cloned().collect();
        for resource in unwanted {
            if let Some(scope) = self.scopes.remove(&resource) {
                scope.shutdown().await;
                self.monitors.informers.stop(&resource).await;
            }
        }
        let mut started = Vec::new();
        for resource in wanted {
            if self.scopes.contains_key(&resource) {
                continue;
            }
            let informer = self.monitors.informers.object(&resource);
            let scope = self.monitors.env.scope();
            let keys = Arc::clone(&self.monitors.keys);
            scope.spawn("watch", watch(keys, informer.clone(), self.queue.clone()));
            self.scopes.insert(resource, scope);
            started.push(informer);
        }
        started
    }
}

async fn watch<K: Clone + Ord>(keys: Keys<K>, informer: ObjectInformer, queue: Queue<K>) {
    let mut changes = informer.subscribe();
    while let Some(change) = changes.next().await {
        keys(informer.resource(), &change).into_iter().for_each(|key| queue.add(key));
    }
}
