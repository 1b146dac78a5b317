//! Shared informers: a local, always current copy of what a list would show, kept by a list and a watch.
//!
//! An informer keeps the shared bytes of each object and the indices that its readers asked for; an object becomes
//! a typed value when a reader asks for it. There is one informer per identity, resource and selection, shared by
//! cloning; it lives as long as the scope it was started in.

mod cache;
mod changes;
mod reflector;
#[cfg(test)]
mod tests;

use std::marker::PhantomData;
use std::sync::{Arc, PoisonError, RwLock};

use decapod_api::meta::GroupVersionResource;
use decapod_api::{Object, Revision};
use decapod_sys::{Env, watch};

use crate::typed::{Client, Kind, decode};
use cache::Cache;
use changes::Subscribers;

pub use changes::{Change, Changes};

/// Which objects of a resource an informer keeps. The default is all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only of this namespace; empty for all.
    pub namespace: String,
    /// Such as `app=web`; empty for all.
    pub label_selector: String,
    /// Such as `spec.nodeName=a`; empty for all.
    pub field_selector: String,
}

/// One way to find objects other than by their key.
#[derive(Clone, Copy)]
pub struct Indexer {
    /// What readers call it.
    pub name: &'static str,
    /// The values under which an object is found.
    pub keys: fn(&Object) -> Vec<String>,
}

/// Where an object stands within its resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// Empty for cluster-scoped objects.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// An informer of a resource known at run time. Cloning shares it.
#[derive(Clone)]
pub struct ObjectInformer(Arc<Shared>);

/// An informer of kind `K`: the same with objects decoded. Cloning shares it.
pub struct Informer<K> {
    objects: ObjectInformer,
    kind: PhantomData<fn() -> K>,
}

struct Shared {
    resource: GroupVersionResource,
    selection: Selection,
    inner: RwLock<Inner>,
    progress: watch::Sender<Progress>,
}

struct Inner {
    cache: Cache,
    subscribers: Subscribers,
}

/// How far an informer has come.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Progress {
    synced: bool,
    revision: Revision,
    ended: bool,
}

// === impl ObjectKey ===

impl ObjectKey {
    /// The key of `namespace` and `name`.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> ObjectKey {
        ObjectKey { namespace: namespace.into(), name: name.into() }
    }

    /// The key of `object`.
    pub fn of(object: &Object) -> ObjectKey {
        ObjectKey::new(object.namespace(), object.name())
    }
}

impl std::fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        if self.namespace.is_empty() {
            f.write_str(&self.name)
        } else {
            write!(f, "{}/{}", self.namespace, self.name)
        }
    }
}

// === impl ObjectInformer ===

impl ObjectInformer {
    /// Starts to list and watch `resource`.
    pub fn start(
        env: &Env,
        client: &Client,
        resource: GroupVersionResource,
        selection: Selection,
        indexers: Vec<Indexer>,
    ) -> ObjectInformer {
        let inner = Inner { cache: Cache::new(indexers), subscribers: Subscribers::default() };
        let shared = Arc::new(Shared {
            resource,
            selection,
            inner: RwLock::new(inner),
            progress: watch::Sender::new(Progress::default()),
        });
        env.spawn("informer", reflector::run(env.clone(), client.clone(), Arc::clone(&shared)));
        ObjectInformer(shared)
    }

    /// Of which resource.
    pub fn resource(&self) -> &GroupVersionResource {
        &self.0.resource
    }

    /// Returns once the first list is in, or the informer's scope has ended.
    pub async fn synced(&self) {
        self.wait(|progress| progress.synced).await;
    }

    /// Whether the first list is in.
    pub fn is_synced(&self) -> bool {
        self.0.progress.borrow().synced
    }

    /// The revision up to which changes have been seen.
    pub fn revision(&self) -> Revision {
        self.0.progress.borrow().revision
    }

    /// Returns once `check` holds, which is asked after every change, or the informer's scope has ended.
    pub async fn until(&self, mut check: impl FnMut(&ObjectInformer) -> bool) {
        self.wait(|_| check(self)).await;
    }

    async fn wait(&self, mut check: impl FnMut(&Progress) -> bool) {
        let mut progress = self.0.progress.subscribe();
        loop {
            // A copy, for `check` may read the progress itself.
            let now = *progress.borrow_and_update();
            if now.ended || check(&now) || progress.changed().await.is_err() {
                return;
            }
        }
    }

    /// The shared bytes of one object.
    pub fn object(&self, namespace: &str, name: &str) -> Option<Object> {
        self.0.read(|inner| inner.cache.get(&ObjectKey::new(namespace, name)))
    }

    /// All objects, in order of their keys.
    pub fn objects(&self) -> Vec<Object> {
        self.0.read(|inner| inner.cache.objects())
    }

    /// The objects of `namespace`, in order of their names.
    pub fn namespaced(&self, namespace: &str) -> Vec<Object> {
        self.0.read(|inner| inner.cache.namespaced(namespace))
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.0.read(|inner| inner.cache.len())
    }

    /// Whether there is no object.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The objects that `index` finds under `value`, in order of their keys.
    pub fn indexed_objects(&self, index: &'static str, value: &str) -> Vec<Object> {
        self.0.read(|inner| inner.cache.indexed(index, value))
    }

    /// Changes from now on, after everything that is there.
    pub fn subscribe(&self) -> Changes {
        self.0.write(|inner| {
            let changes = inner.subscribers.add();
            inner
                .cache
                .objects()
                .into_iter()
                .for_each(|object| changes.push(&ObjectKey::of(&object), None, Some(object)));
            if self.0.progress.borrow().ended {
                inner.subscribers.end();
            }
            changes
        })
    }
}

// === impl Informer ===

impl<K> Clone for Informer<K> {
    fn clone(&self) -> Informer<K> {
        Informer { objects: self.objects.clone(), kind: PhantomData }
    }
}

impl<K: Kind> From<ObjectInformer> for Informer<K> {
    /// `objects` has to be of `K`'s resource.
    fn from(objects: ObjectInformer) -> Informer<K> {
        Informer { objects, kind: PhantomData }
    }
}

impl<K: Kind> Informer<K> {
    /// Starts to list and watch.
    pub fn start(env: &Env, client: &Client, selection: Selection) -> Informer<K> {
        Informer::start_indexed(env, client, selection, Vec::new())
    }

    /// The same, with indices.
    pub fn start_indexed(
        env: &Env,
        client: &Client,
        selection: Selection,
        indexers: Vec<Indexer>,
    ) -> Informer<K> {
        ObjectInformer::start(env, client, K::resource(), selection, indexers).into()
    }

    /// The same informer without its type.
    pub fn untyped(&self) -> &ObjectInformer {
        &self.objects
    }

    /// Returns once the first list is in, or the informer's scope has ended.
    pub async fn synced(&self) {
        self.objects.synced().await;
    }

    /// Whether the first list is in.
    pub fn is_synced(&self) -> bool {
        self.objects.is_synced()
    }

    /// One object.
    pub fn get(&self, namespace: &str, name: &str) -> Option<K> {
        self.object(namespace, name).as_ref().and_then(typed)
    }

    /// The shared bytes of one object.
    pub fn object(&self, namespace: &str, name: &str) -> Option<Object> {
        self.objects.object(namespace, name)
    }

    /// All objects, in order of their keys.
    pub fn list(&self) -> Vec<K> {
        self.objects().iter().filter_map(typed).collect()
    }

    /// The shared bytes of all objects, in order of their keys.
    pub fn objects(&self) -> Vec<Object> {
        self.objects.objects()
    }

    /// The objects of `namespace`, in order of their names.
    pub fn namespaced(&self, namespace: &str) -> Vec<K> {
        self.objects.namespaced(namespace).iter().filter_map(typed).collect()
    }

    /// The objects that `index` finds under `value`.
    pub fn indexed(&self, index: &'static str, value: &str) -> Vec<K> {
        self.indexed_objects(index, value).iter().filter_map(typed).collect()
    }

    /// The shared bytes of the objects that `index` finds under `value`.
    pub fn indexed_objects(&self, index: &'static str, value: &str) -> Vec<Object> {
        self.objects.indexed_objects(index, value)
    }

    /// Changes from now on, after everything that is there.
    pub fn subscribe(&self) -> Changes {
        self.objects.subscribe()
    }
}

/// The decoded object; one that cannot be decoded is reported and passed over, as if it were not there.
fn typed<K: Kind>(object: &Object) -> Option<K> {
    decode(object)
        .inspect_err(
            |error| tracing::warn!(kind = K::KIND, object = %ObjectKey::of(object), %error, "cannot decode"),
        )
        .ok()
}

// === impl Shared ===

impl Shared {
    fn read<T>(&self, with: impl FnOnce(&Inner) -> T) -> T {
        with(&self.inner.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, with: impl FnOnce(&mut Inner) -> T) -> T {
        with(&mut self.inner.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// Applies what `change` makes of the cache, tells the subscribers, and then says that `revision` is reached.
    fn apply(&self, revision: Revision, change: impl FnOnce(&mut Cache) -> Vec<Change>) {
        self.write(|inner| {
            let changes = change(&mut inner.cache);
            changes.into_iter().for_each(|change| inner.subscribers.push(&change));
        });
        self.progress.send_modify(|progress| progress.revision = progress.revision.max(revision));
    }

    fn end(&self) {
        self.progress.send_modify(|progress| progress.ended = true);
        self.write(|inner| inner.subscribers.end());
    }
}
