//! Deletes what has lost all its owners, and sees to deletes in the foreground and to orphans
//! (k8s.io/kubernetes/pkg/controller/garbagecollector).
//!
//! It watches every resource that can be listed, watched and deleted. There is no graph beside the informers: each of
//! them indexes its objects by their owners, which is all that is asked of one. What an informer does not know is
//! read from the server before anything is deleted for it.

mod reconcile;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use decapod_api::Object;
use decapod_api::meta::{GroupVersion, GroupVersionResource};
use decapod_client::{Change, ObjectKey};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use crate::Wiring;
use crate::objects::meta::meta_of;
use crate::objects::{Meta, owner};
use crate::resources::{ApiResource, Resources};
use crate::runtime::{Informers, Live, Monitors, Plan, Reconcile};

pub use reconcile::State;

/// Who has to do something before an object that is to go may go.
const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";

/// An object of any resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Of which resource.
    pub resource: GroupVersionResource,
    /// Which.
    pub object: ObjectKey,
}

#[derive(Clone)]
struct Controller {
    informers: Informers,
    resources: Resources,
}

/// Starts the controller, which watches `resources`.
pub fn start(wiring: &Wiring, resources: Resources) {
    let controller = Controller { informers: wiring.informers.clone(), resources };
    let builder = wiring.controller(controller.clone()).workers(20);
    let resources = controller.resources.clone();
    let keys = move |resource: &GroupVersionResource, change: &Change| controller.concerned(resource, change);
    let monitors = Monitors::new(wiring.env, &wiring.informers, resources, is_collected, keys);
    wiring.env.spawn("garbage-collector", monitors.run(builder));
}

/// Whether objects of `resource` have owners that matter: Events have none, and come and go by themselves.
fn is_collected(resource: &ApiResource) -> bool {
    resource.resource.resource != "events"
        && ["list", "watch", "delete"].iter().all(|verb| resource.has_verb(verb))
}

fn is_deleting(object: &Object) -> bool {
    object.raw(&["metadata", "deletionTimestamp"]).is_some()
}

fn has_finalizer(meta: &Meta, finalizer: &str) -> bool {
    meta.finalizers.iter().any(|other| other == finalizer)
}

/// Whether `meta` is going as soon as `finalizer` is off.
fn waits_for(meta: &Meta, finalizer: &str) -> bool {
    meta.is_deleting() && has_finalizer(meta, finalizer)
}

impl Controller {
    /// The resource of the owner's kind; of another version, if that is not served.
    fn resource_of(&self, owner: &OwnerReference) -> Option<ApiResource> {
        let wanted = GroupVersion::parse(&owner.api_version);
        let all: Arc<Vec<ApiResource>> = Arc::clone(&self.resources.borrow());
        let mut same = all.iter().filter(|one| one.kind == owner.kind && one.resource.group == wanted.group);
        let exact = same.clone().find(|one| one.resource.version == wanted.version);
        exact.or_else(|| same.next()).cloned()
    }

    /// The key of the owner of an object in `namespace`.
    fn owner_key(&self, owner: &OwnerReference, namespace: &str) -> Option<Key> {
        let resource = self.resource_of(owner)?;
        let namespace = if resource.is_namespaced { namespace } else { "" };
        Some(Key { resource: resource.resource, object: ObjectKey::new(namespace, owner.name.as_str()) })
    }

    /// What the informers know at `key`.
    fn known(&self, key: &Key) -> Option<Object> {
        self.informers.started(&key.resource)?.object(&key.object.namespace, &key.object.name)
    }

    /// The owner, as the informers know it.
    fn known_owner(&self, owner: &OwnerReference, namespace: &str) -> Option<Meta> {
        let object = self.known(&self.owner_key(owner, namespace)?)?;
        (object.uid() == owner.uid.as_str()).then(|| meta_of(&object))
    }

    /// All objects that say that `uid` owns them.
    fn dependents(&self, uid: &str) -> Vec<(GroupVersionResource, Object)> {
        let informers = self.informers.all().into_iter();
        let owned = informers.flat_map(|informer| {
            let resource = informer.resource().clone();
            let objects = informer.indexed_objects(Informers::BY_OWNER, uid).into_iter();
            objects.map(move |object| (resource.clone(), object))
        });
        owned.collect()
    }

    /// What a change of an object of `resource` makes worth a look.
    fn concerned(&self, resource: &GroupVersionResource, change: &Change) -> Vec<Key> {
        let mut keys = Vec::new();
        let is_same =
            change.old.as_ref().zip(change.new.as_ref()).is_some_and(|(old, new)| old.uid() == new.uid());
        if let Some(old) = change.old.as_ref().filter(|_| !is_same) {
            self.gone(old, &mut keys);
        }
        if let Some(new) = &change.new {
            let old = change.old.as_ref().filter(|_| is_same);
            self.changed(Key { resource: resource.clone(), object: change.key.clone() }, old, new, &mut keys);
        }
        keys
    }

    /// The dependents of what is gone; and owners that may have waited for it.
    fn gone(&self, object: &Object, keys: &mut Vec<Key>) {
        let dependents = self.dependents(&object.uid()).into_iter();
        keys.extend(dependents.map(|(resource, object)| Key { resource, object: ObjectKey::of(&object) }));
        self.waiting_owners(&owner::owners_of_object(object), &object.namespace(), keys);
    }

    fn waiting_owners(&self, owners: &[OwnerReference], namespace: &str, keys: &mut Vec<Key>) {
        for owner in owners.iter().filter(|owner| owner.block_owner_deletion == Some(true)) {
            let waits = self.known_owner(owner, namespace).is_some_and(|meta| waits_for(&meta, FOREGROUND));
            keys.extend(self.owner_key(owner, namespace).filter(|_| waits));
        }
    }

    fn changed(&self, key: Key, old: Option<&Object>, new: &Object, keys: &mut Vec<Key>) {
        let part = |path: &[&str]| old.and_then(|old| old.raw(path)) != new.raw(path);
        let namespace = new.namespace();
        if part(&["metadata", "ownerReferences"]) {
            let (before, after) =
                (old.map(owner::owners_of_object).unwrap_or_default(), owner::owners_of_object(new));
            let unblocked: Vec<OwnerReference> =
                before.into_iter().filter(|owner| !after.contains(owner)).collect();
            self.waiting_owners(&unblocked, &namespace, keys);
            // An owner that is known and stays needs no second look; there are many of those.
            let is_doubtful = |owner: &OwnerReference| {
                self.known_owner(owner, &namespace).is_none_or(|meta| waits_for(&meta, FOREGROUND))
            };
            if after.iter().any(is_doubtful) {
                keys.push(key.clone());
            }
        }
        if !is_deleting(new)
            || !part(&["metadata", "deletionTimestamp"]) && !part(&["metadata", "finalizers"])
        {
            return;
        }
        let meta = meta_of(new);
        if has_finalizer(&meta, FOREGROUND) {
            let dependents = self.dependents(&meta.uid).into_iter();
            keys.extend(
                dependents.map(|(resource, object)| Key { resource, object: ObjectKey::of(&object) }),
            );
        }
        if has_finalizer(&meta, FOREGROUND) || has_finalizer(&meta, ORPHAN) {
            keys.push(key);
        }
    }
}

impl Reconcile for Controller {
    type Key = Key;
    type State = State;

    fn name(&self) -> &'static str {
        "generic-garbage-collector"
    }

    fn component(&self) -> &'static str {
        "garbage-collector-controller"
    }

    fn gather(&self, key: &Key) -> Option<State> {
        let meta = meta_of(&self.known(key)?);
        let owners: Vec<reconcile::Owner> = meta
            .owner_references
            .iter()
            .map(|owner| reconcile::Owner {
                reference: owner.clone(),
                at: self.owner_key(owner, &meta.namespace).map(|key| (key.resource, key.object)),
                known: self.known_owner(owner, &meta.namespace),
            })
            .collect();
        let dependents = self.dependents(&meta.uid).into_iter();
        let dependents = dependents.map(|(resource, object)| (resource, meta_of(&object))).collect();
        Some(State { resource: key.resource.clone(), meta, owners, dependents })
    }

    fn reconcile(&self, _: &Key, state: &State, live: &Live, _: Timestamp) -> Plan {
        reconcile::reconcile(state, live)
    }
}
