//! One informer per resource that is served, as resources come and go.

use std::collections::BTreeMap;

use decapod_api::meta::GroupVersionResource;
use decapod_client::{ObjectInformer, Queue};
use decapod_sys::Env;

use super::{Controller, Key};
use crate::resources::ApiResource;
use crate::runtime::Builder;

/// What is watched, each in a scope of its own.
struct Monitors {
    env: Env,
    controller: Controller,
    queue: Queue<Key>,
    running: BTreeMap<GroupVersionResource, Env>,
}

/// Starts the workers once the first resources are known and listed, and follows changes from then on.
pub(super) async fn run(env: Env, controller: Controller, mut builder: Builder<Controller>) {
    let mut resources = controller.resources.clone();
    let mut monitors = Monitors { env, controller, queue: builder.queue(), running: BTreeMap::new() };
    while monitors.wanted().is_empty() {
        if resources.changed().await.is_err() {
            return;
        }
    }
    resources.mark_unchanged();
    for informer in monitors.follow().await {
        builder = builder.reads(&informer);
    }
    builder.start();
    while resources.changed().await.is_ok() {
        monitors.follow().await;
    }
    // Nobody tells of changes any more; what is watched stays watched.
    std::future::pending().await
}

impl Monitors {
    fn wanted(&self) -> Vec<GroupVersionResource> {
        let all = self.controller.resources.borrow();
        all.iter().filter(|one| is_collected(one)).map(|one| one.resource.clone()).collect()
    }

    /// Begins to watch what is new, and ends what is served no more; the informers that are new.
    async fn follow(&mut self) -> Vec<ObjectInformer> {
        let wanted = self.wanted();
        let unwanted: Vec<GroupVersionResource> =
            self.running.keys().filter(|resource| !wanted.contains(resource)).cloned().collect();
        for resource in unwanted {
            if let Some(scope) = self.running.remove(&resource) {
                scope.shutdown().await;
                self.controller.informers.stop(&resource).await;
            }
        }
        let mut started = Vec::new();
        for resource in wanted {
            if self.running.contains_key(&resource) {
                continue;
            }
            let informer = self.controller.informers.object(&resource);
            let scope = self.env.scope();
            scope.spawn("watch", watch(self.controller.clone(), informer.clone(), self.queue.clone()));
            self.running.insert(resource, scope);
            started.push(informer);
        }
        started
    }
}

async fn watch(controller: Controller, informer: ObjectInformer, queue: Queue<Key>) {
    let mut changes = informer.subscribe();
    while let Some(change) = changes.next().await {
        controller.concerned(informer.resource(), &change).into_iter().for_each(|key| queue.add(key));
    }
}

/// Whether objects of `resource` have owners that matter: Events have none, and come and go by themselves.
fn is_collected(resource: &ApiResource) -> bool {
    resource.resource.resource != "events"
        && ["list", "watch", "delete"].iter().all(|verb| resource.has_verb(verb))
}
