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
    /// The index by the UIDs of all owners. What controllers may adopt is also found by its namespace, as long as
    /// nobody controls it.
    pub const BY_OWNER: &'static str = "owner";
    /// The index of pods by the node that they are bound to.
    pub const BY_NODE: &'static str = "node";
    /// The index of EndpointSlices by the Service that they belong to, as `namespace/name`.
    pub const BY_SERVICE: &'static str = "service";

    /// Informers that read with `client`.
    pub fn new(env: &Env, client: Client) -> Informers {
        Informers { env: env.clone(), client, started: Arc::default() }
    }

    /// What the owner `uid` controls.
    pub fn controlled(informer: &ObjectInformer, uid: &str) -> Vec<Object> {
        let owned = informer.indexed_objects(Informers::BY_OWNER, uid).into_iter();
        owned
            .filter(|object| owner::controller_of_object(object).is_some_and(|owner| owner.uid == uid))
            .collect()
    }

    /// What the owner `uid` controls, and what nobody controls in `namespace`.
    pub fn claimable(informer: &ObjectInformer, uid: &str, namespace: &str) -> Vec<Object> {
        let mut objects = Informers::controlled(informer, uid);
        objects.extend(informer.indexed_objects(Informers::BY_OWNER, &orphans(namespace)));
        objects
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
        let informer = ObjectInformer::start(
            &scope,
            &self.client,
            resource.clone(),
            Selection::default(),
            indexers(resource),
        );
        started.insert(resource.clone(), Started { informer: informer.clone(), scope });
        informer
    }

    /// The informer of `resource`, if there is one yet.
    pub fn started(&self, resource: &GroupVersionResource) -> Option<ObjectInformer> {
        self.lock().get(resource).map(|entry| entry.informer.clone())
    }

    /// Which informers there are.
    pub fn all(&self) -> Vec<ObjectInformer> {
        self.lock().values().map(|entry| entry.informer.clone()).collect()
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
    let by_owner = Indexer { name: Informers::BY_OWNER, keys: owners };
    let claimable = Indexer { name: Informers::BY_OWNER, keys: owners_or_none };
    match (&*resource.group, &*resource.resource) {
        ("", "pods") => vec![claimable, Indexer { name: Informers::BY_NODE, keys: node }],
        ("apps", "replicasets" | "controllerrevisions") | ("batch", "jobs") => vec![claimable],
        ("discovery.k8s.io", "endpointslices") => {
            vec![by_owner, Indexer { name: Informers::BY_SERVICE, keys: service }]
        }
        _ => vec![by_owner],
    }
}

/// Where the index by owners has what nobody controls in `namespace`.
fn orphans(namespace: &str) -> String {
    format!("-/{namespace}")
}

fn owners(object: &Object) -> Vec<String> {
    owner::owners_of_object(object).into_iter().map(|owner| owner.uid).collect()
}

fn owners_or_none(object: &Object) -> Vec<String> {
    let owners = owner::owners_of_object(object);
    let is_controlled = owners.iter().any(|owner| owner.controller == Some(true));
    let mut values: Vec<String> = owners.into_iter().map(|owner| owner.uid).collect();
    if !is_controlled {
        values.push(orphans(&object.namespace()));
    }
    values
}

fn node(object: &Object) -> Vec<String> {
    object
        .text(&["spec", "nodeName"])
        .filter(|node| !node.is_empty())
        .map(|node| node.into_owned())
        .into_iter()
        .collect()
}

fn service(object: &Object) -> Vec<String> {
    let name = object.label("kubernetes.io/service-name").filter(|name| !name.is_empty());
    name.map(|name| format!("{}/{name}", object.namespace())).into_iter().collect()
}
