//! Who controls what: adoption of what is orphaned and matches, release of what matches no more
//! (k8s.io/kubernetes/pkg/controller/controller_ref_manager.go).

use decapod_api::{Object, raw};
use decapod_client::{Change, Informer, Kind, ObjectKey};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, OwnerReference};
use serde_json::json;

use super::meta::meta_of;
use super::{Meta, labels};
use crate::runtime::{Live, LiveRead, Plan, Write};

/// An owner that claims objects.
pub struct Claimant<'a> {
    meta: &'a Meta,
    read: LiveRead,
    reference: OwnerReference,
    /// What is put on adopted and taken off released objects.
    finalizer: Option<&'static str>,
}

/// What came of claiming.
#[derive(Debug)]
pub struct Claimed<T> {
    /// Those that are the owner's.
    pub mine: Vec<T>,
    /// What has to be done first: reads, adoptions and releases. Empty if there is nothing.
    pub first: Plan,
}

/// The reference of a controlled object to its controlling owner.
pub fn reference<K: Kind>(owner: &Meta) -> OwnerReference {
    OwnerReference {
        api_version: K::API_VERSION.to_owned(),
        kind: K::KIND.to_owned(),
        name: owner.name.clone(),
        uid: owner.uid.clone(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// The owners of `object`, read from its bytes.
pub fn owners_of_object(object: &Object) -> Vec<OwnerReference> {
    let owners = object.raw(&["metadata", "ownerReferences"]).and_then(raw::items);
    owners.into_iter().flatten().filter_map(|owner| serde_json::from_slice(owner).ok()).collect()
}

/// The controlling owner of `object`, read from its bytes.
pub fn controller_of_object(object: &Object) -> Option<OwnerReference> {
    owners_of_object(object).into_iter().find(|owner| owner.controller == Some(true))
}

/// Those of `owners` that `change`, of something that they may own, concerns: its controllers before and after, and
/// while it has none, those in its namespace whose `selector` selects it.
pub fn concerned<K: Kind>(
    change: &Change,
    owners: &Informer<K>,
    selector: impl Fn(&K) -> Option<LabelSelector>,
) -> Vec<ObjectKey> {
    let namespace = change.key.namespace.as_str();
    let controllers = [&change.old, &change.new].into_iter().flatten().filter_map(controller_of_object);
    let mut keys: Vec<ObjectKey> = controllers
        .filter(|owner| owner.kind == K::KIND)
        .map(|owner| ObjectKey::new(namespace, owner.name))
        .collect();
    keys.dedup();
    if let Some(orphan) = change.new.as_ref().map(meta_of).filter(|meta| meta.controller().is_none()) {
        let selects = |owner: &K| {
            selector(owner).is_some_and(|selector| {
                !labels::is_empty(&selector) && labels::selects(&selector, &orphan.labels)
            })
        };
        let selecting = owners.namespaced(namespace).into_iter().filter(selects);
        let names = selecting.filter_map(|owner| owner.metadata().name.clone());
        keys.extend(names.map(|name| ObjectKey::new(namespace, name)));
    }
    keys
}

// === impl Claimant ===

impl<'a> Claimant<'a> {
    /// `owner`, an object of kind `K`.
    pub fn new<K: Kind>(owner: &'a Meta) -> Claimant<'a> {
        Claimant {
            meta: owner,
            read: LiveRead::of::<K>(&owner.namespace, &owner.name),
            reference: reference::<K>(owner),
            finalizer: None,
        }
    }

    /// The same for objects that it keeps track of by `finalizer`.
    pub fn tracking(self, finalizer: &'static str) -> Claimant<'a> {
        Claimant { finalizer: Some(finalizer), ..self }
    }

    /// Claims those of `candidates`, objects of kind `T`'s resource `R`, that `matches` says are the owner's.
    pub fn claim<R: Kind, T>(
        &self,
        candidates: Vec<T>,
        meta: impl Fn(&T) -> &Meta,
        matches: impl Fn(&T) -> bool,
        live: &Live,
    ) -> Claimed<T> {
        let mut claimed = Claimed { mine: Vec::new(), first: Plan::nothing() };
        for candidate in candidates {
            let of = meta(&candidate);
            match of.controller() {
                Some(controller) if controller.uid != self.meta.uid => {}
                Some(_) if matches(&candidate) => claimed.mine.push(candidate),
                Some(_) if self.meta.is_deleting() => {}
                Some(_) => claimed.first.write(self.release::<R>(of)),
                None if self.meta.is_deleting() || of.is_deleting() || !matches(&candidate) => {}
                None => match live.object(&self.read) {
                    None if claimed.first.reads.is_empty() => claimed.first.reads.push(self.read.clone()),
                    None => {}
                    Some(fresh) if self.may_adopt(fresh) => claimed.first.write(self.adopt::<R>(of)),
                    Some(_) => {}
                },
            }
        }
        claimed
    }

    /// An owner that goes away, or has gone, adopts nothing: the informer may not know it yet.
    fn may_adopt(&self, fresh: Option<&Object>) -> bool {
        fresh.is_some_and(|fresh| {
            fresh.uid() == self.meta.uid.as_str() && fresh.raw(&["metadata", "deletionTimestamp"]).is_none()
        })
    }

    fn adopt<R: Kind>(&self, of: &Meta) -> Write {
        let mut patch = json!({"metadata": {"ownerReferences": [self.reference], "uid": of.uid}});
        if let Some(finalizer) = self.finalizer {
            patch["metadata"]["finalizers"] = json!([finalizer]);
        }
        Write::patch::<R>(&of.namespace, &of.name, "", &patch).tolerating(&["NotFound"])
    }

    fn release<R: Kind>(&self, of: &Meta) -> Write {
        let reference = json!({"$patch": "delete", "uid": self.meta.uid});
        let mut patch = json!({"metadata": {"ownerReferences": [reference], "uid": of.uid}});
        if let Some(finalizer) = self.finalizer {
            patch["metadata"]["$deleteFromPrimitiveList/finalizers"] = json!([finalizer]);
        }
        // Invalid: it has another UID by now.
        Write::patch::<R>(&of.namespace, &of.name, "", &patch).tolerating(&["NotFound", "Invalid"])
    }
}

// === impl Claimed ===

impl<T> Claimed<T> {
    /// What is the owner's, or what has to be done before that is known.
    pub fn settled(self) -> Result<Vec<T>, Plan> {
        if self.first.reads.is_empty() && self.first.actions.is_empty() {
            Ok(self.mine)
        } else {
            Err(self.first)
        }
    }
}
