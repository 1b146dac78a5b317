//! The informers that all controllers share, one per resource.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use decapod_api::Object;
use decapod_api::meta::GroupVersionResource;
use decapod_client::{Client, Indexer, Informer, Kind, ObjectInformer, Selection};
use decapod_sys::Env;

use crate::objects::owner;

/// The informers of one identity. Cloning shares them; each begins when it is first asked for.
#[derive(Clone)]
pub struct Informers {
    env: Env,
    client: Client,
    started: Arc<Mutex<BTreeMap<GroupVersionResource, Started>>>,
}

struct Started {
    informer: ObjectInformer,
    scope: Env,
}

impl Informers {
    /// The index by the UID of the controlling owner; what has none is found under [`Informers::orphans`].
    pub const BY_CONTROLLER: &'static str = "controller";
    /// The index of pods by the node that they are bound to.
    pub const BY_NODE: &'static str = "node";
    /// The index of EndpointSlices by the Service that they belong to, as `namespace/name`.
    pub const BY_SERVICE: &'static str = "service";

    /// Informers that read with `client`.
    pub fn new(env: &Env, client: Client) -> Informers {
        Informers { env: env.clone(), client, started: Arc::default() }
    }

    /// Where [`Informers::BY_CONTROLLER`] has what is controlled by nobody in `namespace`.
    pub fn orphans(namespace: &str) -> String {
        format!("-/{namespace}")
    }

    /// The informer of kind `K`.
    pub fn of<K: Kind>(&self) -> Informer<K> {
        self.object(&K::resource()).into()
    }

    /// The informer of `resource`.
    pub fn object(&self, resource: &GroupVersionResource) -> ObjectInformer {
        let mut started = self.lock();
        if let Some(entry) = started.get(resource) {
            return entry.informer.clone();
        }
        let scope = self.env.scope();
        let informer =
            ObjectInformer::start(&scope, &self.client, resource.clone(), Selection::default(), indexers(resource));
        started.insert(resource.clone(), Started { informer: informer.clone(), scope });
        informer
    }

    /// The informer of `resource`, if there is one yet.
    pub fn started(&self, resource: &GroupVersionResource) -> Option<ObjectInformer> {
        self.lock().get(resource).map(|entry| entry.informer.clone())
    }

    /// Ends the informer of `resource`, which is served no more.
    pub async fn stop(&self, resource: &GroupVersionResource) {
        let entry = self.lock().remove(resource);
        if let Some(entry) = entry {
            entry.scope.shutdown().await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<GroupVersionResource, Started>> {
        self.started.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The indices that any controller reads `resource` by.
fn indexers(resource: &GroupVersionResource) -> Vec<Indexer> {
    let by_controller = Indexer { name: Informers::BY_CONTROLLER, keys: controller };
    match (&*resource.group, &*resource.resource) {
        ("", "pods") => vec![by_controller, Indexer { name: Informers::BY_NODE, keys: node }],
        ("apps", "replicasets" | "controllerrevisions") | ("batch", "jobs") => vec![by_controller],
        ("discovery.k8s.io", "endpointslices") => vec![Indexer { name: Informers::BY_SERVICE, keys: service }],
        _ => Vec::new(),
    }
}

fn controller(object: &Object) -> Vec<String> {
    match owner::controller_of_object(object) {
        Some(owner) => vec![owner.uid],
        None => vec![Informers::orphans(&object.namespace())],
    }
}

fn node(object: &Object) -> Vec<String> {
    object.text(&["spec", "nodeName"]).filter(|node| !node.is_empty()).map(|node| node.into_owned()).into_iter().collect()
}

fn service(object: &Object) -> Vec<String> {
    let name = object.label("kubernetes.io/service-name").filter(|name| !name.is_empty());
    name.map(|name| format!("{}/{name}", object.namespace())).into_iter().collect()
}
