//! What becomes of an object, by its owners and dependents.

use decapod_api::Object;
use decapod_api::meta::GroupVersionResource;
use decapod_client::{ObjectKey, PatchType};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, OwnerReference, Preconditions};
use serde_json::json;

use super::{FOREGROUND, ORPHAN, has_finalizer, waits_for};
use crate::objects::Meta;
use crate::objects::meta::meta_of;
use crate::runtime::{Action, Live, LiveRead, Plan, Write};

/// What is known of an object.
#[derive(Clone, Debug)]
pub struct State {
    /// Of which resource.
    pub resource: GroupVersionResource,
    /// Its metadata.
    pub meta: Meta,
    /// Its owners.
    pub owners: Vec<Owner>,
    /// What says that it owns it.
    pub dependents: Vec<(GroupVersionResource, Meta)>,
}

/// What is known of an owner.
#[derive(Clone, Debug)]
pub struct Owner {
    /// As the object names it.
    pub reference: OwnerReference,
    /// Where it should be; `None` if no such kind is served.
    pub at: Option<(GroupVersionResource, ObjectKey)>,
    /// The owner, if the informers know it, with the UID that the object names.
    pub known: Option<Meta>,
}

/// What an owner means for its dependent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tie {
    /// It is there, or nobody can tell.
    Solid,
    /// It is gone.
    Dangling,
    /// It is going, once its dependents are gone.
    Waiting,
}

pub(super) fn reconcile(state: &State, live: &Live) -> Plan {
    if waits_for(&state.meta, ORPHAN) {
        return orphan_dependents(state, live);
    }
    if waits_for(&state.meta, FOREGROUND) {
        return finish_foreground(state, live);
    }
    if state.meta.is_deleting() || state.owners.is_empty() {
        return Plan::nothing();
    }
    // Cheap first: mostly all owners are known and stay.
    let is_settled =
        |owner: &Owner| owner.at.is_none() || owner.known.as_ref().is_some_and(|meta| !meta.is_deleting());
    if state.owners.iter().all(is_settled) {
        return Plan::nothing();
    }
    match fresh(state, live) {
        Err(ask) => ask,
        Ok(None) => Plan::nothing(),
        Ok(Some(fresh)) => collect(state, &fresh, live),
    }
}

/// The object as the server has it; `None` if it is gone, or another by now.
fn fresh(state: &State, live: &Live) -> Result<Option<Meta>, Plan> {
    let read = read(&state.resource, &state.meta.key());
    match live.object(&read) {
        None => Err(Plan::ask(vec![read])),
        Some(object) => Ok(object.map(meta_of).filter(|fresh| fresh.uid == state.meta.uid)),
    }
}

fn read(resource: &GroupVersionResource, key: &ObjectKey) -> LiveRead {
    LiveRead::object(resource.clone(), &key.namespace, &key.name)
}

/// Deletes the object if no owner holds it; otherwise forgets those that do not.
fn collect(state: &State, fresh: &Meta, live: &Live) -> Plan {
    let mut ties = Vec::new();
    let mut reads = Vec::new();
    for reference in &fresh.owner_references {
        // An owner that it has got since: the informer is about to tell.
        let Some(owner) = state.owners.iter().find(|owner| owner.reference.uid == reference.uid) else {
            return Plan::nothing();
        };
        match tie(owner, live) {
            Ok(tie) => ties.push((reference, tie)),
            Err(read) => reads.push(read),
        }
    }
    if !reads.is_empty() {
        return Plan::ask(reads);
    }
    if fresh.is_deleting() || ties.is_empty() {
        return Plan::nothing();
    }
    let has = |wanted: Tie| ties.iter().any(|(_, tie)| *tie == wanted);
    if has(Tie::Solid) {
        let kept: Vec<&OwnerReference> =
            ties.iter().filter(|(_, tie)| *tie == Tie::Solid).map(|(reference, _)| *reference).collect();
        if kept.len() == ties.len() {
            return Plan::nothing();
        }
        return Plan::of(vec![Action::from(set_owners(&state.resource, fresh, &kept))]);
    }
    if has(Tie::Waiting) && !state.dependents.is_empty() {
        return delete_in_foreground(state, fresh);
    }
    let policy = match () {
        () if has_finalizer(fresh, ORPHAN) => "Orphan",
        () if has_finalizer(fresh, FOREGROUND) => "Foreground",
        () => "Background",
    };
    Plan::of(vec![Action::from(delete(&state.resource, fresh, policy))])
}

fn tie(owner: &Owner, live: &Live) -> Result<Tie, LiveRead> {
    let Some((resource, key)) = &owner.at else { return Ok(Tie::Solid) };
    let of = |meta: &Meta| if waits_for(meta, FOREGROUND) { Tie::Waiting } else { Tie::Solid };
    if let Some(known) = owner.known.as_ref().filter(|known| !known.is_deleting()) {
        return Ok(of(known));
    }
    let read = read(resource, key);
    let found: Option<&Object> = match live.object(&read) {
        None => return Err(read),
        Some(found) => found,
    };
    Ok(match found.map(meta_of).filter(|meta| meta.uid == owner.reference.uid) {
        Some(meta) => of(&meta),
        None => Tie::Dangling,
    })
}

/// It has dependents of its own, which have to go before it. Should one of them be waiting as well, there may be a
/// circle: then nothing may be blocked by this one.
fn delete_in_foreground(state: &State, fresh: &Meta) -> Plan {
    let is_circle = state.dependents.iter().any(|(_, meta)| waits_for(meta, FOREGROUND));
    let blocks = |owner: &OwnerReference| owner.block_owner_deletion == Some(true);
    if is_circle && fresh.owner_references.iter().any(blocks) {
        let unblocked: Vec<OwnerReference> = fresh
            .owner_references
            .iter()
            .map(|owner| OwnerReference { block_owner_deletion: Some(false), ..owner.clone() })
            .collect();
        let mut plan = Plan::of(vec![Action::from(set_owners(
            &state.resource,
            fresh,
            &unblocked.iter().collect::<Vec<_>>(),
        ))]);
        // The delete follows when that is seen.
        plan.again_after(std::time::Duration::from_millis(1));
        return plan;
    }
    Plan::of(vec![Action::from(delete(&state.resource, fresh, "Foreground"))])
}

/// Lets an object go whose dependents that block it are gone.
fn finish_foreground(state: &State, live: &Live) -> Plan {
    let blocks = |meta: &Meta| {
        let mut owners = meta.owner_references.iter();
        owners.any(|owner| owner.uid == state.meta.uid && owner.block_owner_deletion == Some(true))
    };
    if state.dependents.iter().any(|(_, meta)| blocks(meta)) {
        // They were told when the object began to wait, and tell when they are gone.
        return Plan::nothing();
    }
    remove_finalizer(state, live, FOREGROUND)
}

/// Takes the object off its dependents' owners, and then lets it go.
fn orphan_dependents(state: &State, live: &Live) -> Plan {
    if !state.dependents.is_empty() {
        let orphaned = state.dependents.iter().map(|(resource, meta)| {
            let kept: Vec<&OwnerReference> =
                meta.owner_references.iter().filter(|owner| owner.uid != state.meta.uid).collect();
            set_owners(resource, meta, &kept)
        });
        let mut plan = Plan::of(vec![Action::Parallel(orphaned.collect())]);
        plan.again_after(std::time::Duration::from_millis(1));
        return plan;
    }
    remove_finalizer(state, live, ORPHAN)
}

fn remove_finalizer(state: &State, live: &Live, finalizer: &str) -> Plan {
    let fresh = match fresh(state, live) {
        Err(ask) => return ask,
        Ok(None) => return Plan::nothing(),
        Ok(Some(fresh)) => fresh,
    };
    if !has_finalizer(&fresh, finalizer) {
        return Plan::nothing();
    }
    let kept: Vec<&String> = fresh.finalizers.iter().filter(|other| *other != finalizer).collect();
    let patch = json!({"metadata": {"resourceVersion": fresh.resource_version, "finalizers": kept}});
    Plan::of(vec![Action::from(merge(&state.resource, &fresh, &patch))])
}

/// Makes `owners` all owners of the object. A merge patch, which every resource takes; so the list has to be the one
/// that was looked at.
fn set_owners(resource: &GroupVersionResource, meta: &Meta, owners: &[&OwnerReference]) -> Write {
    let patch = json!({"metadata": {
        "resourceVersion": meta.resource_version, "uid": meta.uid, "ownerReferences": owners,
    }});
    merge(resource, meta, &patch)
}

fn merge(resource: &GroupVersionResource, meta: &Meta, patch: &serde_json::Value) -> Write {
    let write =
        Write::patch_resource(resource.clone(), &meta.namespace, &meta.name, "", PatchType::Merge, patch);
    write.tolerating(&["NotFound"])
}

fn delete(resource: &GroupVersionResource, meta: &Meta, policy: &str) -> Write {
    let preconditions =
        Preconditions { uid: Some(meta.uid.clone()), resource_version: Some(meta.resource_version.clone()) };
    let options = DeleteOptions {
        preconditions: Some(preconditions),
        propagation_policy: Some(policy.to_owned()),
        ..DeleteOptions::default()
    };
    Write::delete_resource(resource.clone(), &meta.namespace, &meta.name, &options)
}
